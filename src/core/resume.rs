//! Decides where a half-done non-transactional file resumes, from its statement records alone.

use crate::core::history::{RecordState, StatementRecord};
use crate::core::prepared::{Mode, Prepared, PreparedStatement, StatementKind};
use crate::core::sql::concurrent::Concurrent;
use crate::core::sql::position::position;
use crate::error::{Error, FindingKind, Result};

/// Where a file resumes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Resume {
    /// Statements that are done: the file resumes after them.
    pub(crate) done: usize,
    /// What is recorded of the next statement, unless it was edited since.
    pub(crate) begun: Option<Begun>,
}

/// What is recorded of a statement that was started before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Begun {
    /// Only its start is recorded: the catalog has to show whether it took effect.
    pub(crate) is_unknown: bool,
    /// The table that it works on concurrently, as it was found at the time.
    pub(crate) relation: Option<u32>,
}

/// Whether a statement that was started before has nothing left to do, because what it drops or detaches is gone. `found` is
/// the table of what it works on, none where that does not exist. `before` is the table when the statement was started.
pub(crate) fn is_done(statement: &PreparedStatement, found: Option<u32>, before: Option<u32>) -> bool {
    let removes =
        matches!(statement.kind, StatementKind::Concurrent(Concurrent::DropIndex(_) | Concurrent::Detach(_)));
    removes && found.is_none() && before.is_some()
}

/// Where the file resumes, given its statement records.
///
/// `from` is the number that `--resume-from` gives: everything before it counts as done, and it as not done.
///
/// # Errors
/// [`Error::Mismatch`] when the finished part was edited; [`Error::EffectUnknown`] when the user has to decide;
/// [`Error::Config`] when `from` is out of range.
pub(crate) fn resume(
    prepared: &Prepared<'_>,
    records: &[&StatementRecord],
    from: Option<usize>,
) -> Result<Resume> {
    let file = &prepared.migration.file;
    let Mode::Statements(statements) = &prepared.mode else {
        // A failed statement has left nothing that the transaction would repeat.
        return if records.iter().all(|record| record.state == RecordState::Failed) {
            Ok(Resume::default())
        } else {
            Err(no_transaction_gone(prepared))
        };
    };
    if let Some(from) = from {
        return if (1..=statements.len() + 1).contains(&from) {
            Ok(Resume { done: from - 1, begun: None })
        } else {
            Err(Error::config(
                format!("`--resume-from {from}`: `{file}` has {} statements", statements.len()),
                format!(
                    "use a number from 1 to {}; the last one means that every statement is done",
                    statements.len() + 1
                ),
            ))
        };
    }
    let mut resume = Resume::default();
    for record in records {
        let statement = statements.get(record.number.wrapping_sub(1));
        let unchanged = statement.is_some_and(|statement| statement.checksum == record.checksum);
        if unchanged && record.number == resume.done + 1 {
            let is_unknown = record.state == RecordState::Started;
            resume.begun = Some(Begun { is_unknown, relation: record.relation });
        }
        match record.state {
            RecordState::Finished if unchanged => {
                resume = Resume { done: resume.done.max(record.number), begun: None };
            }
            RecordState::Finished => {
                return Err(edited(
                    prepared,
                    statement.map(|statement| statement.start),
                    &format!("statement {} is finished", record.number),
                ));
            }
            RecordState::Started if record.error.is_some() => {
                return Err(half_committed(file, record.number));
            }
            RecordState::Started if unchanged => {}
            RecordState::Started => {
                return Err(effect_unknown(file, record.number, "it was edited after it was started"));
            }
            RecordState::Failed
                if statement.is_some_and(|statement| matches!(statement.kind, StatementKind::Procedure)) =>
            {
                return Err(half_committed(file, record.number));
            }
            RecordState::Failed => {}
        }
    }
    let temporary = statements[..resume.done].iter().any(|statement| statement.temporary);
    if temporary && resume.done < statements.len() {
        return Err(effect_unknown(
            file,
            resume.done + 1,
            "the statements before it created temporary objects, which ended with their session",
        ));
    }
    Ok(resume)
}

/// The error that asks the user whether a statement took effect.
pub(crate) fn effect_unknown(file: &str, statement: usize, reason: &str) -> Error {
    Error::EffectUnknown {
        file: file.to_owned(),
        statement,
        reason: reason.to_owned(),
        hint: format!(
            "check whether statement {statement} took effect, then run `corveil migrate --resume-from {}` if it \
             did, or `corveil migrate --resume-from {statement}` if it did not",
            statement + 1
        ),
    }
}

fn half_committed(file: &str, statement: usize) -> Error {
    effect_unknown(file, statement, "it failed, and may have committed part of its work before")
}

fn edited(prepared: &Prepared<'_>, start: Option<usize>, what: &str) -> Error {
    let hint = "restore the finished statements, and put the change into a new migration";
    mismatch(prepared, start, what, hint.into())
}

fn no_transaction_gone(prepared: &Prepared<'_>) -> Error {
    let version = prepared.migration.version;
    let hint = format!("put it back as the first line, or run `corveil migrate --no-transaction {version}`");
    mismatch(prepared, None, "its `-- no-transaction` was removed", hint)
}

fn mismatch(prepared: &Prepared<'_>, start: Option<usize>, what: &str, hint: String) -> Error {
    Error::Mismatch(vec![
        prepared
            .migration
            .finding(FindingKind::Edited, format!("was edited while it is half applied: {what}"), hint)
            .line(start.map(|start| position(prepared.sql, start).line)),
    ])
}

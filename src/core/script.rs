//! A pending file, made ready to be applied, or refused as it is.

use std::borrow::Cow;
use std::collections::BTreeSet;

use sha2::{Digest, Sha384};

use crate::core::carried;
use crate::core::catalog::{Migration, Unreadable};
use crate::core::directives::{self, Directives};
use crate::core::sql::concurrent::{Concurrent, concurrent};
use crate::core::sql::index::{CreateIndex, create_index};
use crate::core::sql::position::position;
use crate::core::sql::refuse::{self, Refusal};
use crate::core::sql::session::{SessionState, session_state};
use crate::core::sql::split::{Statement, statements};
use crate::core::sql::transaction::{self, Wrapping};
use crate::error::{Finding, FindingKind};

/// A pending file, ready to be applied.
#[derive(Debug)]
pub struct Script<'a> {
    /// The file.
    pub migration: &'a Migration,
    /// Its SQL as it stands in the file.
    pub sql: &'a str,
    /// What its leading comments ask for.
    pub directives: Directives,
    /// How it is applied.
    pub mode: Mode<'a>,
    /// Whether it has no statement.
    is_empty: bool,
    /// What it leaves to other files, in words.
    leaves: Vec<String>,
}

impl Script<'_> {
    /// What a person should know about the file, each as a predicate of its name. `others_follow`: the run applies files after it.
    pub fn warnings(&self, others_follow: bool) -> impl Iterator<Item = &str> {
        let is_empty = self.is_empty.then_some("has no statement; it is recorded as applied");
        is_empty.into_iter().chain(self.leaves.iter().map(String::as_str).filter(move |_| others_follow))
    }
}

/// How a file is applied.
#[derive(Debug)]
pub enum Mode<'a> {
    /// All of it and its history row in one transaction.
    Transaction {
        /// The SQL to send: the file, without a BEGIN and COMMIT that wrap it whole. Character for character as long
        /// as the file.
        body: Cow<'a, str>,
        /// What the wrapping BEGIN said of the transaction, such as `ISOLATION LEVEL SERIALIZABLE`.
        modes: String,
        /// Offsets in bytes at which its statements start.
        starts: Vec<usize>,
    },
    /// Unit by unit, each recorded.
    Statements(Vec<Unit>),
}

/// A part of a non-transactional file that is done or not done as a whole.
#[derive(Debug)]
pub struct Unit {
    /// Its SQL.
    pub text: String,
    /// Offset in bytes at which it starts in the file.
    pub start: usize,
    /// SHA-384 of its text.
    pub checksum: Vec<u8>,
    /// What it is.
    pub kind: UnitKind,
    /// Its SETs that outlive it: a later session has to repeat them, and nothing else.
    pub replay: Vec<String>,
    /// Whether it leaves something in its session that cannot be repeated, such as a temporary table.
    pub temporary: bool,
}

/// What a unit is.
#[derive(Debug)]
pub enum UnitKind {
    /// One statement.
    Statement,
    /// One CREATE INDEX.
    Index(Box<CreateIndex>),
    /// One other statement that uses CONCURRENTLY.
    Concurrent(Concurrent),
    /// One VACUUM or the like: a second time it changes nothing.
    Maintenance,
    /// One CALL, or a DO that commits in between: when it fails, part of its work may stay.
    Procedure,
    /// BEGIN … COMMIT.
    Transaction {
        /// Length in bytes of the text before the final COMMIT.
        body: usize,
        /// Offsets in bytes, in the file, of its statements.
        starts: Vec<usize>,
    },
}

impl Unit {
    /// Whether the unit waits for other transactions rather than blocks them: it then needs no lock timeout.
    #[must_use]
    pub fn is_concurrent(&self) -> bool {
        match &self.kind {
            UnitKind::Concurrent(_) => true,
            UnitKind::Index(index) => index.concurrently,
            UnitKind::Statement
            | UnitKind::Maintenance
            | UnitKind::Procedure
            | UnitKind::Transaction { .. } => false,
        }
    }

    /// What the unit works on concurrently, or, for a CREATE INDEX without CONCURRENTLY, what an earlier text of it may have.
    #[must_use]
    pub fn concurrent(&self) -> Option<Concurrent> {
        match &self.kind {
            UnitKind::Concurrent(work) => Some(work.clone()),
            UnitKind::Index(index) => Some(Concurrent::CreateIndex(index.clone())),
            _ => None,
        }
    }

    /// Whether the unit sets `lock_timeout` for the statements after it.
    #[must_use]
    pub fn sets_lock_timeout(&self) -> bool {
        self.replay.iter().any(|set| set.to_ascii_lowercase().contains("lock_timeout"))
    }
}

/// Makes pending files ready.
///
/// # Errors
/// Every refusal of every file.
pub fn prepare<'a>(
    pending: &[&'a Migration],
    no_transaction: &BTreeSet<i64>,
) -> Result<Vec<Script<'a>>, Vec<Finding>> {
    let mut scripts = Vec::with_capacity(pending.len());
    let mut findings = Vec::new();
    for migration in pending {
        match script(migration, no_transaction.contains(&migration.version)) {
            Ok(script) => scripts.push(script),
            Err(refused) => findings.extend(refused),
        }
    }
    if findings.is_empty() { Ok(scripts) } else { Err(findings) }
}

fn script(migration: &Migration, forced: bool) -> Result<Script<'_>, Vec<Finding>> {
    let finding = |kind, line, message: String, hint: String| Finding {
        kind,
        file: Some(migration.file.clone()),
        version: Some(migration.version),
        line,
        message,
        hint,
    };
    let sql = migration.content.as_deref().map_err(|unreadable| {
        vec![match unreadable {
            Unreadable::NotUtf8 { offset } => finding(
                FindingKind::NotUtf8,
                None,
                format!("is not UTF-8: the byte at offset {offset} belongs to no character"),
                format!(
                    "`iconv -f latin1 -t utf-8 {f} > new && mv new {f}`, if it was Latin-1",
                    f = migration.file
                ),
            ),
            Unreadable::Utf16(encoding) => finding(
                FindingKind::NotUtf8,
                None,
                "is UTF-16, and SQL is sent as UTF-8".into(),
                format!("`iconv -f {encoding} -t utf-8 {f} > new && mv new {f}`", f = migration.file),
            ),
            Unreadable::Io(reason) => finding(
                FindingKind::Unreadable,
                None,
                format!("cannot be read: {reason}"),
                "let the user who runs corveil read it".into(),
            ),
        }]
    })?;
    let directives = directives::parse(sql)
        .map_err(|e| vec![finding(FindingKind::Directive, Some(e.line), e.reason, e.hint)])?;
    let transactional = !(directives.no_transaction || forced);
    let refuse = |refusals: Vec<Refusal>| -> Vec<Finding> {
        let line = |start| Some(position(sql, start).line);
        refusals
            .into_iter()
            .map(|r| finding(FindingKind::Statement, line(r.start), r.reason, r.advice))
            .collect()
    };
    let statements = statements(sql).map_err(|e| refuse(refuse::unterminated(sql, &e, transactional)))?;
    let refusals = refuse::refusals(sql, &statements, transactional);
    if !refusals.is_empty() {
        return Err(refuse(refusals));
    }
    let mode = if transactional { one_transaction(sql, &statements) } else { one_by_one(sql, &statements) };
    let (is_empty, leaves) = (statements.is_empty(), carried::warnings(sql, &statements));
    Ok(Script { migration, sql, directives, mode, is_empty, leaves })
}

fn one_transaction<'a>(sql: &'a str, statements: &[Statement<'_>]) -> Mode<'a> {
    let starts = |statements: &[Statement<'_>]| statements.iter().map(|s| s.start).collect();
    match transaction::wrapping(sql, statements) {
        Some(Wrapping { unwrapped, modes }) => Mode::Transaction {
            body: unwrapped.into(),
            modes,
            starts: starts(&statements[1..statements.len() - 1]),
        },
        None => Mode::Transaction { body: sql.into(), modes: String::new(), starts: starts(statements) },
    }
}

/// Unpaired transaction control was refused before, so what is left pairs up.
fn one_by_one(sql: &str, statements: &[Statement<'_>]) -> Mode<'static> {
    let groups = transaction::groups(statements).unwrap_or_default();
    Mode::Statements(groups.into_iter().map(|group| unit(sql, &statements[group.statements])).collect())
}

/// A CALL, and a DO that commits or calls. Looking for the words errs towards asking.
fn may_commit_in_between(statement: &Statement<'_>) -> bool {
    let text = statement.text.to_ascii_lowercase();
    statement.starts_with(&["call"])
        || (statement.starts_with(&["do"])
            && ["commit", "rollback", "call"].iter().any(|word| text.contains(word)))
}

/// Statements that may be repeated when it is not known whether they ended.
fn is_maintenance(statement: &Statement<'_>) -> bool {
    ["vacuum", "analyze", "analyse", "reindex", "cluster", "checkpoint"]
        .iter()
        .any(|keyword| statement.starts_with(&[keyword]))
}

fn unit(sql: &str, statements: &[Statement<'_>]) -> Unit {
    let (first, last) = (&statements[0], &statements[statements.len() - 1]);
    let text = &sql[first.start..last.end()];
    let kind = if statements.len() > 1 {
        UnitKind::Transaction {
            body: last.start - first.start,
            starts: statements.iter().map(|s| s.start).collect(),
        }
    } else if let Some(index) = create_index(first) {
        UnitKind::Index(Box::new(index))
    } else if let Some(work) = concurrent(first) {
        UnitKind::Concurrent(work)
    } else if is_maintenance(first) {
        UnitKind::Maintenance
    } else if may_commit_in_between(first) {
        UnitKind::Procedure
    } else {
        UnitKind::Statement
    };
    Unit {
        text: text.to_owned(),
        start: first.start,
        checksum: Sha384::digest(text).to_vec(),
        kind,
        replay: statements
            .iter()
            .filter(|statement| session_state(statement) == SessionState::Set)
            .map(|statement| statement.text.to_owned())
            .collect(),
        temporary: statements.iter().any(|statement| session_state(statement) == SessionState::Temporary),
    }
}

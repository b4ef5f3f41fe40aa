//! Cleans up after statements that no pending file sends again, before anything else is done.

use std::time::Duration;

use tracing::info;

use super::leftovers::Tidied;
use super::{Ended, Session};
use crate::core::abandoned::{Files, HalfDone};
use crate::core::history::{RecordState, StatementRecord};
use crate::core::invalid::InvalidIndex;
use crate::core::prepared::Mode;
use crate::core::sql::QualifiedName;
use crate::core::sql::concurrent::{Concurrent, Detach};
use crate::core::sql::index::{CreateIndex, create_index};
use crate::core::sql::split::each;
use crate::core::sql::strings::Strings;
use crate::error::{Error, Finding, Result};
use crate::postgres::concurrent::{HalfDetached, half_detached, has_index, has_partition};
use crate::postgres::indexes::{self, Built};
use crate::postgres::query;

/// How long a DROP works before the sessions that block it are read.
const FIRST_LOOK: Duration = Duration::from_millis(500);

/// Whether [`Session::clean_up`] has anything to do.
pub(crate) fn is_any(files: Files<'_>) -> bool {
    let records = &files.history.records;
    !(files.half_done(records).is_empty()
        && files.forgettable(records).is_empty()
        && files.removed(records).is_empty())
}

impl Session<'_> {
    /// Removes what statements left that are not sent again, and the records that are no longer needed.
    ///
    /// # Errors
    /// [`Error::Findings`] for what a person has to decide, [`Error::Mismatch`] for a half applied file that was removed.
    pub(crate) async fn clean_up(&mut self, files: Files<'_>) -> Result<(), Ended> {
        let mut records = files.history.records.clone();
        let mut findings = Vec::new();
        for half_done in files.half_done(&files.history.records) {
            let record = &mut records[half_done.record];
            findings.extend(self.remove(files, record, &half_done).await?);
            if record.state == RecordState::Started
                && files.lack(record.version)
                && !self.took_effect(record, &half_done).await?
            {
                record.state = RecordState::Failed;
            }
        }
        if !findings.is_empty() {
            return Err(Ended::Failed(Error::Findings(findings)));
        }
        let removed = files.removed(&records);
        if !removed.is_empty() {
            return Err(Ended::Failed(Error::Mismatch(removed)));
        }
        let schema = self.schema()?;
        for version in files.forgettable(&records) {
            info!("deleting the statement records of version {version}: its failed statements left nothing");
            let sql = format!("DELETE FROM {schema}._corveil_statements WHERE version = {version};");
            self.execute("deleting statement records", &sql).await?;
        }
        Ok(())
    }

    /// Removes what a statement left; returns what a person has to decide.
    async fn remove(
        &mut self,
        files: Files<'_>,
        record: &StatementRecord,
        HalfDone { work, relation, .. }: &HalfDone,
    ) -> Result<Vec<Finding>, Ended> {
        match work {
            Concurrent::CreateIndex(_) | Concurrent::Reindex(_) => {
                let text = record.statement.as_deref().unwrap_or_default();
                let mut left = indexes::left_by(self.connection(), text, work, *relation).await?;
                // An index that a file has made is rebuilt, not dropped: the last check of the run reports it.
                let made = made(files);
                left.retain(|index| {
                    index.copy_of().is_some() || !made.iter().any(|create| is_of(index, create))
                });
                self.drop_left(left).await
            }
            // Neither kept nor dropped without a decision, unless a pending file takes it.
            Concurrent::DropIndex(index) if is_dropped(files, index) => Ok(Vec::new()),
            Concurrent::DropIndex(_) => {
                let invalid = indexes::all_invalid(self.connection()).await?;
                let left = invalid.iter().filter(|index| index.is_left_by(work, *relation));
                Ok(left.map(InvalidIndex::half_dropped).collect())
            }
            Concurrent::Detach(_) if files.are_followed_by(record.version) => Ok(Vec::new()),
            Concurrent::Detach(_) => {
                let half_detached = half_detached(self.connection()).await?;
                let left = half_detached.iter().filter(|half| Some(half.parent) == *relation);
                Ok(left.map(HalfDetached::finding).collect())
            }
            Concurrent::Other => Ok(Vec::new()),
        }
    }

    async fn drop_left(&mut self, left: Vec<InvalidIndex>) -> Result<Vec<Finding>, Ended> {
        if left.is_empty() {
            return Ok(Vec::new());
        }
        // It waits for other sessions without blocking any, so that a lock timeout would only end it.
        let statement = self.settings.timeouts.statement.as_millis();
        let sql = format!("SET lock_timeout = 0; SET statement_timeout = {statement}");
        self.set(sql).await?;
        let tidied = self.drop_all(left, FIRST_LOOK).await;
        self.reset().await?;
        match tidied {
            Tidied::Clean => Ok(Vec::new()),
            Tidied::Kept(kept) => Ok(kept.iter().map(InvalidIndex::finding).collect()),
            Tidied::Failed(sent) => Err(match (sent.stopped, &sent.error) {
                (Some(reason), _) => Ended::Failed(reason.error("while dropping an INVALID index")),
                (None, Some(error)) => {
                    query::failed("dropping an INVALID index of a failed statement", error).into()
                }
                (None, None) => unreachable!("a batch that failed has an error"),
            }),
        }
    }

    /// Whether a statement of which only the intent is recorded took effect.
    async fn took_effect(&mut self, record: &StatementRecord, half_done: &HalfDone) -> Result<bool> {
        let connection = self.connection();
        match (&half_done.work, half_done.relation) {
            (Concurrent::Reindex(_) | Concurrent::Other, _) => Ok(false),
            (_, None) => Ok(true),
            (Concurrent::CreateIndex(create), table) => {
                let text = record.statement.as_deref().unwrap_or_default();
                let built = indexes::built(connection, text, create, table).await?;
                Ok(matches!(built, Built::Equal | Built::Other))
            }
            (Concurrent::DropIndex(index), Some(table)) => {
                Ok(!has_index(connection, table, &index.name).await?)
            }
            (Concurrent::Detach(Detach { partition, .. }), Some(table)) => {
                Ok(!has_partition(connection, table, &partition.name).await?)
            }
        }
    }
}

/// Whether a pending file drops an index.
fn is_dropped(files: Files<'_>, index: &QualifiedName) -> bool {
    let statements =
        files.pending.iter().flat_map(|(prepared, _)| prepared.statements().map_while(Result::ok));
    statements
        .filter(|statement| statement.starts_with(&["drop", "index"]))
        .any(|statement| statement.tokens.iter().any(|token| token.name().as_ref() == Some(&index.name)))
}

/// The indexes that applied files and finished statements made.
fn made(files: Files<'_>) -> Vec<CreateIndex> {
    let all = files.catalog.migrations().iter();
    let applied = all
        .filter(|file| files.history.applied(file.version).is_some())
        .filter_map(|file| file.content.as_deref().ok());
    let finished = files.pending.iter().filter_map(|(prepared, resume)| match &prepared.mode {
        Mode::Statements(statements) => {
            Some(statements[..resume.done].iter().map(|statement| statement.text.as_str()))
        }
        Mode::Transaction { .. } => None,
    });
    applied
        .chain(finished.flatten())
        .flat_map(|sql| each(sql, Strings::Standard).map_while(Result::ok))
        .filter_map(|statement| create_index(&statement))
        .collect()
}

/// Whether a statement made an index, going by the name that the server gives where the statement gives none.
fn is_of(index: &InvalidIndex, create: &CreateIndex) -> bool {
    let is_named_by_server =
        || index.name.trim_end_matches(|char: char| char.is_ascii_digit()).ends_with("_idx");
    index.is_created_by(create) && (create.name.is_some() || is_named_by_server())
}

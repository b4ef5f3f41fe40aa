//! The statement records of a file without a transaction, and the history row that replaces them.

use std::time::Instant;

use super::{Ended, applied_by_another};
use crate::config::secret;
use crate::core::history::StepState;
use crate::core::message::{self, hex};
use crate::core::script::{Script, Unit};
use crate::core::sql::quote::{ident, literal};
use crate::error::{Error, Result, ServerError, sqlstate};
use crate::postgres::lock::LockGuard;
use crate::postgres::query;

/// What is recorded of a unit.
pub(super) struct Record<'a> {
    pub(super) unit: &'a Unit,
    /// The unit's number in the file, from 1.
    pub(super) number: usize,
    pub(super) state: StepState,
    pub(super) error: Option<&'a ServerError>,
    /// The table that it works on concurrently.
    pub(super) relation: Option<u32>,
}

impl<'a> Record<'a> {
    pub(super) const fn finished(unit: &'a Unit, number: usize) -> Self {
        Self { unit, number, state: StepState::Finished, error: None, relation: None }
    }

    pub(super) fn sql(&self, guard: &LockGuard, script: &Script<'_>) -> Result<String> {
        // Only such a statement leaves work half done, and its text has no secrets: it is kept, as the file may be edited or removed.
        let statement = if self.unit.is_concurrent() { literal(&self.unit.text) } else { "NULL".into() };
        Ok(format!(
            "INSERT INTO {}._corveil_statements (version, ordinal, checksum, state, error, statement, relation) \
             VALUES ({}, {}, pg_catalog.decode('{}', 'hex'), '{}', {}, {statement}, {}) \
             ON CONFLICT (version, ordinal) DO UPDATE SET checksum = EXCLUDED.checksum, state = EXCLUDED.state, \
             error = EXCLUDED.error, statement = EXCLUDED.statement, relation = EXCLUDED.relation, \
             changed_at = pg_catalog.clock_timestamp();",
            ident(guard.facts.schema()?),
            script.migration.version,
            self.number,
            hex(&self.unit.checksum),
            self.state.word(),
            self.error.map_or_else(|| "NULL".into(), |error| literal(&secret::hidden(&error.to_string()))),
            self.relation.map_or_else(|| "NULL".into(), |oid| oid.to_string()),
        ))
    }

    pub(super) async fn write(&self, guard: &mut LockGuard, script: &Script<'_>) -> Result<()> {
        let sql = self.sql(guard, script)?;
        own(guard, "recording a statement", &sql).await
    }
}

/// Records exactly these units as finished, in one transaction: the catalog may just have told of one, and
/// `--resume-from` may count as done what no record says, and as not done what one says.
pub(super) async fn record_done(guard: &mut LockGuard, script: &Script<'_>, done: &[Unit]) -> Result<()> {
    let mut sql = forget_sql(guard, script)?;
    for (index, unit) in done.iter().enumerate() {
        sql += &Record::finished(unit, index + 1).sql(guard, script)?;
    }
    own(guard, "recording the finished statements", &sql).await
}

/// Records the file as applied, and forgets its units, in one transaction.
pub(super) async fn finish(guard: &mut LockGuard, script: &Script<'_>, start: Instant) -> Result<(), Ended> {
    let elapsed = start.elapsed().as_nanos().to_string();
    let row = message::history_row(guard.facts.schema()?, script.migration, &elapsed);
    let sql = format!("{row} {}", forget_sql(guard, script)?);
    match own(guard, "recording the migration", &sql).await {
        // 23505: sqlx-cli, which takes no lock, has applied and recorded the file too.
        Err(Error::Server { source, .. })
            if source.sqlstate.as_deref() == Some(sqlstate::UNIQUE_VIOLATION)
                && applied_by_another(guard, script).await? =>
        {
            Ok(forget(guard, script).await?)
        }
        recorded => Ok(recorded?),
    }
}

/// Forgets the units of the file.
pub(super) async fn forget(guard: &mut LockGuard, script: &Script<'_>) -> Result<()> {
    let sql = forget_sql(guard, script)?;
    own(guard, "forgetting the statements of a file", &sql).await
}

fn forget_sql(guard: &LockGuard, script: &Script<'_>) -> Result<String> {
    let schema = ident(guard.facts.schema()?);
    Ok(format!("DELETE FROM {schema}._corveil_statements WHERE version = {};", script.migration.version))
}

/// Runs statements of the gate's own; when they fail, their transaction is not left open for the next to trip over.
pub(super) async fn own(guard: &mut LockGuard, doing: &'static str, sql: &str) -> Result<()> {
    let result = query::as_is(&mut guard.connection, doing, message::own(sql)).await;
    if let Err(error) = &result {
        query::roll_back_after(&mut guard.connection, error).await;
    }
    result.map(drop)
}

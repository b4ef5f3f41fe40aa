//! The statement records of a file without a transaction, and the history row that replaces them.

use std::time::Instant;

use super::{Ended, Session};
use crate::config::secret;
use crate::core::batch::{self, hex};
use crate::core::history::RecordState;
use crate::core::prepared::{Prepared, PreparedStatement};
use crate::core::sql::quote::literal;
use crate::error::{Error, Result, ServerError, sqlstate};

/// What is recorded of a statement.
pub(super) struct Record<'a> {
    pub(super) statement: &'a PreparedStatement,
    /// The statement's number in the file, from 1.
    pub(super) number: usize,
    pub(super) state: RecordState,
    pub(super) error: Option<&'a ServerError>,
    /// The table that it works on concurrently.
    pub(super) relation: Option<u32>,
}

impl<'a> Record<'a> {
    pub(super) const fn finished(statement: &'a PreparedStatement, number: usize) -> Self {
        Self { statement, number, state: RecordState::Finished, error: None, relation: None }
    }

    pub(super) fn sql(&self, schema: &str, prepared: &Prepared<'_>) -> String {
        // Only such a statement leaves work half done, and its text has no secrets: it is kept, as the file may be edited or removed.
        let statement =
            if self.statement.is_concurrent() { literal(&self.statement.text) } else { "NULL".into() };
        format!(
            "INSERT INTO {}._corveil_statements (version, ordinal, checksum, state, error, statement, relation) \
             VALUES ({}, {}, pg_catalog.decode('{}', 'hex'), '{}', {}, {statement}, {}) \
             ON CONFLICT (version, ordinal) DO UPDATE SET checksum = EXCLUDED.checksum, state = EXCLUDED.state, \
             error = EXCLUDED.error, statement = EXCLUDED.statement, relation = EXCLUDED.relation, \
             changed_at = pg_catalog.clock_timestamp();",
            schema,
            prepared.migration.version,
            self.number,
            hex(&self.statement.checksum),
            self.state.word(),
            self.error.map_or_else(|| "NULL".into(), |error| literal(&secret::hidden(&error.to_string()))),
            self.relation.map_or_else(|| "NULL".into(), |oid| oid.to_string()),
        )
    }
}

impl Session<'_> {
    pub(super) async fn record(&mut self, prepared: &Prepared<'_>, record: &Record<'_>) -> Result<()> {
        let sql = record.sql(&self.schema()?, prepared);
        self.execute("recording a statement", &sql).await
    }

    /// Records exactly these statements as finished, in one transaction: the catalog may just have shown one, and
    /// `--resume-from` may count as done what has no record, and as not done what has one.
    pub(super) async fn record_done(
        &mut self,
        prepared: &Prepared<'_>,
        done: &[PreparedStatement],
    ) -> Result<()> {
        let schema = self.schema()?;
        let mut sql = self.forget_sql(prepared)?;
        for (index, statement) in done.iter().enumerate() {
            sql += &Record::finished(statement, index + 1).sql(&schema, prepared);
        }
        self.execute("recording the finished statements", &sql).await
    }

    /// Records the file as applied, and forgets its statements, in one transaction.
    pub(super) async fn finish(&mut self, prepared: &Prepared<'_>, start: Instant) -> Result<(), Ended> {
        let elapsed = start.elapsed().as_nanos().to_string();
        let row = batch::history_row(self.guard.server.schema()?, prepared.migration, &elapsed);
        let sql = format!("{row} {}", self.forget_sql(prepared)?);
        match self.execute("recording the migration", &sql).await {
            // 23505: sqlx-cli, which takes no lock, has applied and recorded the file too.
            Err(Error::Server { source, .. })
                if source.sqlstate.as_deref() == Some(sqlstate::UNIQUE_VIOLATION)
                    && self.is_applied_by_another(prepared).await? =>
            {
                Ok(self.forget(prepared).await?)
            }
            recorded => Ok(recorded?),
        }
    }

    /// Forgets the statements of the file.
    pub(super) async fn forget(&mut self, prepared: &Prepared<'_>) -> Result<()> {
        let sql = self.forget_sql(prepared)?;
        self.execute("deleting the statement records of a file", &sql).await
    }

    fn forget_sql(&self, prepared: &Prepared<'_>) -> Result<String> {
        let schema = self.schema()?;
        Ok(format!(
            "DELETE FROM {schema}._corveil_statements WHERE version = {};",
            prepared.migration.version
        ))
    }
}

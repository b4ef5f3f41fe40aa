//! The session that applies files: it holds the migration lock, and has what both ways of applying a file need of it.

use sqlx::postgres::PgConnection;
use tracing::info;

use super::Settings;
use crate::core::batch::{self, RESET_SESSION, Timeouts};
use crate::core::prepared::Prepared;
use crate::core::progress::Progress;
use crate::core::sql::quote::ident;
use crate::error::{Error, FindingKind, Result};
use crate::postgres::lock::{LockGuard, is_held};
use crate::postgres::query::{self, get};
use crate::stop::Stop;

/// A session that applies files. Only a held lock makes one.
pub(crate) struct Session<'a> {
    pub(super) guard: &'a mut LockGuard,
    /// What a file gets unless it asks for something else.
    pub(super) settings: Settings,
    /// Ends the run from outside.
    pub(super) stop: &'a Stop,
    pub(super) progress: &'a mut dyn Progress,
}

impl<'a> Session<'a> {
    /// The session that holds this lock.
    pub(crate) fn new(
        guard: &'a mut LockGuard,
        settings: Settings,
        stop: &'a Stop,
        progress: &'a mut dyn Progress,
    ) -> Self {
        Self { guard, settings, stop, progress }
    }

    /// The connection, for questions between files.
    pub(crate) fn connection(&mut self) -> &mut PgConnection {
        &mut self.guard.connection
    }

    /// The schema of the history, quoted.
    pub(super) fn schema(&self) -> Result<String> {
        self.guard.server.schema().map(ident)
    }

    /// Runs statements of the program's own in a transaction; when they fail, it is not left open for the next to trip over.
    pub(super) async fn execute(&mut self, doing: &'static str, sql: &str) -> Result<()> {
        let result = query::as_is(self.connection(), doing, batch::own(sql)).await;
        if let Err(error) = &result {
            query::roll_back_after(self.connection(), error).await;
        }
        result.map(drop)
    }

    /// Changes settings of the session.
    pub(super) async fn set(&mut self, settings: String) -> Result<()> {
        query::all(self.connection(), "configuring the session", settings).await.map(drop)
    }

    /// Ends the transaction that a failed statement has left open.
    pub(super) async fn roll_back(&mut self) -> Result<()> {
        query::roll_back(self.connection()).await
    }

    /// What brings the session, which is in no transaction, back to the state in which every file starts. Its last answer shows
    /// whether the lock is still held.
    pub(super) fn reset_sql(&self) -> String {
        format!("{RESET_SESSION} {}", self.guard.configure_session)
    }

    /// Does so; true when the session still holds the lock.
    pub(super) async fn reset(&mut self) -> Result<bool> {
        let sql = self.reset_sql();
        let results = query::as_is(self.connection(), "resetting the session", sql).await?;
        is_held(results.iter().flatten().last())
    }

    /// The timeouts of a file: its directives win over the run's settings.
    pub(super) fn timeouts(&self, prepared: &Prepared<'_>) -> Timeouts {
        Timeouts {
            lock: prepared.directives.lock_timeout.unwrap_or(self.settings.timeouts.lock),
            statement: prepared.directives.statement_timeout.unwrap_or(self.settings.timeouts.statement),
        }
    }

    /// How often a file is tried again.
    pub(super) fn retries(&self, prepared: &Prepared<'_>) -> u32 {
        prepared.directives.retries.unwrap_or(self.settings.retries)
    }

    /// Whether another tool applied the file in the meantime: sqlx-cli takes no lock.
    ///
    /// # Errors
    /// [`Error::Mismatch`] when it was another file of the same version.
    pub(super) async fn is_applied_by_another(&mut self, prepared: &Prepared<'_>) -> Result<bool> {
        let migration = prepared.migration;
        let sql = batch::own(&format!(
            "SELECT checksum FROM {}._sqlx_migrations WHERE version = {};",
            self.schema()?,
            migration.version
        ));
        let results = query::as_is(self.connection(), "reading the history again", sql).await?;
        // The last answer but that of COMMIT.
        let Some(row) = results.into_iter().nth_back(1).and_then(|rows| rows.into_iter().next()) else {
            return Ok(false);
        };
        if get::<Vec<u8>>(&row, 0)? == migration.checksum {
            info!("`{}` was applied by another tool in the meantime", migration.file);
            return Ok(true);
        }
        Err(Error::Mismatch(vec![migration.finding(
            FindingKind::Edited,
            "was applied by another tool in the meantime, with other content",
            "check that all of them run the same build",
        )]))
    }
}

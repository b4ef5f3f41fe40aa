//! What a run checks before it ends with 0: the history again, INVALID indexes, and what the app finds.

use tracing::warn;

use super::Gate;
use super::app::App;
use crate::config::database::Database;
use crate::core::catalog::Migration;
use crate::core::history::StatementRecord;
use crate::core::invalid::{InvalidIndex, left_by_migrations};
use crate::core::requirement;
use crate::error::{Error, Result};
use crate::postgres::lock::LockGuard;
use crate::postgres::state::{self, Scope, ServerState};
use crate::postgres::tables;

impl<'a> Gate<'a> {
    /// No run ends well unless the history has every file as it was applied, no INVALID index of these files exists, and the
    /// app finds the same.
    pub(super) async fn check_at_the_end(&self, guard: &mut LockGuard) -> Result<()> {
        let state = state::read(&mut guard.connection, Scope { files: None, ..self.target.scope() }).await?;
        let lost: Vec<_> = requirement::unmet(self.target.catalog, &state.history)
            .iter()
            .filter(|unmet| self.is_wanted(unmet.migration))
            .map(requirement::lost)
            .collect();
        if !lost.is_empty() {
            return Err(Error::Findings(lost));
        }
        self.refuse_invalid(&state.invalid, &state.history.records)?;
        self.grant_app_access(guard, &state.server).await
    }

    fn is_wanted(&self, file: &Migration) -> bool {
        self.up_to.is_none_or(|target| file.version <= target)
    }

    /// Grants the app's role again what it may need, if it does not find the schema ready.
    pub(super) async fn grant_app_access(&self, guard: &mut LockGuard, server: &ServerState) -> Result<()> {
        let Some(app) = self.app(guard) else { return Ok(()) };
        if app.readiness().await?.expect_ready().is_ok() {
            return Ok(());
        }
        if let Some(role) = self.target.scope().app_role
            && let Err(error) = tables::open_to(&mut guard.connection, server, role).await
        {
            warn!("role `{role}` of `DATABASE_URL` cannot be granted what it needs: {error}");
        }
        app.readiness().await?.expect_ready()
    }

    /// The app's connection; where the app has no separate URL, a new session, which finds what a file set for the database or
    /// the role. None where the server accepts a single connection.
    fn app(&self, guard: &LockGuard) -> Option<App<'a>> {
        let database = self
            .target
            .opened
            .app
            .as_ref()
            .or_else(|| guard.control.as_ref().map(|_| &self.target.opened.database))?;
        Some(self.app_of(database))
    }

    fn app_of(&self, database: &'a Database) -> App<'a> {
        App { database, target: self.target, up_to: self.up_to }
    }

    /// Whether nothing has to be granted. A session of the role that migrates has just read the history itself.
    pub(super) async fn app_finds_it_ready(&self) -> Result<bool> {
        match &self.target.opened.app {
            Some(database) => Ok(self.app_of(database).readiness().await?.expect_ready().is_ok()),
            None => Ok(true),
        }
    }

    pub(super) fn refuse_invalid(&self, invalid: &[InvalidIndex], records: &[StatementRecord]) -> Result<()> {
        let files: Vec<&Migration> =
            self.target.catalog.migrations().iter().filter(|file| self.is_wanted(file)).collect();
        let left = left_by_migrations(invalid, &files, records);
        let findings: Vec<_> = left.into_iter().map(InvalidIndex::finding).collect();
        if findings.is_empty() { Ok(()) } else { Err(Error::Findings(findings)) }
    }
}

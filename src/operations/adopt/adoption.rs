//! Adopting a database: what `corveil adopt` does.

use std::time::Duration;

use crate::core::{adopt, two_ways};
use crate::error::Result;
use crate::operations::adopt::{AdoptRequest, Baseline};
use crate::postgres::lock::LockGuard;
use crate::postgres::state::{self, DatabaseState};
use crate::postgres::{query, record};

pub(crate) enum Adopted<'a> {
    /// The database already has Corveil's history, which is at this version.
    Before(Option<i64>),
    /// The migrations that the database contains were recorded.
    Now(Baseline<'a>),
    /// A dry run found that they can be recorded.
    WouldBe(Baseline<'a>),
}

/// Adopting, in the order of events: read, decide, compare, lock, read again, record.
pub(crate) struct Adoption<'a> {
    pub(crate) question: AdoptRequest<'a>,
    pub(crate) lock_wait: Duration,
    pub(crate) dry_run: bool,
}

impl<'a> Adoption<'a> {
    /// Adopts the database, unless the run is to stop.
    ///
    /// # Errors
    /// Every reason for which the database was not adopted; nothing was written then.
    pub(crate) async fn run(&self) -> Result<Adopted<'a>> {
        tokio::select! {
            result = self.in_order() => result,
            error = self.question.target.stop.overdue() => Err(error),
        }
    }

    async fn in_order(&self) -> Result<Adopted<'a>> {
        let (mut connection, mut state) = self.question.target.connect(None).await?;
        two_ways::refuse(self.question.target.catalog, &state.history)?;
        let found = if state.history.is_blank() {
            self.question.answer(&mut connection, &mut state).await?
        } else {
            None
        };
        let Some(found) = found else {
            query::close(connection).await;
            return self.current(&state);
        };
        if self.dry_run {
            query::close(connection).await;
            return Ok(Adopted::WouldBe(found));
        }
        let mut guard = self.question.target.lock(connection, state.server, self.lock_wait).await?;
        let result = self.under_lock(&mut guard, found).await;
        guard.release().await;
        result
    }

    /// Reads again, as another run may have changed the database.
    async fn under_lock(&self, guard: &mut LockGuard, found: Baseline<'a>) -> Result<Adopted<'a>> {
        let scope = self.question.target.scope();
        let state = state::read(&mut guard.connection, scope).await?;
        if !state.history.is_blank() {
            return self.current(&state);
        }
        self.question.expect_unchanged(&mut guard.connection, &state.server, &found).await?;
        record::record(guard, &found.migrations, scope, self.question.target.stop).await?;
        Ok(Adopted::Now(found))
    }

    /// A database that already has Corveil's history, if every migration that is asked for is in it.
    fn current(&self, state: &DatabaseState) -> Result<Adopted<'a>> {
        adopt::recorded(self.question.target.catalog, &state.history, self.question.asked)?;
        Ok(Adopted::Before(state.history.newest()))
    }
}

//! Adopting a database: what `corveil adopt` does.

use std::time::Duration;

use crate::core::{adopt, two_ways};
use crate::error::Result;
use crate::operations::adopt::{Found, Question};
use crate::postgres::lock::LockGuard;
use crate::postgres::snapshot::{self, Snapshot};
use crate::postgres::{query, record};

pub(crate) enum Adopted<'a> {
    /// The database has a history of ours already, which is at this version.
    Before(Option<i64>),
    /// The database was taken over.
    Now(Found<'a>),
    /// A dry run found that it can be.
    WouldBe(Found<'a>),
}

/// Adopting, in the order of events: look, decide, compare, lock, look again, record.
pub(crate) struct Adoption<'a> {
    pub(crate) question: Question<'a>,
    pub(crate) lock_wait: Duration,
    pub(crate) dry_run: bool,
}

impl<'a> Adoption<'a> {
    /// Adopts the database, unless the run is to stop.
    ///
    /// # Errors
    /// Every reason for which the database was not taken over; nothing was written then.
    pub(crate) async fn run(&self) -> Result<Adopted<'a>> {
        tokio::select! {
            result = self.in_order() => result,
            error = self.question.target.stop.overdue() => Err(error),
        }
    }

    async fn in_order(&self) -> Result<Adopted<'a>> {
        let (mut connection, mut snapshot) = self.question.target.connect(None).await?;
        two_ways::refuse(self.question.target.catalog, &snapshot.history)?;
        let found = if snapshot.history.is_blank() {
            self.question.answer(&mut connection, &mut snapshot).await?
        } else {
            None
        };
        let Some(found) = found else {
            query::close(connection).await;
            return self.current(&snapshot);
        };
        if self.dry_run {
            query::close(connection).await;
            return Ok(Adopted::WouldBe(found));
        }
        let mut guard = self.question.target.lock(connection, snapshot.facts, self.lock_wait).await?;
        let result = self.under_lock(&mut guard, found).await;
        guard.release().await;
        result
    }

    /// Looks again, as another run may have been here.
    async fn under_lock(&self, guard: &mut LockGuard, found: Found<'a>) -> Result<Adopted<'a>> {
        let scope = self.question.target.scope();
        let snapshot = snapshot::read(&mut guard.connection, scope).await?;
        if !snapshot.history.is_blank() {
            return self.current(&snapshot);
        }
        self.question.expect_unchanged(&mut guard.connection, &snapshot.facts, &found).await?;
        record::record(guard, &found.migrations, scope, self.question.target.stop).await?;
        Ok(Adopted::Now(found))
    }

    /// A database that has a history of ours, if everything that is asked for is in it.
    fn current(&self, snapshot: &Snapshot) -> Result<Adopted<'a>> {
        adopt::recorded(self.question.target.catalog, &snapshot.history, self.question.asked)?;
        Ok(Adopted::Before(snapshot.history.newest()))
    }
}

//! Trying a file again: what is worth it, and how long to wait before.

use std::time::Duration;

use tracing::warn;

use super::Session;
use super::send::Sent;
use crate::core::batch::Timeouts;
use crate::core::directives::Timeout;
use crate::core::prepared::Prepared;
use crate::core::retry;
use crate::error::{Result, ServerError, sqlstate};

/// Whether the same file may be tried again at once: a lock timeout, a deadlock, a serialization failure, or a
/// cancelled statement that had run as long as its timeout. The server reports 57014 for a timeout and for a cancellation
/// alike, in its own language, so only the elapsed time distinguishes them.
pub(super) fn is_worth_a_retry(server: &ServerError, sent: &Sent, timeouts: Timeouts) -> bool {
    match server.sqlstate.as_deref() {
        Some(
            sqlstate::LOCK_NOT_AVAILABLE | sqlstate::DEADLOCK_DETECTED | sqlstate::SERIALIZATION_FAILURE,
        ) => true,
        Some(sqlstate::QUERY_CANCELED) => {
            sent.stopped.is_none()
                && matches!(timeouts.statement, Timeout::After(limit) if sent.elapsed >= limit)
        }
        _ => false,
    }
}

impl Session<'_> {
    /// Logs which sessions blocked it, and waits before the next try.
    pub(super) async fn pause_before_retry(
        &self,
        prepared: &Prepared<'_>,
        attempt: u32,
        server: &ServerError,
        blockers: &[String],
    ) -> Result<()> {
        let retries = self.retries(prepared);
        let pause = retry::delay(attempt, fastrand::f64());
        // The detail of a deadlock names the processes.
        let detail = server
            .detail
            .as_ref()
            .map(|detail| format!(" [{}]", detail.replace('\n', " ")))
            .unwrap_or_default();
        let behind = if blockers.is_empty() {
            String::new()
        } else {
            format!("; blocked by {}", blockers.join(" and "))
        };
        warn!(
            "`{}` failed with {server}{detail}; retry {attempt} of {retries} in {:.1} s{behind}",
            prepared.migration.file,
            pause.as_secs_f64()
        );
        self.stop.sleep(pause).await
    }
}

/// How long a statement works before the second connection checks what it waits for: less than its lock timeout.
pub(super) fn first_check(timeouts: Timeouts) -> Duration {
    // Half of PostgreSQL's `deadlock_timeout`, after which a deadlock is over.
    const LONGEST: Duration = Duration::from_millis(500);
    const SHORTEST: Duration = Duration::from_millis(50);
    match timeouts.lock {
        Timeout::Never => LONGEST,
        Timeout::After(limit) => (limit / 2).clamp(SHORTEST, LONGEST),
    }
}

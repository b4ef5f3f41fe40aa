//! Sends a batch of a migration and watches it: progress, which sessions block it, and what ends it from outside.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::TryStreamExt;
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, Either};
use tokio::time::Interval;
use tracing::{info, warn};

use super::Session;
use crate::core::progress::LOG_EVERY;
use crate::postgres::control::{Observation, Pulse};
use crate::postgres::lock::LockGuard;
use crate::postgres::query;
use crate::stop::Reason;

/// How often the second connection checks a statement that is running.
const CHECK_EVERY: Duration = Duration::from_secs(1);

/// How long a statement may take to end after its cancellation, before its backend is terminated.
const GRACE: Duration = Duration::from_secs(1);

/// The result of a batch.
pub(super) struct Sent {
    /// Statements that ended: the server answers each with a `CommandComplete`.
    pub(super) commands: usize,
    /// The last row that came back.
    pub(super) last_row: Option<PgRow>,
    pub(super) error: Option<sqlx::Error>,
    /// How long it took, with those that were watched before.
    pub(super) elapsed: Duration,
    /// Why Corveil cancelled it.
    pub(super) stopped: Option<Reason>,
    /// The sessions that blocked it at the last check.
    pub(super) blockers: Vec<String>,
}

/// When the second connection checks a batch, or several that are one piece of work.
pub(super) struct Watch {
    start: Instant,
    check: Interval,
    logged: Option<Instant>,
    pulse: Pulse,
}

impl Watch {
    /// Begins now. `first_check` is how long the work runs before its first check.
    pub(super) fn begin(first_check: Duration) -> Self {
        let check = tokio::time::interval_at(tokio::time::Instant::now() + first_check, CHECK_EVERY);
        Self { start: Instant::now(), check, logged: None, pulse: Pulse::default() }
    }
}

impl Session<'_> {
    /// Sends a batch and waits for its end.
    pub(super) async fn send(&mut self, sql: Arc<String>, watch: &mut Watch) -> Sent {
        let Session { guard, stop, progress, .. } = self;
        let LockGuard { connection, control, server, .. } = &mut **guard;
        let Watch { start, check, logged, pulse } = watch;
        let mut sent = Sent {
            commands: 0,
            last_row: None,
            error: None,
            elapsed: Duration::ZERO,
            stopped: None,
            blockers: Vec::new(),
        };
        let mut stream = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_many(&mut *connection);
        let mut ending = Ending::None;
        loop {
            tokio::select! {
                item = stream.try_next() => match item {
                    Ok(Some(Either::Left(_))) => sent.commands += 1,
                    Ok(Some(Either::Right(row))) => sent.last_row = Some(row),
                    Ok(None) => break,
                    Err(error) => {
                        sent.error = Some(error);
                        break;
                    }
                },
                reason = stop.requested(), if sent.stopped.is_none() => {
                    sent.stopped = Some(reason);
                    warn!("{}: cancelling the statement that is under way", reason.sentence());
                    if let Some(control) = control.as_ref() {
                        control.cancel(server.backend).await;
                    }
                    ending = Ending::Cancelled { at: Instant::now() };
                }
                () = ending.over() => {
                    if let Some(control) = control.as_ref() {
                        control.terminate(server.backend).await;
                    }
                    ending = Ending::Terminated;
                }
                _ = check.tick(), if sent.stopped.is_none() => {
                    let seen = match control.as_ref() {
                        Some(control) => control.observe(server.backend, pulse).await,
                        None => Ok(Observation::default()),
                    };
                    let seen = match seen {
                        Ok(seen) => seen,
                        Err(why) => {
                            sent.error = Some(query::silence(&why));
                            break;
                        }
                    };
                    if !seen.blockers.is_empty() && logged.is_none_or(|logged| logged.elapsed() >= LOG_EVERY) {
                        *logged = Some(Instant::now());
                        info!("waiting behind {}", seen.blockers.join(" and "));
                    }
                    progress.working(start.elapsed(), seen.build.as_ref());
                    if !seen.blockers.is_empty() {
                        sent.blockers = seen.blockers;
                    }
                }
            }
        }
        sent.elapsed = start.elapsed();
        sent
    }
}

/// How far the ending of a batch from outside is.
enum Ending {
    /// It is not to end.
    None,
    Cancelled {
        at: Instant,
    },
    /// Its backend was terminated. If that does not help either, the whole run is given up (see [`crate::stop::Stop::overdue`]).
    Terminated,
}

impl Ending {
    /// Resolves when the cancellation has had its time.
    async fn over(&self) {
        match self {
            Self::Cancelled { at } => tokio::time::sleep(GRACE.saturating_sub(at.elapsed())).await,
            Self::None | Self::Terminated => std::future::pending().await,
        }
    }
}

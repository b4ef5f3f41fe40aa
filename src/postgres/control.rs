//! The second connection of a run: it cancels, reads which sessions block, and reads the progress of index builds, while
//! the first one is busy with a statement.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::postgres::{PgConnection, PgRow};
use tokio::sync::Mutex;

use crate::config::database::{Database, application_name};
use crate::core::progress::IndexBuild;
use crate::error::Result;
use crate::postgres::query::{self, get};
use crate::postgres::transport;

/// How long the second connection may take to answer: what it asks is never worth more.
const PATIENCE: Duration = Duration::from_secs(2);

/// Checks without an answer, one after the other, before the server counts as out of reach, and how long that takes at
/// least: as long as the server waits for Corveil (`tcp_user_timeout`).
const SILENT_CHECKS: u32 = 10;
const SILENT_FOR: Duration = Duration::from_secs(20);

/// Checks, about one a second, that find the other session idle or gone, before its answer counts as lost on the way.
const IDLE_CHECKS: u32 = 10;

/// A second connection to the same database, opened again when it is lost. Its clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Control {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug)]
struct Inner {
    database: Database,
    connection: Option<PgConnection>,
    problem: String,
    /// Since when no question was answered, and how many were not.
    silent: Option<(Instant, u32)>,
}

/// What the server reports about a session that is at work.
#[derive(Debug, Default)]
pub(crate) struct Observation {
    /// What it waits for: sessions that block it, one line each, or a standby.
    pub(crate) blockers: Vec<String>,
    /// The index that it builds.
    pub(crate) build: Option<IndexBuild>,
    /// Whether it is there, and not idle.
    is_at_work: bool,
}

/// Decides, check by check, whether the connection of a session was lost without an error.
#[derive(Debug, Default)]
pub(crate) struct Pulse {
    idle: u32,
}

impl Control {
    /// A control of the sessions of `database`, not connected yet.
    pub(crate) fn new(database: Database) -> Self {
        let inner = Inner { database, connection: None, problem: String::new(), silent: None };
        Self { inner: Arc::new(Mutex::new(inner)) }
    }

    /// Why the second connection could not be used when it was last tried.
    pub(crate) async fn problem(&self) -> String {
        self.inner.lock().await.problem.clone()
    }

    /// The backend that serves the second connection.
    pub(crate) async fn backend(&self) -> Option<i32> {
        let results = self.inner.lock().await.ask("SELECT pg_catalog.pg_backend_pid()".into()).await?;
        get(results.first()?.first()?, 0).ok()
    }

    /// Cancels what a backend is doing; false when the request could not be sent.
    pub(crate) async fn cancel(&self, backend: i32) -> bool {
        let sql = format!("SELECT pg_catalog.pg_cancel_backend({backend})");
        self.inner.lock().await.ask(sql).await.is_some()
    }

    /// Ends a backend; false when the request could not be sent.
    pub(crate) async fn terminate(&self, backend: i32) -> bool {
        // It may have ended by itself, of which the server warns.
        let sql = format!(
            "SET LOCAL client_min_messages = error; SELECT pg_catalog.pg_terminate_backend({backend})"
        );
        self.inner.lock().await.ask(sql).await.is_some()
    }

    /// What a backend waits for, and how far its index build is.
    ///
    /// # Errors
    /// Why its connection counts as lost.
    pub(crate) async fn observe(&self, backend: i32, pulse: &mut Pulse) -> Result<Observation, String> {
        let mut inner = self.inner.lock().await;
        let Some(results) = inner.ask(observation(backend)).await else {
            return inner.silence().map_or(Ok(Observation::default()), Err);
        };
        let seen = read_observation(&results)
            .unwrap_or_else(|_| Observation { is_at_work: true, ..Observation::default() });
        pulse.idle = if seen.is_at_work { 0 } else { pulse.idle + 1 };
        if pulse.idle >= IDLE_CHECKS {
            return Err(format!("its session is no longer at work, and no answer came in {IDLE_CHECKS} s"));
        }
        Ok(seen)
    }

    /// Ends the second connection; the next question opens another.
    pub(crate) async fn close(&self) {
        if let Some(connection) = self.inner.lock().await.connection.take() {
            query::close(connection).await;
        }
    }
}

impl Inner {
    /// Runs a query of the control's own, within its patience; `None` when that is not possible.
    async fn ask(&mut self, sql: String) -> Option<Vec<Vec<PgRow>>> {
        // A server that refuses is there. Who is refused by something on the way to it has learned nothing.
        let (problem, is_silent) = match tokio::time::timeout(PATIENCE, self.try_ask(sql)).await {
            Ok(Ok(results)) => {
                self.silent = None;
                return Some(results);
            }
            Ok(Err(error)) => (query::server_error(&error).to_string(), is_unreachable(&error)),
            Err(_) => ("it does not answer in time".into(), Some(true)),
        };
        match is_silent {
            Some(true) => self.silent.get_or_insert_with(|| (Instant::now(), 0)).1 += 1,
            Some(false) => self.silent = None,
            None => {}
        }
        // A connection that was lost or did not answer in time is in an unknown state.
        self.connection = None;
        self.problem = problem;
        None
    }

    async fn try_ask(&mut self, sql: String) -> sqlx::Result<Vec<Vec<PgRow>>> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => none.insert(transport::connect(self.database.host(), &application_name(None)).await?),
        };
        query::try_all(connection, sql).await
    }

    /// Why the server counts as out of reach, if it does.
    fn silence(&self) -> Option<String> {
        let (since, checks) = self.silent?;
        let is_over = checks >= SILENT_CHECKS && since.elapsed() >= SILENT_FOR;
        is_over.then(|| {
            format!("the server answered none of {checks} checks in {} s", since.elapsed().as_secs())
        })
    }
}

/// Whether an error means that nothing answers, or that the server does; none for an error that shows neither.
fn is_unreachable(error: &sqlx::Error) -> Option<bool> {
    use std::io::ErrorKind;
    match error {
        sqlx::Error::Io(error) => match error.kind() {
            ErrorKind::TimedOut | ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => Some(true),
            _ => None,
        },
        _ => Some(false),
    }
}

/// A session as one line of text: who, what, since when.
pub(crate) const SESSION_LINE: &str = include_str!("control/session_line.sql");

fn observation(backend: i32) -> String {
    format!(include_str!("control/observation.sql"), session_line = SESSION_LINE, backend = backend)
}

fn read_observation(results: &[Vec<PgRow>]) -> Result<Observation> {
    let rows = |index: usize| results.get(index).map(Vec::as_slice).unwrap_or_default();
    let mut blockers: Vec<String> = rows(0).iter().map(|row| get(row, "blocker")).collect::<Result<_>>()?;
    let build = match rows(1).first() {
        Some(row) => Some(IndexBuild {
            phase: get(row, "phase")?,
            total: get::<i64>(row, "total")?.try_into().unwrap_or_default(),
            done: get::<i64>(row, "done")?.try_into().unwrap_or_default(),
        }),
        None => None,
    };
    // A session that is not in the list has ended.
    let Some(row) = rows(2).first() else { return Ok(Observation::default()) };
    if get(row, "waits_for_standby")? {
        blockers.push("a synchronous standby that does not confirm the COMMIT".into());
    }
    Ok(Observation { blockers, build, is_at_work: get(row, "is_at_work")? })
}

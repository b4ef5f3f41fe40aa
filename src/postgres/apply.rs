//! Applying files, one after the other, under the lock.

pub mod abandoned;
mod leftovers;
mod records;
mod send;
mod statements;
mod transaction;

use std::time::{Duration, Instant};

use serde::Serialize;
use tracing::{info, warn};

use crate::core::carried;
use crate::core::catalog::{Catalog, Migration};
use crate::core::directives::Timeout;
use crate::core::message::{self, RESET_SESSION, Timeouts};
use crate::core::progress::Progress;
use crate::core::resume::Resume;
use crate::core::retry;
use crate::core::script::{Mode, Script};
use crate::core::sql::position::{byte_of_char, position};
use crate::core::sql::quote::ident;
use crate::core::sql::split::first_line;
use crate::error::failure::{Left, Position};
use crate::error::{Detail, Error, Failure, FindingKind, Result, ServerError, sqlstate};
use crate::postgres::lock::{LockGuard, is_held};
use crate::postgres::query::{self, get};
use crate::stop::Stop;
use send::Sent;

/// What a file gets unless it asks for something else.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// `lock_timeout` and `statement_timeout`.
    pub timeouts: Timeouts,
    /// How often a file is tried again.
    pub retries: u32,
    /// How much is shown of an error.
    pub detail: Detail,
}

/// A file that was applied.
#[derive(Debug, Clone, Serialize)]
pub struct AppliedFile {
    /// Its version.
    pub version: i64,
    /// What its name says.
    pub description: String,
    /// The file's name.
    pub file: String,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
}

impl AppliedFile {
    /// A file that took so long.
    #[must_use]
    pub fn of(migration: &Migration, took: Duration) -> Self {
        Self {
            version: migration.version,
            description: migration.description.clone(),
            file: migration.file.clone(),
            duration_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

/// Why applying ended early.
#[derive(Debug)]
pub enum Ended {
    /// The connection broke while this file was under way: whether it is applied is for the history to say.
    Lost(ServerError),
    /// As the error says.
    With(Error),
}

impl Ended {
    /// Adds to a failed statement which earlier file may be why.
    #[must_use]
    pub fn with_cause(mut self, catalog: &Catalog) -> Self {
        if let Self::With(Error::Migration(failure)) = &mut self {
            failure.cause = carried::cause(catalog, failure.version, &failure.server);
        }
        self
    }
}

impl From<Error> for Ended {
    fn from(error: Error) -> Self {
        match error {
            Error::Server { source, .. } if source.connection_lost() => Self::Lost(*source),
            error => Self::With(error),
        }
    }
}

/// What applying a file needs besides the session.
pub struct Context<'a> {
    /// What a file gets unless it asks for something else.
    pub settings: Settings,
    /// Ends the run from outside.
    pub stop: &'a Stop,
    /// Shows the run.
    pub progress: &'a mut dyn Progress,
}

/// Applies files in order; `applied` holds those that are done, also when it ends early.
///
/// # Errors
/// The first file that could not be applied ends the run.
pub async fn all(
    guard: &mut LockGuard,
    scripts: &[(Script<'_>, Resume)],
    context: &mut Context<'_>,
    applied: &mut Vec<AppliedFile>,
) -> Result<(), Ended> {
    for (index, (script, resume)) in scripts.iter().enumerate() {
        let migration = script.migration;
        if let Some(reason) = context.stop.now() {
            return Err(Ended::With(reason.error(&format!("before `{}`", migration.file))));
        }
        for warning in script.warnings(index + 1 < scripts.len()) {
            warn!("`{}` {warning}", migration.file);
        }
        context.progress.file(&migration.file, index + 1, scripts.len());
        let start = Instant::now();
        let done = match &script.mode {
            Mode::Transaction { .. } => transaction::apply(guard, script, context).await,
            Mode::Statements(units) => statements::apply(guard, script, units, *resume, context).await,
        };
        let detail = context.settings.detail;
        let still_locked = done.map_err(|ended| completed(ended, applied, &scripts[index..], detail))?;
        let took = start.elapsed();
        context.progress.applied(&migration.file, took);
        applied.push(AppliedFile::of(migration, took));
        if !still_locked {
            return Err(Ended::With(Error::Interrupted {
                message: format!(
                    "the migration lock was lost while `{}` ran; the file is applied",
                    migration.file
                ),
                hint: "run `corveil migrate` again; leave the file as it is, since it is applied, and call \
                       `pg_advisory_unlock` and `pg_advisory_unlock_all` in none of the next"
                    .into(),
            }));
        }
    }
    Ok(())
}

/// Completes a failure with what the run had applied, and what it had not, and leaves out what is not to be shown.
fn completed(ended: Ended, applied: &[AppliedFile], rest: &[(Script<'_>, Resume)], detail: Detail) -> Ended {
    match ended {
        Ended::With(Error::Migration(mut failure)) => {
            failure.applied = applied.iter().map(|file| file.version).collect();
            failure.not_applied = rest.iter().map(|(script, _)| script.migration.version).collect();
            if detail == Detail::Off {
                failure.server.leave_rows_out();
            }
            Ended::With(Error::Migration(failure))
        }
        ended => ended,
    }
}

/// The timeouts of a file: its directives win over the run's settings.
fn timeouts(script: &Script<'_>, settings: Settings) -> Timeouts {
    Timeouts {
        lock: script.directives.lock_timeout.unwrap_or(settings.timeouts.lock),
        statement: script.directives.statement_timeout.unwrap_or(settings.timeouts.statement),
    }
}

/// Whether the same file may be tried again at once: a lock timeout, a deadlock, a serialization failure, or a
/// cancelled statement that had run as long as its timeout. The server says 57014 for a timeout and for a cancellation
/// alike, in its own language, so only the clock tells them apart.
fn is_worth_a_retry(server: &ServerError, sent: &Sent, timeouts: Timeouts) -> bool {
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

/// Says who was in the way, and waits before the next try.
async fn pause_before_retry(
    script: &Script<'_>,
    attempt: u32,
    retries: u32,
    server: &ServerError,
    blockers: &[String],
    stop: &Stop,
) -> Result<()> {
    let pause = retry::delay(attempt, fastrand::f64());
    // The detail of a deadlock names the processes.
    let detail =
        server.detail.as_ref().map(|detail| format!(" [{}]", detail.replace('\n', " "))).unwrap_or_default();
    let behind =
        if blockers.is_empty() { String::new() } else { format!("; blocked by {}", blockers.join(" and ")) };
    warn!(
        "`{}` met {server}{detail}; retry {attempt} of {retries} in {:.1} s{behind}",
        script.migration.file,
        pause.as_secs_f64()
    );
    stop.sleep(pause).await
}

/// Brings the session, which is in no transaction, back to the state in which every file starts; true when it still
/// holds the lock.
async fn reset_session(guard: &mut LockGuard) -> Result<bool> {
    let sql = format!("{RESET_SESSION} {}", guard.settle_session);
    let results = query::as_is(&mut guard.connection, "resetting the session", sql).await?;
    is_held(results.iter().flatten().last())
}

/// Ends the transaction that a failed statement has left open.
async fn roll_back(guard: &mut LockGuard) -> Result<()> {
    query::roll_back(&mut guard.connection).await
}

/// Where a statement failed: its place in the file and its first line.
///
/// `starts` are the offsets of the file's statements in bytes, `finished` of which were done; `character` is the
/// server's position in the file's own SQL, from 1. A syntax error is found before anything runs, so a position wins
/// over the count.
fn locate(
    sql: &str,
    starts: &[usize],
    finished: usize,
    character: Option<usize>,
) -> (Option<Position>, String) {
    let byte = character.map(|character| byte_of_char(sql, character)).filter(|byte| *byte < sql.len());
    let start = match byte {
        Some(byte) => starts.iter().copied().rfind(|start| *start <= byte),
        // A syntax error past the file's end: its last statement is not complete.
        None if character.is_some() && finished == 0 => starts.last().copied(),
        None => starts.get(finished).copied(),
    };
    let at = byte.or(start).map(|byte| position(sql, byte));
    (at, start.map_or_else(|| "COMMIT with its history row".into(), |start| first_line(&sql[start..])))
}

/// A failure without the lists, which [`all`] fills in.
fn failure(
    script: &Script<'_>,
    (position, statement): (Option<Position>, String),
    server: ServerError,
    attempts: u32,
    blockers: Vec<String>,
    left: Left,
) -> Error {
    Error::Migration(Box::new(Failure {
        file: script.migration.file.clone(),
        version: script.migration.version,
        position,
        statement,
        try_again: server.may_pass(),
        server,
        attempts,
        blockers,
        applied: Vec::new(),
        not_applied: Vec::new(),
        left,
        cause: None,
    }))
}

/// How long a statement works before somebody looks what it waits for: less than its lock timeout.
fn first_look(timeouts: Timeouts) -> Duration {
    // Half of PostgreSQL's `deadlock_timeout`, after which a deadlock is over.
    const LONGEST: Duration = Duration::from_millis(500);
    const SHORTEST: Duration = Duration::from_millis(50);
    match timeouts.lock {
        Timeout::Never => LONGEST,
        Timeout::After(limit) => (limit / 2).clamp(SHORTEST, LONGEST),
    }
}

/// Whether another tool applied the file in the meantime: sqlx-cli takes no lock.
///
/// # Errors
/// [`Error::Mismatch`] when it was another file of the same version.
async fn applied_by_another(guard: &mut LockGuard, script: &Script<'_>) -> Result<bool> {
    let migration = script.migration;
    let sql = message::own(&format!(
        "SELECT checksum FROM {}._sqlx_migrations WHERE version = {};",
        ident(guard.facts.schema()?),
        migration.version
    ));
    let results = query::as_is(&mut guard.connection, "reading the history again", sql).await?;
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
        "see that all of them run the same build",
    )]))
}

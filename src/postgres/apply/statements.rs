//! A file without a transaction: unit by unit, the intent recorded before each and its end after it.

use std::time::Instant;

use tracing::{info, warn};

use super::send::{Sent, send};
use super::{
    Context, Ended, applied_by_another, failure, first_look, is_worth_a_retry, locate, pause_before_retry,
    reset_session, roll_back, timeouts,
};
use crate::config::database::application_name;
use crate::core::history::StepState;
use crate::core::message::{self, Timeouts, hex};
use crate::core::resume::{Resume, unsettled};
use crate::core::script::{Script, Unit, UnitKind};
use crate::core::sql::quote::{ident, literal};
use crate::core::sql::split::first_line;
use crate::error::failure::Left;
use crate::error::{Error, Result, ServerError};
use crate::postgres::indexes::{self, Built};
use crate::postgres::lock::LockGuard;
use crate::postgres::query::{self, position, server_error};

/// Applies the units that are not done and records the file; true when the session still holds the lock.
pub(super) async fn apply(
    guard: &mut LockGuard,
    script: &Script<'_>,
    units: &[Unit],
    resume: Resume,
    context: &mut Context<'_>,
) -> Result<bool, Ended> {
    let start = Instant::now();
    let result = run(guard, script, units, resume, context).await;
    if matches!(result, Err(Ended::Lost(_))) {
        return result.map(|_| false);
    }
    let recorded = match result {
        Ok(Done::Here) => finish(guard, script, start).await,
        Ok(Done::ByAnother) => forget(guard, script).await.map_err(Ended::from),
        Err(ended) => Err(ended),
    };
    match recorded {
        Ok(()) => Ok(reset_session(guard).await?),
        // What ended the file is the news; a session that cannot be reset shows with the next statement.
        Err(ended) => {
            let _ = reset_session(guard).await;
            Err(ended)
        }
    }
}

/// Who carried out a unit, or all of them.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Done {
    /// This run.
    Here,
    /// Another tool, which recorded the whole file as applied.
    ByAnother,
}

async fn run(
    guard: &mut LockGuard,
    script: &Script<'_>,
    units: &[Unit],
    mut resume: Resume,
    context: &mut Context<'_>,
) -> Result<Done, Ended> {
    let timeouts = timeouts(script, context.settings);
    let settings = format!(
        "SET lock_timeout = {}; SET statement_timeout = {}; SET application_name = {};",
        timeouts.lock.as_millis(),
        timeouts.statement.as_millis(),
        literal(&application_name(Some(&script.migration.file)))
    );
    query::all(&mut guard.connection, "settling the session", settings).await?;
    // First the session as it was: what the next statement finds, and so whether it was carried out, depends on it.
    for set in units[..resume.done].iter().flat_map(|unit| &unit.replay) {
        query::as_is(&mut guard.connection, "replaying the SETs of finished statements", set.clone()).await?;
    }
    if resume.unsettled {
        resume.done += usize::from(is_built(guard, script, &units[resume.done], resume.done + 1).await?);
    }
    if resume.done > 0 {
        record_done(guard, script, &units[..resume.done]).await?;
        info!("`{}` goes on at statement {} of {}", script.migration.file, resume.done + 1, units.len());
    }
    for index in resume.done..units.len() {
        let unit = &units[index];
        if let Some(reason) = context.stop.now() {
            return Err(Ended::With(reason.error(&stopped_at(script, index, units.len()))));
        }
        context.progress.statement(&first_line(&unit.text), index + 1, units.len());
        let sets_own = units[..index].iter().any(Unit::sets_lock_timeout);
        let lock_timeout = LockTimeout::of(script, unit, sets_own, timeouts);
        if apply_unit(guard, script, units, index, lock_timeout, context).await? == Done::ByAnother {
            return Ok(Done::ByAnother);
        }
    }
    Ok(Done::Here)
}

/// What `lock_timeout` a unit gets.
#[derive(Clone, Copy)]
enum LockTimeout {
    /// The file has set its own.
    Own,
    /// Milliseconds; zero is none.
    Milliseconds(u128),
}

impl LockTimeout {
    /// A CONCURRENTLY statement waits for other transactions without blocking anybody, also on other tables: with a
    /// timeout it would only end INVALID. So it has none unless the file asks for one.
    fn of(script: &Script<'_>, unit: &Unit, sets_own: bool, timeouts: Timeouts) -> Self {
        if sets_own {
            Self::Own
        } else if unit.is_concurrent() && script.directives.lock_timeout.is_none() {
            Self::Milliseconds(0)
        } else {
            Self::Milliseconds(timeouts.lock.as_millis())
        }
    }
}

async fn apply_unit(
    guard: &mut LockGuard,
    script: &Script<'_>,
    units: &[Unit],
    index: usize,
    lock_timeout: LockTimeout,
    context: &mut Context<'_>,
) -> Result<Done, Ended> {
    let (unit, number) = (&units[index], index + 1);
    let timeouts = timeouts(script, context.settings);
    let retries = script.directives.retries.unwrap_or(context.settings.retries);
    for attempt in 1.. {
        record(guard, script, unit, number, StepState::Started, None).await?;
        if let LockTimeout::Milliseconds(ms) = lock_timeout {
            let sql = format!("SET lock_timeout = {ms}");
            query::all(&mut guard.connection, "settling the session", sql).await?;
        }
        let sent = carry_out(guard, script, unit, number, context).await?;
        let Some(error) = &sent.error else {
            if !matches!(unit.kind, UnitKind::Transaction { .. }) {
                record(guard, script, unit, number, StepState::Finished, None).await?;
            }
            return Ok(Done::Here);
        };
        let server = server_error(error);
        if server.connection_lost() && sent.stopped.is_none() {
            return Err(Ended::Lost(server));
        }
        if matches!(unit.kind, UnitKind::Transaction { .. }) {
            roll_back(guard).await?;
        }
        record(guard, script, unit, number, StepState::Failed, Some(&server)).await?;
        if let Some(reason) = sent.stopped {
            return Err(Ended::With(reason.error(&stopped_at(script, index, units.len()))));
        }
        if applied_by_another(guard, script).await? {
            return Ok(Done::ByAnother);
        }
        // A procedure may have committed part of its work, which a second try would do again.
        let may_retry = !matches!(unit.kind, UnitKind::Procedure) && attempt <= retries;
        if may_retry && is_worth_a_retry(&server, &sent, timeouts) {
            pause_before_retry(script, attempt, retries, &server, &sent.blockers, context.stop).await?;
            continue;
        }
        let place = place(script, unit, &sent, position(error));
        let left = Left::Statements { done: index, total: units.len() };
        return Err(Ended::With(failure(script, place, server, attempt, sent.blockers, left)));
    }
    unreachable!("the loop ends by returning")
}

/// Sends the unit, after what a failed build of the same index left behind is dropped.
async fn carry_out(
    guard: &mut LockGuard,
    script: &Script<'_>,
    unit: &Unit,
    number: usize,
    context: &mut Context<'_>,
) -> Result<Sent, Ended> {
    let look = first_look(timeouts(script, context.settings));
    if let UnitKind::Index(index) = &unit.kind {
        for leftover in indexes::leftovers(&mut guard.connection, &unit.text, index).await? {
            warn!("dropping INVALID index {}, which a failed build left behind", leftover.qualified());
            let sql = format!("DROP INDEX CONCURRENTLY IF EXISTS {}", leftover.qualified());
            let sent = send(guard, sql, look, context.stop, context.progress).await;
            if sent.error.is_some() {
                return Ok(sent);
            }
        }
    }
    let sql = match unit.kind {
        UnitKind::Transaction { body, .. } => {
            let finished = record_sql(guard, script, unit, number, StepState::Finished, None)?;
            message::recorded_unit(&unit.text[..body], &finished).sql
        }
        _ => unit.text.clone(),
    };
    Ok(send(guard, sql, look, context.stop, context.progress).await)
}

/// Whether a unit of which only the intent is recorded was carried out.
async fn is_built(guard: &mut LockGuard, script: &Script<'_>, unit: &Unit, number: usize) -> Result<bool> {
    let file = &script.migration.file;
    match &unit.kind {
        // Its end is recorded in its own transaction: no record, no effect.
        UnitKind::Transaction { .. } => Ok(false),
        UnitKind::Index(index) => match indexes::built(&mut guard.connection, &unit.text, index).await? {
            Built::Equal => Ok(true),
            Built::Absent | Built::Invalid => Ok(false),
            Built::Other => Err(unsettled(
                file,
                number,
                "its runner ended before it could record the end, and the index of that name is not the one that the \
                 statement describes",
            )),
        },
        UnitKind::Statement if !unit.replay.is_empty() => Ok(false),
        UnitKind::Statement | UnitKind::Concurrent | UnitKind::Procedure => Err(unsettled(
            file,
            number,
            "its runner ended between the statement and the record of its end, so whether it was carried out cannot \
             be known",
        )),
    }
}

fn place(
    script: &Script<'_>,
    unit: &Unit,
    sent: &Sent,
    character: Option<usize>,
) -> (Option<crate::error::failure::Place>, String) {
    // The unit's SQL is sent as it stands in the file, so the server counts from the unit's first character.
    let before = script.sql[..unit.start].chars().count();
    let character = character.map(|character| character + before);
    match &unit.kind {
        UnitKind::Transaction { starts, .. } => locate(script.sql, starts, sent.commands, character),
        _ => locate(script.sql, &[unit.start], 0, character),
    }
}

fn stopped_at(script: &Script<'_>, done: usize, total: usize) -> String {
    format!(
        "in `{}`; {done} of its {total} statements are done, the next run goes on there",
        script.migration.file
    )
}

/// Records exactly these units as finished, in one transaction: the catalog may just have told of one, and
/// `--resume-from` may count as done what no record says, and as not done what one says.
async fn record_done(guard: &mut LockGuard, script: &Script<'_>, done: &[Unit]) -> Result<()> {
    let mut sql = forget_sql(guard, script)?;
    for (index, unit) in done.iter().enumerate() {
        sql += &record_sql(guard, script, unit, index + 1, StepState::Finished, None)?;
    }
    own(guard, "recording the finished statements", &sql).await
}

async fn record(
    guard: &mut LockGuard,
    script: &Script<'_>,
    unit: &Unit,
    number: usize,
    state: StepState,
    error: Option<&ServerError>,
) -> Result<()> {
    let sql = record_sql(guard, script, unit, number, state, error)?;
    own(guard, "recording a statement", &sql).await
}

fn record_sql(
    guard: &LockGuard,
    script: &Script<'_>,
    unit: &Unit,
    number: usize,
    state: StepState,
    error: Option<&ServerError>,
) -> Result<String> {
    Ok(format!(
        "INSERT INTO {}._corveil_statements (version, ordinal, checksum, state, error) \
         VALUES ({}, {number}, pg_catalog.decode('{}', 'hex'), '{}', {}) ON CONFLICT (version, ordinal) DO UPDATE \
         SET checksum = EXCLUDED.checksum, state = EXCLUDED.state, error = EXCLUDED.error, \
         changed_at = pg_catalog.clock_timestamp();",
        ident(guard.facts.schema()?),
        script.migration.version,
        hex(&unit.checksum),
        state.word(),
        error.map_or_else(|| "NULL".into(), |error| literal(&error.to_string())),
    ))
}

/// Records the file as applied, and forgets its units, in one transaction.
async fn finish(guard: &mut LockGuard, script: &Script<'_>, start: Instant) -> Result<(), Ended> {
    let elapsed = start.elapsed().as_nanos().to_string();
    let row = message::history_row(guard.facts.schema()?, script.migration, &elapsed);
    let sql = format!("{row} {}", forget_sql(guard, script)?);
    match own(guard, "recording the migration", &sql).await {
        // 23505: sqlx-cli, which takes no lock, has applied and recorded the file too.
        Err(Error::Server { source, .. })
            if source.sqlstate.as_deref() == Some("23505") && applied_by_another(guard, script).await? =>
        {
            Ok(forget(guard, script).await?)
        }
        recorded => Ok(recorded?),
    }
}

/// Forgets the units of the file.
async fn forget(guard: &mut LockGuard, script: &Script<'_>) -> Result<()> {
    let sql = forget_sql(guard, script)?;
    own(guard, "forgetting the statements of a file", &sql).await
}

fn forget_sql(guard: &LockGuard, script: &Script<'_>) -> Result<String> {
    let schema = ident(guard.facts.schema()?);
    Ok(format!("DELETE FROM {schema}._corveil_statements WHERE version = {};", script.migration.version))
}

/// Runs statements of the gate's own; when they fail, their transaction is not left open for the next to trip over.
async fn own(guard: &mut LockGuard, doing: &'static str, sql: &str) -> Result<()> {
    let result = query::as_is(&mut guard.connection, doing, message::own(sql)).await;
    if result.is_err() {
        let _ = roll_back(guard).await;
    }
    result.map(drop)
}

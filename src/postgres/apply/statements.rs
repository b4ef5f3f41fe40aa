//! A file without a transaction: unit by unit, the intent recorded before each and its end after it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::info;

use super::leftovers::{self, Tidied};
use super::records::{Record, finish, forget, record_done};
use super::send::{Sent, Watch, send};
use super::{
    Context, Ended, applied_by_another, failure, first_look, is_worth_a_retry, locate, pause_before_retry,
    reset_session, roll_back, timeouts,
};
use crate::config::database::application_name;
use crate::core::history::StepState;
use crate::core::message::{self, Timeouts};
use crate::core::resume::{Begun, Resume, is_done, unsettled};
use crate::core::script::{Script, Unit, UnitKind};
use crate::core::sql::concurrent::Concurrent;
use crate::core::sql::quote::literal;
use crate::core::sql::split::first_line;
use crate::error::Result;
use crate::error::failure::Left;
use crate::postgres::concurrent::{Subject, subject};
use crate::postgres::indexes::{self, Built};
use crate::postgres::lock::LockGuard;
use crate::postgres::query::{self, position, server_error};
use crate::postgres::tables;

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
    tables::complete_statements(guard).await?;
    if let Some(begun) = resume.begun
        && begun.unsettled
        && took_effect(guard, script, &units[resume.done], resume.done + 1, begun).await?
    {
        resume = Resume { done: resume.done + 1, begun: None };
    }
    if resume.done > 0 {
        record_done(guard, script, &units[..resume.done]).await?;
        info!("`{}` goes on at statement {} of {}", script.migration.file, resume.done + 1, units.len());
    }
    let mut sets_own = units[..resume.done].iter().any(Unit::sets_lock_timeout);
    for index in resume.done..units.len() {
        let unit = &units[index];
        if let Some(reason) = context.stop.now() {
            return Err(Ended::With(reason.error(&stopped_at(script, index, units.len()))));
        }
        context.progress.statement(&first_line(&unit.text), index + 1, units.len());
        let lock_timeout = LockTimeout::of(script, unit, sets_own, timeouts);
        sets_own |= unit.sets_lock_timeout();
        let begun = resume.begun.filter(|_| index == resume.done);
        if apply_unit(guard, script, units, index, begun, lock_timeout, context).await? == Done::ByAnother {
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
    begun: Option<Begun>,
    lock_timeout: LockTimeout,
    context: &mut Context<'_>,
) -> Result<Done, Ended> {
    let (unit, number) = (&units[index], index + 1);
    let timeouts = timeouts(script, context.settings);
    let retries = script.directives.retries.unwrap_or(context.settings.retries);
    // The table as the first try found it.
    let mut relation = begun.and_then(|begun| begun.relation);
    for attempt in 1.. {
        let subject = match unit.concurrent() {
            Some(work) => subject(&mut guard.connection, &work).await?,
            None => None,
        };
        let found = subject.map(|subject| subject.relation);
        if is_done(unit, found, relation) {
            info!("statement {number} of `{}` is done: {}", script.migration.file, first_line(&unit.text));
            Record::finished(unit, number).write(guard, script).await?;
            return Ok(Done::Here);
        }
        relation = found.or(relation);
        let record = |state, error| Record { unit, number, state, error, relation };
        record(StepState::Started, None).write(guard, script).await?;
        if let LockTimeout::Milliseconds(ms) = lock_timeout {
            let sql = format!("SET lock_timeout = {ms}");
            query::all(&mut guard.connection, "settling the session", sql).await?;
        }
        let sent = carry_out(guard, script, unit, number, subject, context).await?;
        let Some(error) = &sent.error else {
            if !matches!(unit.kind, UnitKind::Transaction { .. }) {
                Record::finished(unit, number).write(guard, script).await?;
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
        // A procedure may have committed part of its work, so that its effect stays unknown.
        let is_procedure = matches!(unit.kind, UnitKind::Procedure);
        let state = if is_procedure { StepState::Started } else { StepState::Failed };
        record(state, Some(&server)).write(guard, script).await?;
        if let Some(reason) = sent.stopped {
            return Err(Ended::With(reason.error(&stopped_at(script, index, units.len()))));
        }
        if applied_by_another(guard, script).await? {
            return Ok(Done::ByAnother);
        }
        if !is_procedure && attempt <= retries && is_worth_a_retry(&server, &sent, timeouts) {
            pause_before_retry(script, attempt, retries, &server, &sent.blockers, context.stop).await?;
            continue;
        }
        if let (Some(work), false) = (unit.concurrent(), server.may_pass()) {
            leftovers::drop_now(guard, &unit.text, &work, relation, context).await;
        }
        let place = place(script, unit, &sent, position(error));
        let left = Left::Statements { done: index, total: units.len() };
        return Err(Ended::With(failure(script, place, server, attempt, sent.blockers, left)));
    }
    unreachable!("the loop ends by returning")
}

/// Sends the unit, after what earlier tries of it left behind is dropped.
async fn carry_out(
    guard: &mut LockGuard,
    script: &Script<'_>,
    unit: &Unit,
    number: usize,
    subject: Option<Subject>,
    context: &mut Context<'_>,
) -> Result<Sent, Ended> {
    let mut look = first_look(timeouts(script, context.settings));
    let work = unit.concurrent();
    if let Some(work) = &work {
        let relation = subject.map(|subject| subject.relation);
        match leftovers::tidy(guard, &unit.text, work, relation, look, context).await? {
            Tidied::Failed(sent) => return Ok(*sent),
            Tidied::Clean | Tidied::Kept(_) => {}
        }
    }
    let sql = match (&unit.kind, work) {
        (UnitKind::Transaction { body, .. }, _) => {
            let finished = Record::finished(unit, number).sql(guard, script)?;
            message::recorded_unit(&unit.text[..*body], &finished).into()
        }
        (_, Some(Concurrent::Detach(detach))) if subject.is_some_and(|subject| subject.detach_pending) => {
            info!("completing with FINALIZE what was begun before: {}", first_line(&unit.text));
            detach.finalize(&unit.text).into()
        }
        _ => Arc::clone(&unit.text),
    };
    if copies_a_database(&unit.text)
        && let Some(control) = &guard.control
    {
        // A database is copied while nobody else is connected to it, and it may be this one.
        control.close().await;
        look = UNSEEN;
    }
    Ok(send(guard, sql, &mut Watch::begin(look), context.stop, context.progress).await)
}

/// How long a statement works that nobody looks at.
const UNSEEN: Duration = Duration::from_hours(24);

fn copies_a_database(statement: &str) -> bool {
    let mut words = statement.split_ascii_whitespace();
    ["create", "database"].iter().all(|word| words.next().is_some_and(|next| next.eq_ignore_ascii_case(word)))
}

/// Why it cannot be known whether a statement was carried out.
const UNKNOWN: &str = "the process stopped after sending the statement and before recording its result, so its effect is unknown";

/// Whether a unit of which only the intent is recorded did what it says.
async fn took_effect(
    guard: &mut LockGuard,
    script: &Script<'_>,
    unit: &Unit,
    number: usize,
    begun: Begun,
) -> Result<bool> {
    let unknown = |reason| Err(unsettled(&script.migration.file, number, reason));
    match &unit.kind {
        UnitKind::Index(create) => {
            let work = Concurrent::CreateIndex(create.clone());
            let table = subject(&mut guard.connection, &work).await?.map(|subject| subject.relation);
            match indexes::built(&mut guard.connection, &unit.text, create, table).await? {
                Built::Equal => Ok(true),
                Built::Absent | Built::Invalid => Ok(false),
                Built::Other if create.name.is_none() => unknown(
                    "the process stopped before recording its result, and an index as the statement describes it exists, \
                     which an earlier statement may have made",
                ),
                Built::Other => unknown(
                    "the process stopped before recording its result, and the index of that name is not the one that \
                     the statement describes",
                ),
            }
        }
        // What it takes away is gone, but nothing says that it was there: an earlier build recorded no table.
        UnitKind::Concurrent(work @ (Concurrent::DropIndex(_) | Concurrent::Detach(_)))
            if begun.relation.is_none() && subject(&mut guard.connection, work).await?.is_none() =>
        {
            unknown(UNKNOWN)
        }
        UnitKind::Procedure => unknown(UNKNOWN),
        UnitKind::Statement if unit.replay.is_empty() => unknown(UNKNOWN),
        // The end of a transaction is recorded in itself: no record, no effect. What there is left to do for a concurrent
        // statement the catalog tells when it is applied. The others may be repeated.
        UnitKind::Transaction { .. }
        | UnitKind::Concurrent(_)
        | UnitKind::Maintenance
        | UnitKind::Statement => Ok(false),
    }
}

fn place(
    script: &Script<'_>,
    unit: &Unit,
    sent: &Sent,
    character: Option<usize>,
) -> (Option<crate::error::failure::Position>, String) {
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

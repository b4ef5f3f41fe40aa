//! A transactional file: one transaction, one commit, and one message unless the file is large or changes how the server reads it.

use std::sync::Arc;
use std::time::Duration;

use super::send::{Sent, Watch, send};
use super::{
    Context, Ended, applied_by_another, failure, first_look, is_worth_a_retry, locate, pause_before_retry,
    reset_session, roll_back, timeouts,
};
use crate::config::database::application_name;
use crate::core::message::{self, ELAPSED_IN_TRANSACTION, RESET_SESSION};
use crate::core::script::{Mode, Script};
use crate::error::failure::Left;
use crate::error::{Error, Result};
use crate::postgres::lock::{LockGuard, is_held};
use crate::postgres::query::{position, server_error};

/// Applies the file and records it; true when the session still holds the lock.
pub(super) async fn apply(
    guard: &mut LockGuard,
    script: &Script<'_>,
    context: &mut Context<'_>,
) -> Result<bool, Ended> {
    let Mode::Transaction { wrapping, cuts, .. } = &script.mode else {
        unreachable!("the caller chose by the mode")
    };
    let timeouts = timeouts(script, context.settings);
    let retries = script.directives.retries.unwrap_or(context.settings.retries);
    let message = message::transaction(
        script.sql,
        wrapping.as_ref(),
        cuts,
        timeouts,
        &application_name(Some(&script.migration.file)),
        &message::history_row(guard.facts.schema()?, script.migration, ELAPSED_IN_TRANSACTION),
        &format!("{RESET_SESSION} {}", guard.settle_session),
    );
    for attempt in 1.. {
        let (sent, sent_before) = send_parts(guard, &message.parts, first_look(timeouts), context).await;
        let Some(error) = &sent.error else {
            return Ok(is_held(sent.last_row.as_ref())?);
        };
        let server = server_error(error);
        if server.connection_lost() && sent.stopped.is_none() {
            return Err(Ended::Lost(server));
        }
        if let Some(reason) = sent.stopped {
            let file = &script.migration.file;
            let what = if server.connection_lost() || roll_back(guard).await.is_err() {
                format!("in `{file}`; whether it was committed before is for the next run to read")
            } else {
                format!("in `{file}`, which was rolled back whole")
            };
            return Err(Ended::With(reason.error(&what)));
        }
        roll_back(guard).await?;
        let still_locked = reset_session(guard).await?;
        if applied_by_another(guard, script).await? {
            return Ok(still_locked);
        }
        if is_worth_a_retry(&server, &sent, timeouts) && attempt <= retries {
            pause_before_retry(script, attempt, retries, &server, &sent.blockers, context.stop).await?;
            continue;
        }
        let finished = sent.commands.saturating_sub(message.prefix_commands);
        // The INSERT of the history row: the file is not what has to be fixed, unless it took the right to write away.
        let starts = script.starts();
        if finished == starts.len() + message::BEFORE_HISTORY_ROW && server.does_not_fit_the_table() {
            let source = Box::new(server);
            return Err(Ended::With(Error::Server { doing: "recording the migration", source }));
        }
        let character = position(error).map(|position| {
            let before: usize = sent_before.iter().map(|part| part.chars().count()).sum();
            (before + position).saturating_sub(message.prefix_chars)
        });
        let place = locate(script.sql, &starts, finished, character);
        return Err(Ended::With(failure(script, place, server, attempt, sent.blockers, Left::Nothing)));
    }
    unreachable!("the loop ends by returning")
}

/// Sends the parts one after the other, up to one that fails; also gives those before it.
async fn send_parts<'m>(
    guard: &mut LockGuard,
    parts: &'m [Arc<String>],
    first_look: Duration,
    context: &mut Context<'_>,
) -> (Sent, &'m [Arc<String>]) {
    let mut watch = Watch::begin(first_look);
    let (mut at, mut commands) = (0, 0);
    loop {
        let part = Arc::clone(&parts[at]);
        let mut sent = send(guard, part, &mut watch, context.stop, context.progress).await;
        commands += sent.commands;
        if sent.error.is_some() || at + 1 == parts.len() {
            sent.commands = commands;
            return (sent, &parts[..at]);
        }
        at += 1;
    }
}

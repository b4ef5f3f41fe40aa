//! A transactional file: one transaction, one commit, and one batch unless the file is large or changes how the server reads it.

use std::sync::Arc;
use std::time::Duration;

use super::failure::{failure, locate};
use super::retry::{first_check, is_worth_a_retry};
use super::send::{Sent, Watch};
use super::{Ended, Session};
use crate::config::database::application_name;
use crate::core::batch::{self, ELAPSED_IN_TRANSACTION};
use crate::core::prepared::{Mode, Prepared};
use crate::error::failure::Left;
use crate::error::{Error, Result};
use crate::postgres::lock::is_held;
use crate::postgres::query::{position, server_error};

impl Session<'_> {
    /// Applies the file and records it; true when the session still holds the lock.
    pub(super) async fn apply_in_transaction(&mut self, prepared: &Prepared<'_>) -> Result<bool, Ended> {
        let Mode::Transaction { wrapping, cuts, .. } = &prepared.mode else {
            unreachable!("the caller chose by the mode")
        };
        let (timeouts, retries) = (self.timeouts(prepared), self.retries(prepared));
        let batch = batch::transaction(
            prepared.sql,
            wrapping.as_ref(),
            cuts,
            timeouts,
            &application_name(Some(&prepared.migration.file)),
            &batch::history_row(self.guard.server.schema()?, prepared.migration, ELAPSED_IN_TRANSACTION),
            &self.reset_sql(),
        );
        for attempt in 1.. {
            let (sent, sent_before) = self.send_parts(&batch.parts, first_check(timeouts)).await;
            let Some(error) = &sent.error else {
                return Ok(is_held(sent.last_row.as_ref())?);
            };
            let server = server_error(error);
            if server.connection_lost() && sent.stopped.is_none() {
                return Err(Ended::ConnectionLost(server));
            }
            if let Some(reason) = sent.stopped {
                let file = &prepared.migration.file;
                let what = if server.connection_lost() || self.roll_back().await.is_err() {
                    format!("in `{file}`; the next run reads whether it was committed before")
                } else {
                    format!("in `{file}`, which was rolled back whole")
                };
                return Err(Ended::Failed(reason.error(&what)));
            }
            self.roll_back().await?;
            let still_locked = self.reset().await?;
            if self.is_applied_by_another(prepared).await? {
                return Ok(still_locked);
            }
            if is_worth_a_retry(&server, &sent, timeouts) && attempt <= retries {
                self.pause_before_retry(prepared, attempt, &server, &sent.blockers).await?;
                continue;
            }
            let finished = sent.commands.saturating_sub(batch.prefix_commands);
            // The INSERT of the history row: the file is not what has to be fixed, unless it took the right to write away.
            let starts = prepared.starts();
            if finished == starts.len() + batch::BEFORE_HISTORY_ROW && server.does_not_fit_the_table() {
                let source = Box::new(server);
                return Err(Ended::Failed(Error::Server { doing: "recording the migration", source }));
            }
            let character = position(error).map(|position| {
                let before: usize = sent_before.iter().map(|part| part.chars().count()).sum();
                (before + position).saturating_sub(batch.prefix_chars)
            });
            let place = locate(prepared.sql, &starts, finished, character);
            return Err(Ended::Failed(failure(
                prepared,
                place,
                (server, sent.blockers),
                attempt,
                Left::Nothing,
            )));
        }
        unreachable!("the loop ends by returning")
    }

    /// Sends the parts one after the other, up to one that fails; also gives those before it.
    async fn send_parts<'m>(
        &mut self,
        parts: &'m [Arc<String>],
        first_check: Duration,
    ) -> (Sent, &'m [Arc<String>]) {
        let mut watch = Watch::begin(first_check);
        let (mut at, mut commands) = (0, 0);
        loop {
            let part = Arc::clone(&parts[at]);
            let mut sent = self.send(part, &mut watch).await;
            commands += sent.commands;
            if sent.error.is_some() || at + 1 == parts.len() {
                sent.commands = commands;
                return (sent, &parts[..at]);
            }
            at += 1;
        }
    }
}

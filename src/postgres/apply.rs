//! Applying files, one after the other, under the lock.

pub(crate) mod abandoned;
mod failure;
mod leftovers;
mod records;
mod retry;
mod send;
mod session;
mod statements;
mod transaction;

use std::time::{Duration, Instant};

use serde::Serialize;
use tracing::warn;

use crate::core::batch::Timeouts;
use crate::core::carried;
use crate::core::catalog::{Catalog, Migration};
use crate::core::prepared::{Mode, Pending};
use crate::error::{Detail, Error, ServerError};

pub(crate) use session::Session;

/// What a file gets unless it asks for something else.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    /// `lock_timeout` and `statement_timeout`.
    pub(crate) timeouts: Timeouts,
    /// How often a file is tried again.
    pub(crate) retries: u32,
    /// How much is shown of an error.
    pub(crate) detail: Detail,
}

/// A file that was applied.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct AppliedFile {
    pub(crate) version: i64,
    pub(crate) description: String,
    pub(crate) file: String,
    /// How long it took, in milliseconds.
    pub(crate) duration_ms: u64,
}

impl AppliedFile {
    /// A file that took so long.
    pub(crate) fn of(migration: &Migration, took: Duration) -> Self {
        Self {
            version: migration.version,
            description: migration.description.clone(),
            file: migration.file.clone(),
            duration_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

#[derive(Debug)]
pub(crate) enum Ended {
    /// The connection broke while this file was under way: only the history shows whether it is applied.
    ConnectionLost(ServerError),
    Failed(Error),
}

impl Ended {
    /// Adds to a failed statement which earlier file may be why.
    pub(crate) fn with_cause(mut self, catalog: &Catalog) -> Self {
        if let Self::Failed(Error::Migration(failure)) = &mut self {
            failure.cause = carried::cause(catalog, failure.version, &failure.server);
        }
        self
    }
}

impl From<Error> for Ended {
    fn from(error: Error) -> Self {
        match error {
            Error::Server { source, .. } if source.connection_lost() => Self::ConnectionLost(*source),
            error => Self::Failed(error),
        }
    }
}

impl Session<'_> {
    /// Applies files in order; `applied` holds those that are done, also when it ends early.
    ///
    /// # Errors
    /// The first file that could not be applied ends the run.
    pub(crate) async fn apply(
        &mut self,
        pending: &[Pending<'_>],
        applied: &mut Vec<AppliedFile>,
    ) -> Result<(), Ended> {
        for (index, (prepared, resume)) in pending.iter().enumerate() {
            let migration = prepared.migration;
            if let Some(reason) = self.stop.now() {
                return Err(Ended::Failed(reason.error(&format!("before `{}`", migration.file))));
            }
            for warning in prepared.warnings(index + 1 < pending.len()) {
                warn!("`{}` {warning}", migration.file);
            }
            self.progress.file(&migration.file, index + 1, pending.len());
            let start = Instant::now();
            let done = match &prepared.mode {
                Mode::Transaction { .. } => self.apply_in_transaction(prepared).await,
                Mode::Statements(statements) => self.apply_statements(prepared, statements, *resume).await,
            };
            let detail = self.settings.detail;
            let still_locked = done.map_err(|ended| completed(ended, applied, &pending[index..], detail))?;
            let took = start.elapsed();
            self.progress.applied(&migration.file, took);
            applied.push(AppliedFile::of(migration, took));
            if !still_locked {
                return Err(Ended::Failed(Error::Interrupted {
                    message: format!(
                        "the migration lock was lost while `{}` ran; the file is applied",
                        migration.file
                    ),
                    hint:
                        "run `corveil migrate` again; leave the file as it is, since it is applied, and call \
                           `pg_advisory_unlock` and `pg_advisory_unlock_all` in none of the next"
                            .into(),
                }));
            }
        }
        Ok(())
    }
}

/// Completes a failure with what the run had applied, and what it had not, and leaves out what is not to be shown.
fn completed(ended: Ended, applied: &[AppliedFile], rest: &[Pending<'_>], detail: Detail) -> Ended {
    match ended {
        Ended::Failed(Error::Migration(mut failure)) => {
            failure.applied = applied.iter().map(|file| file.version).collect();
            failure.not_applied = rest.iter().map(|(prepared, _)| prepared.migration.version).collect();
            if detail == Detail::Off {
                failure.server.leave_rows_out();
            }
            Ended::Failed(Error::Migration(failure))
        }
        ended => ended,
    }
}

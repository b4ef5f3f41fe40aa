//! Every way a command can fail, what it prints, and the exit code it ends with.

pub(crate) mod difference;
pub(crate) mod differs;
pub(crate) mod failure;
pub(crate) mod finding;
pub(crate) mod sqlstate;

use std::time::Duration;

pub(crate) use difference::Difference;
pub(crate) use differs::Differs;
pub(crate) use failure::{Detail, Failure, ServerError};
pub(crate) use finding::{Finding, FindingKind};

use crate::exit::ExitCode;

/// A message for people names so many things of a kind, and of the others their number.
pub(crate) const LISTED: usize = 20;

/// A command's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a command failed. [`Error::exit_code`] is exhaustive, so a new variant cannot be left without a code.
///
/// The text of each is one sentence that reads alone; [`Error::findings`] and [`Error::failure`] carry the
/// particulars, [`Error::hint`] the next step.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A flag, a variable or a file in the environment is wrong.
    #[error("{message}")]
    Config {
        /// What is wrong, naming the input.
        message: String,
        /// The next step.
        hint: String,
    },
    /// Files are refused as they are; nothing ran.
    #[error("{}", summary(.0, "the migration files are refused"))]
    Refused(Vec<Finding>),
    /// History and files disagree; nothing ran.
    #[error("{}", summary(.0, "the history in the database does not match the files"))]
    Mismatch(Vec<Finding>),
    /// `verify` found something, or an INVALID index is left after a run.
    #[error("{}", summary(.0, "the database is not as the migrations should have left it"))]
    Findings(Vec<Finding>),
    /// A database that is to be adopted has another schema than the files make; nothing was recorded.
    #[error("{0}")]
    Differs(Box<Differs>),
    /// A statement of a migration failed.
    #[error("{0}")]
    Migration(Box<Failure>),
    /// A half-done file cannot be resumed without being told how.
    #[error("`{file}` cannot be resumed at statement {statement} by itself: {reason}")]
    EffectUnknown {
        /// The file's name.
        file: String,
        /// Number of the statement in the file, from 1.
        statement: usize,
        /// Why not.
        reason: String,
        /// The next step.
        hint: String,
    },
    /// `wait` found that the last run failed for good on a migration that this build requires.
    #[error("the last run failed on a migration that this build requires: {recorded}")]
    RunFailed {
        /// The error as that run recorded it.
        recorded: String,
        /// The exit code of that run.
        code: ExitCode,
    },
    /// The database did not answer in time.
    #[error("the database at {database} could not be used within {}: {reason}", humantime::format_duration(*.waited))]
    Unreachable {
        /// The database, without its password.
        database: String,
        /// How long it was tried.
        waited: Duration,
        /// The last reason.
        reason: String,
        /// Whether the last answer was a refusal of the credentials or of the database's name.
        refused: bool,
    },
    /// Something between us and the server shares server connections between clients.
    #[error(
        "{database} is a connection pooler in transaction or statement mode, which breaks the migration lock"
    )]
    Pooler {
        /// The database, without its password.
        database: String,
    },
    /// Another session held the migration lock for too long.
    #[error("the migration lock was not obtained within {}: {holder}", humantime::format_duration(*.waited))]
    LockNotObtained {
        /// How long it was tried.
        waited: Duration,
        /// Who holds it.
        holder: String,
    },
    /// A signal or the deadline ended the run, or the lock or the connection that held it was lost.
    #[error("{message}")]
    Interrupted {
        /// What happened, and what was and was not applied.
        message: String,
        /// The next step.
        hint: String,
    },
    /// `wait` ran out of time.
    #[error("still waiting after {}: {missing}", humantime::format_duration(*.waited))]
    WaitTimeout {
        /// How long it waited.
        waited: Duration,
        /// What is missing.
        missing: String,
        /// Whether it ended to be seen, and will wait on when it is started anew.
        goes_on: bool,
    },
    /// Another process uses the embedded server.
    #[error("the embedded PostgreSQL in `{folder}` is in use by another process")]
    EmbeddedInUse {
        /// The folder of its data.
        folder: String,
    },
    /// The gate's own statement failed.
    #[error("{doing} failed: {source}")]
    Server {
        /// What the gate was doing.
        doing: &'static str,
        /// What the server said.
        source: Box<ServerError>,
    },
}

impl Error {
    /// What is wrong with a flag, a variable or a file in the environment, and the next step.
    pub(crate) fn config(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Config { message: message.into(), hint: hint.into() }
    }

    /// The exit code that this error ends with.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Config { .. } | Self::Refused(_) | Self::Pooler { .. } => ExitCode::Usage,
            Self::Mismatch(_) | Self::Findings(_) | Self::Differs(_) => ExitCode::Mismatch,
            Self::Migration(failure) => failure.exit_code(),
            Self::EffectUnknown { .. } => ExitCode::Failed,
            Self::RunFailed { code, .. } => *code,
            Self::Unreachable { refused, .. } => {
                if *refused {
                    ExitCode::Usage
                } else {
                    ExitCode::TryAgain
                }
            }
            Self::LockNotObtained { .. }
            | Self::Interrupted { .. }
            | Self::WaitTimeout { .. }
            | Self::EmbeddedInUse { .. } => ExitCode::TryAgain,
            Self::Server { source, .. } => source.exit_code_outside_a_migration(),
        }
    }

    /// A stable word for the kind of error, for JSON.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Config { .. } => "config",
            Self::Refused(_) => "refused",
            Self::Mismatch(_) => "mismatch",
            Self::Findings(_) => "findings",
            Self::Differs(_) => "differs",
            Self::Migration(_) => "migration",
            Self::EffectUnknown { .. } => "effect_unknown",
            Self::RunFailed { .. } => "run_failed",
            Self::Unreachable { .. } => "unreachable",
            Self::Pooler { .. } => "pooler",
            Self::LockNotObtained { .. } => "lock_not_obtained",
            Self::Interrupted { .. } => "interrupted",
            Self::WaitTimeout { .. } => "wait_timeout",
            Self::EmbeddedInUse { .. } => "embedded_in_use",
            Self::Server { .. } => "server",
        }
    }

    /// The next step. Findings have one each and none together.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Config { hint, .. } | Self::Interrupted { hint, .. } | Self::EffectUnknown { hint, .. } => {
                Some(hint.clone())
            }
            Self::Refused(_) | Self::Mismatch(_) | Self::Findings(_) => None,
            Self::Differs(differs) => Some(differs.hint.clone()),
            Self::Migration(failure) => Some(failure.next_step()),
            Self::RunFailed { .. } => {
                Some("deploy a build whose migration is fixed; `corveil status` shows the run".into())
            }
            Self::Unreachable { refused: true, .. } => Some(
                "check user, password and database name in `MIGRATE_DATABASE_URL` or `DATABASE_URL`, and for TLS \
                 `sslmode` and `sslrootcert`"
                    .into(),
            ),
            Self::Unreachable { .. } => {
                Some("see that the server runs and is reachable from here, or raise `--wait-for-db`".into())
            }
            Self::Pooler { .. } => {
                Some("set `MIGRATE_DATABASE_URL` to a direct connection to the server".into())
            }
            Self::LockNotObtained { .. } => Some(
                "let that session finish or end it with `SELECT pg_terminate_backend(PID)`, then run \
                 `corveil migrate` again; `--lock-wait` sets the patience"
                    .into(),
            ),
            Self::WaitTimeout { goes_on: true, .. } => {
                Some("run `corveil migrate` with this build; the wait goes on after this one restart".into())
            }
            Self::WaitTimeout { .. } => {
                Some("run `corveil migrate` with this build, or raise `--timeout`".into())
            }
            Self::EmbeddedInUse { .. } => {
                Some("wait until that process ends, or set `DATABASE_URL` to a server".into())
            }
            Self::Server { source, .. } => source.advice(),
        }
    }

    /// The findings that the error lists; empty for the other kinds.
    pub fn findings(&self) -> &[Finding] {
        match self {
            Self::Refused(findings) | Self::Mismatch(findings) | Self::Findings(findings) => findings,
            _ => &[],
        }
    }

    /// What is different; empty for the other kinds.
    pub(crate) fn differences(&self) -> &[Difference] {
        match self {
            Self::Differs(differs) => &differs.differences,
            _ => &[],
        }
    }

    /// The particulars of a failed statement.
    pub(crate) fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Migration(failure) => Some(failure),
            _ => None,
        }
    }
}

/// One sentence for a list: the finding itself when there is one, otherwise the headline and the number of them.
fn summary(findings: &[Finding], headline: &str) -> String {
    match findings {
        [only] => only.sentence(),
        [first, rest @ ..] => {
            format!("{headline} in {} places; the first: {}", rest.len() + 1, first.sentence())
        }
        [] => headline.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(version: i64) -> Finding {
        Finding::new(FindingKind::Edited, "was edited after it was applied", "restore it")
            .file(format!("{version}_a.sql"))
            .version(version)
    }

    #[test]
    fn one_finding_is_the_sentence_itself_and_several_are_counted() {
        assert_eq!(
            Error::Mismatch(vec![finding(1)]).to_string(),
            "`1_a.sql` was edited after it was applied"
        );
        assert_eq!(
            Error::Mismatch(vec![finding(1), finding(2)]).to_string(),
            "the history in the database does not match the files in 2 places; the first: `1_a.sql` was edited \
             after it was applied"
        );
    }

    #[test]
    fn refused_credentials_are_a_configuration_error_and_an_absent_server_is_not() {
        let unreachable = |refused| Error::Unreachable {
            database: "postgres://app@db/app".into(),
            waited: Duration::from_mins(1),
            reason: "connection refused".into(),
            refused,
        };
        assert_eq!(unreachable(true).exit_code(), ExitCode::Usage);
        assert_eq!(unreachable(false).exit_code(), ExitCode::TryAgain);
    }
}

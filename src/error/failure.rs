//! A failed statement: its position, the server's error, and what was and was not applied.

use std::fmt;

use serde::Serialize;

use crate::error::sqlstate;
use crate::exit::ExitCode;

/// An error of the server, or of the connection to it.
///
/// Fields as in the [protocol](https://www.postgresql.org/docs/current/protocol-error-fields.html).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ServerError {
    /// Five characters; absent when the connection broke instead of answering.
    pub(crate) sqlstate: Option<String>,
    pub(crate) message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) detail: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) hint: Option<String>,
    /// Whether the server ended the session with it (severity FATAL or PANIC). Without an SQLSTATE: whether Corveil gave up
    /// the connection because no answer arrived.
    #[serde(skip)]
    pub(crate) fatal: bool,
    /// The call stack inside the server: PL/pgSQL functions, triggers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) context: Option<String>,
}

/// Whether the details of an error are shown where they may quote a row, which may hold personal data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Detail {
    #[default]
    On,
    /// Only those that quote no row.
    Off,
}

impl ServerError {
    /// Leaves out what may quote a row.
    ///
    /// DETAIL does where a value (class 22) or a constraint (class 23) is at fault: "Failing row contains (…)", "Key (email)=(…)
    /// already exists". Functions raise any text that their author chose (class P0). CONTEXT quotes a line of COPY.
    pub(crate) fn leave_rows_out(&mut self) {
        const QUOTING: [&str; 3] = ["22", "23", "P0"];
        if !self.sqlstate.as_deref().is_some_and(|code| QUOTING.iter().any(|class| code.starts_with(class))) {
            return;
        }
        if let Some(detail) = &mut self.detail {
            *detail = "left out, as it may quote a row; the server's log has it".into();
        }
        if let Some(context) = self.context.take() {
            let lines: Vec<_> = context.lines().filter(|line| !line.starts_with("COPY ")).collect();
            self.context = (!lines.is_empty()).then(|| lines.join("\n"));
        }
    }

    /// Whether the connection broke, or the server ended it, rather than refused the statement.
    ///
    /// The SQLSTATE does not show it: a function may raise any, and `dblink` raises those of remote servers.
    pub(crate) fn connection_lost(&self) -> bool {
        self.sqlstate.is_none() || self.fatal
    }

    /// Whether Corveil gave up the connection because no answer arrived, although no error shows that it broke. When a
    /// connection breaks, the server notices too.
    pub(crate) fn is_silence(&self) -> bool {
        self.sqlstate.is_none() && self.fatal
    }

    /// Whether the cause lies outside the statement and may pass by itself: a lost connection, a lock or statement
    /// timeout, a deadlock, a serialization failure, too few resources, a server that became read-only in a failover.
    pub(crate) fn may_pass(&self) -> bool {
        self.connection_lost()
            || self.too_small().is_none()
                && self.sqlstate.as_deref().is_some_and(|code| {
                    code.starts_with(sqlstate::INSUFFICIENT_RESOURCES)
                        || matches!(
                            code,
                            sqlstate::LOCK_NOT_AVAILABLE
                                | sqlstate::DEADLOCK_DETECTED
                                | sqlstate::SERIALIZATION_FAILURE
                                | sqlstate::QUERY_CANCELED
                                | sqlstate::READ_ONLY_SQL_TRANSACTION
                        )
                })
    }

    /// The setting of the server that has to be larger, where the statement needs more than it allows.
    ///
    /// The SQLSTATE is that of memory that is short for a while, and the texts are in the server's language, in which a
    /// setting keeps its name.
    pub(crate) fn too_small(&self) -> Option<&'static str> {
        const SETTINGS: [&str; 3] =
            ["max_locks_per_transaction", "max_pred_locks_per_transaction", "temp_file_limit"];
        let code = self.sqlstate.as_deref();
        let texts = [Some(&self.message), self.detail.as_ref(), self.hint.as_ref()];
        let names = |setting: &&str| texts.iter().flatten().any(|text| text.contains(*setting));
        matches!(code, Some(sqlstate::OUT_OF_MEMORY | sqlstate::CONFIGURATION_LIMIT_EXCEEDED))
            .then(|| SETTINGS.into_iter().find(names))
            .flatten()
    }

    /// Whether a statement of the gate conflicts with the columns of its table: 42703 is one that is missing, 42804 one of
    /// another type, 42883 what cannot be compared or converted, 23502 one more that wants a value.
    pub(crate) fn does_not_fit_the_table(&self) -> bool {
        matches!(
            self.sqlstate.as_deref(),
            Some(
                sqlstate::UNDEFINED_COLUMN
                    | sqlstate::DATATYPE_MISMATCH
                    | sqlstate::UNDEFINED_FUNCTION
                    | sqlstate::NOT_NULL_VIOLATION
            )
        )
    }

    /// The exit code for a failed statement of the gate. A missing right (42501), tables of another shape than theirs, or a
    /// protocol violation (08P01, from a pooler that handles a parameter differently) needs another configuration. Anything
    /// else is worth a retry, because no migration has failed.
    pub(crate) fn exit_code_outside_a_migration(&self) -> ExitCode {
        match self.sqlstate.as_deref() {
            Some(
                sqlstate::INSUFFICIENT_PRIVILEGE
                | sqlstate::PROTOCOL_VIOLATION
                | sqlstate::INVALID_SCHEMA_NAME,
            ) => ExitCode::Usage,
            _ if self.does_not_fit_the_table() || self.too_small().is_some() => ExitCode::Usage,
            _ => ExitCode::TryAgain,
        }
    }

    /// The next step for a failed statement of the gate.
    pub(crate) fn advice(&self) -> Option<String> {
        match self.sqlstate.as_deref() {
            Some(sqlstate::INSUFFICIENT_PRIVILEGE) => Some(
                "use the role that owns the schema in `MIGRATE_DATABASE_URL`; a `corveil migrate` run that sees both \
                 URLs grants the other role what it reads"
                    .into(),
            ),
            Some(sqlstate::PROTOCOL_VIOLATION) => {
                Some("set `MIGRATE_DATABASE_URL` to a direct connection to the server".into())
            }
            _ if self.does_not_fit_the_table() => Some(
                "compare the columns of `_sqlx_migrations`, `_corveil_statements` and `_corveil_runs` with those of another \
                 database: only sqlx and Corveil may change these tables"
                    .into(),
            ),
            _ => self.too_small().map(too_small_hint).or_else(|| self.hint.clone()),
        }
    }
}

fn too_small_hint(setting: &str) -> String {
    let restart = if setting == "temp_file_limit" { "" } else { ", which takes a restart" };
    format!("raise `{setting}` of the server{restart}")
}

impl std::error::Error for ServerError {}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.sqlstate {
            Some(code) => write!(f, " (SQLSTATE {code})"),
            None => Ok(()),
        }
    }
}

/// A position in a file, as editors show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Position {
    pub(crate) line: usize,
    /// The column in characters, from 1.
    pub(crate) column: usize,
}

/// What is left of the failed file in the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub(crate) enum Left {
    /// Nothing: the file's transaction was rolled back.
    Nothing,
    /// A file without a transaction: its first `done` statements of `total` stay.
    Statements {
        /// Finished statements.
        done: usize,
        /// Statements in the file.
        total: usize,
    },
}

/// A migration that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    pub(crate) file: String,
    pub(crate) version: i64,
    /// Where in the file; absent when the failure belongs to no statement, as at COMMIT.
    #[serde(flatten)]
    pub(crate) position: Option<Position>,
    /// First line of the statement, or what the gate was doing to the file.
    pub(crate) statement: String,
    #[serde(flatten)]
    pub(crate) server: ServerError,
    /// The number of tries of the file.
    pub(crate) attempts: u32,
    /// Whether the exit code is 75: the cause may pass.
    pub(crate) try_again: bool,
    /// The sessions that blocked it when it failed, one line each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) blockers: Vec<String>,
    /// Versions that this run applied before.
    pub(crate) applied: Vec<i64>,
    /// Versions that are still pending, this one first.
    pub(crate) not_applied: Vec<i64>,
    /// What is left of this file.
    pub(crate) left: Left,
    /// The earlier file that may have caused it.
    #[serde(flatten)]
    pub(crate) cause: Option<Cause>,
}

/// Why a statement may have failed, where the server's error does not contain the reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Cause {
    /// The cause, as a sentence.
    #[serde(rename = "probable_cause")]
    pub(crate) sentence: String,
    #[serde(skip)]
    pub(crate) remedy: String,
}

impl Failure {
    /// 75 when the cause may pass, 2 when the server is configured too small, otherwise 3.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self.server.too_small() {
            Some(_) => ExitCode::Usage,
            None if self.try_again => ExitCode::TryAgain,
            None => ExitCode::Failed,
        }
    }

    /// Where it failed, as `file:line:column`.
    pub(crate) fn location(&self) -> String {
        match self.position {
            Some(Position { line, column }) => format!("{}:{line}:{column}", self.file),
            None => self.file.clone(),
        }
    }

    /// Whether the server refused a statement for being in a transaction: one that it never runs there, or a COMMIT in a
    /// procedure. A SET TRANSACTION that comes too late, and a VACUUM in a function, have the same SQLSTATE as the first.
    fn needs_no_transaction(&self) -> bool {
        let first = self.statement.split_whitespace().next().unwrap_or_default().to_ascii_lowercase();
        match self.server.sqlstate.as_deref() {
            Some(sqlstate::INVALID_TRANSACTION_TERMINATION) => true,
            Some(sqlstate::ACTIVE_SQL_TRANSACTION) => {
                !matches!(first.as_str(), "set" | "do" | "select" | "call" | "with")
            }
            _ => false,
        }
    }

    /// What is left of the file, as a sentence.
    pub(crate) fn remains(&self) -> String {
        match self.left {
            Left::Nothing => "the file was rolled back whole".into(),
            Left::Statements { done, total } => {
                format!(
                    "{done} of the file's {total} statements stay applied, the next run resumes after them"
                )
            }
        }
    }

    pub(crate) fn next_step(&self) -> String {
        if let Some(setting) = self.server.too_small() {
            return format!("{}, or let `{}` do less in one transaction", too_small_hint(setting), self.file);
        }
        match (self.try_again, self.left) {
            (true, _) if !self.blockers.is_empty() => {
                "let the sessions named above finish, then run `corveil migrate` again; `-- corveil:retries` and \
                 `-- corveil:lock-timeout` set the file's patience"
                    .into()
            }
            (true, _) => "run `corveil migrate` again; nothing is applied twice".into(),
            (false, _) if let Some(cause) = &self.cause => cause.remedy.clone(),
            (false, Left::Nothing) if self.needs_no_transaction() => format!(
                "begin `{}` with the line `-- no-transaction`, or run `corveil migrate --no-transaction {}` if it must not \
                 be edited",
                self.file, self.version
            ),
            (false, Left::Nothing) => {
                format!("fix `{}` and run `corveil migrate` again; `--dry-run` shows what would run", self.file)
            }
            (false, Left::Statements { .. }) => format!(
                "fix the failed statement of `{}`, leave the finished ones as they are, and run `corveil migrate` again",
                self.file
            ),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "migration `{}` failed: {}", self.location(), self.server)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(sqlstate: Option<&str>) -> ServerError {
        ServerError {
            sqlstate: sqlstate.map(Into::into),
            message: "m".into(),
            detail: None,
            hint: None,
            fatal: false,
            context: None,
        }
    }

    #[test]
    fn errors_that_may_pass_are_distinguished_from_those_that_would_fail_again() {
        for passing in [None, Some("55P03"), Some("40P01"), Some("53300")] {
            assert!(server(passing).may_pass(), "{passing:?}");
        }
        for lasting in ["42703", "23505", "08001", "42501", "22012"] {
            assert!(!server(Some(lasting)).may_pass(), "{lasting}");
        }
        let ended = ServerError { fatal: true, ..server(Some("57P01")) };
        assert!(ended.may_pass() && ended.connection_lost());
    }

    #[test]
    fn a_server_that_is_configured_too_small_is_distinguished_from_one_that_is_full() {
        let short = |code: &str, hint: &str| ServerError { hint: Some(hint.into()), ..server(Some(code)) };
        for hint in [
            "You might need to increase \"max_locks_per_transaction\".",
            "Erhöhen Sie max_locks_per_transaction.",
        ] {
            let error = short("53200", hint);
            assert_eq!(error.too_small(), Some("max_locks_per_transaction"));
            assert!(!error.may_pass());
            assert_eq!(error.exit_code_outside_a_migration(), ExitCode::Usage);
            assert!(error.advice().unwrap().contains("`max_locks_per_transaction`"));
        }
        for passing in [short("53200", "x"), short("53300", "max_locks_per_transaction"), short("53100", "")]
        {
            assert!(passing.may_pass() && passing.too_small().is_none(), "{passing:?}");
            assert_eq!(passing.exit_code_outside_a_migration(), ExitCode::TryAgain);
        }
    }

    #[test]
    fn a_missing_right_on_corveils_tables_is_a_configuration_error() {
        assert_eq!(server(Some("42501")).exit_code_outside_a_migration(), ExitCode::Usage);
        assert_eq!(server(None).exit_code_outside_a_migration(), ExitCode::TryAgain);
    }
}

//! Every environment variable that the program reads. Help texts, documentation and the chart take the names from here.
//!
//! A flag beats its variable, a variable beats the default.

/// The database that the app uses. `status`, `wait`, `verify` and `serve` read it; `migrate` and `adopt` do unless the
/// next one is set.
pub const DATABASE_URL: &str = "DATABASE_URL";
/// A role with DDL rights over a direct connection, for `migrate` and `adopt`.
pub const MIGRATE_DATABASE_URL: &str = "MIGRATE_DATABASE_URL";
/// The pod's name, as Kubernetes sets it.
pub const HOSTNAME: &str = "HOSTNAME";

/// `--source`.
pub const SOURCE: &str = "CORVEIL_SOURCE";
/// `--run-whole`.
pub const RUN_WHOLE: &str = "CORVEIL_RUN_WHOLE";
/// `--history-schema`.
pub const HISTORY_SCHEMA: &str = "CORVEIL_HISTORY_SCHEMA";
/// `--history-owner`.
pub const HISTORY_OWNER: &str = "CORVEIL_HISTORY_OWNER";
/// `--target`.
pub const TARGET: &str = "CORVEIL_TARGET";
/// `--wait-for-db`.
pub const WAIT_FOR_DB: &str = "CORVEIL_WAIT_FOR_DB";
/// `--lock-wait`.
pub const LOCK_WAIT: &str = "CORVEIL_LOCK_WAIT";
/// `--lock-timeout`.
pub const LOCK_TIMEOUT: &str = "CORVEIL_LOCK_TIMEOUT";
/// `--statement-timeout`.
pub const STATEMENT_TIMEOUT: &str = "CORVEIL_STATEMENT_TIMEOUT";
/// `--retries`.
pub const RETRIES: &str = "CORVEIL_RETRIES";
/// `--detail`.
pub const DETAIL: &str = "CORVEIL_DETAIL";
/// `--deadline`.
pub const DEADLINE: &str = "CORVEIL_DEADLINE";
/// `--out-of-order`.
pub const OUT_OF_ORDER: &str = "CORVEIL_OUT_OF_ORDER";
/// `--no-transaction`.
pub const NO_TRANSACTION: &str = "CORVEIL_NO_TRANSACTION";
/// `--resume-from`.
pub const RESUME_FROM: &str = "CORVEIL_RESUME_FROM";
/// `--adopt`.
pub const ADOPT: &str = "CORVEIL_ADOPT";
/// `--adopt-to`.
pub const ADOPT_TO: &str = "CORVEIL_ADOPT_TO";
/// `--from`.
pub const FROM: &str = "CORVEIL_FROM";
/// `--to`.
pub const TO: &str = "CORVEIL_TO";
/// `--ignore`.
pub const IGNORE: &str = "CORVEIL_IGNORE";
/// `--ignore-file`.
pub const IGNORE_FILE: &str = "CORVEIL_IGNORE_FILE";
/// `--accept`.
pub const ACCEPT: &str = "CORVEIL_ACCEPT";
/// `--dry-run`.
pub const DRY_RUN: &str = "CORVEIL_DRY_RUN";
/// `--termination-log`.
pub const TERMINATION_LOG: &str = "CORVEIL_TERMINATION_LOG";
/// `--for`.
pub const FOR: &str = "CORVEIL_FOR";
/// `--timeout`.
pub const TIMEOUT: &str = "CORVEIL_TIMEOUT";
/// `--restart-after`.
pub const RESTART_AFTER: &str = "CORVEIL_RESTART_AFTER";
/// `--restart-marker`.
pub const RESTART_MARKER: &str = "CORVEIL_RESTART_MARKER";
/// `--schema`.
pub const SCHEMA: &str = "CORVEIL_SCHEMA";
/// `--scratch-url`.
pub const SCRATCH_URL: &str = "CORVEIL_SCRATCH_URL";
/// `--listen`.
pub const LISTEN: &str = "CORVEIL_LISTEN";
/// `--shutdown-timeout`.
pub const SHUTDOWN_TIMEOUT: &str = "CORVEIL_SHUTDOWN_TIMEOUT";
/// `--output`.
pub const OUTPUT: &str = "CORVEIL_OUTPUT";
/// `--log-format`.
pub const LOG_FORMAT: &str = "CORVEIL_LOG_FORMAT";
/// `--log-level`.
pub const LOG_LEVEL: &str = "CORVEIL_LOG_LEVEL";

/// A variable's value, if it is set; a value that is no UTF-8 counts as an empty one, which every reader refuses.
pub(crate) fn read(name: &str) -> Option<String> {
    std::env::var_os(name).map(|value| value.into_string().unwrap_or_default())
}

//! Builds the batches that apply a file: the SQL around the file's, and where the file's SQL starts in them.
//!
//! A simple query is one batch, so a transactional file costs one round trip. Nothing may precede BEGIN in it:
//! a SELECT there would make the file's SET TRANSACTION fail (SQLSTATE 25001).

use std::sync::Arc;

use crate::core::catalog::Migration;
use crate::core::directives::Timeout;
use crate::core::sql::quote::{ident, literal};
use crate::core::sql::transaction::Wrapping;

/// Undoes what a file did to its session, and keeps the advisory lock, which DISCARD ALL would free.
///
/// The list is that of [DISCARD ALL](https://www.postgresql.org/docs/current/sql-discard.html) without
/// `pg_advisory_unlock_all()` and DISCARD PLANS.
pub(crate) const RESET_SESSION: &str = "SET SESSION AUTHORIZATION DEFAULT; RESET ROLE; RESET ALL; DEALLOCATE ALL; \
                                 CLOSE ALL; UNLISTEN *; DISCARD TEMP; DISCARD SEQUENCES;";

/// Settings for the rest of a transaction in which Corveil reads and writes its own data.
///
/// A role that may create objects in a schema of the session's `search_path` can create functions, operators and types that
/// match better than those of `pg_catalog` ([PostgreSQL](https://www.postgresql.org/docs/current/ddl-schemas.html#DDL-SCHEMAS-PATTERNS)).
/// With `row_security` off the server refuses a query whose rows a policy would hide. The format of values is fixed, too: a
/// pooler may not pass on the settings with which a session starts. An error must not end the session: some are expected. A batch of several
/// statements is one transaction, so LOCAL ends with it.
pub(crate) const OWN_SETTINGS: &str = "SET LOCAL search_path = pg_catalog, pg_temp; SET LOCAL row_security = off; \
                                SET LOCAL bytea_output = hex; SET LOCAL datestyle = iso; \
                                SET LOCAL timezone = utc; SET LOCAL exit_on_error = off; \
                                SET LOCAL quote_all_identifiers = off;";

/// How long a statement of Corveil may wait for a lock, and how long it may run.
///
/// Neither ends a COMMIT that waits for a synchronous standby: the server stops its clock before.
pub(crate) const OWN_LIMITS: &str = "SET LOCAL lock_timeout = '8s'; SET LOCAL statement_timeout = '10s';";

/// An expression that lets the session commit durably, for its transaction or for longer:
/// after exit code 0 a crash of the server must lose nothing. Other values than `off` wait for the disk of this server.
pub(crate) fn durable(is_local: bool) -> String {
    const SETTING: &str = "pg_catalog.current_setting('synchronous_commit')";
    format!(
        "pg_catalog.set_config('synchronous_commit', \
         CASE WHEN {SETTING} OPERATOR(pg_catalog.=) 'off' THEN 'on' ELSE {SETTING} END, {is_local})"
    )
}

/// Restores the gate's rights for the rest of a transaction, after the file may have set another role.
///
/// The gate's role is the default one, not NONE: `ALTER ROLE … SET role` may have given the session another from the start.
const OWN_RIGHTS: &str = "SET LOCAL SESSION AUTHORIZATION DEFAULT; SET LOCAL role TO DEFAULT;";

/// The timeouts of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Timeouts {
    /// `lock_timeout`.
    pub(crate) lock: Timeout,
    /// `statement_timeout`; it is also set to none, because a role may have another default.
    pub(crate) statement: Timeout,
}

/// The batches that apply a file, and what locates a statement of the file in the server's answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Batch {
    /// The SQL, sent part by part: one batch, unless the file changes how the server reads what follows. It is shared with
    /// the sender, because it may be large and be sent again.
    pub(crate) parts: Vec<Arc<String>>,
    /// Characters before the file's own SQL: the server counts positions in characters.
    pub(crate) prefix_chars: usize,
    /// Statements before the file's own: the server answers each with a `CommandComplete`.
    pub(crate) prefix_commands: usize,
}

/// Statements between the file's own and the INSERT of its history row.
pub(crate) const BEFORE_HISTORY_ROW: usize = 2;

/// A transactional file with its history row, committed together; `after` follows the COMMIT. Spaces replace
/// the BEGIN and COMMIT that wrap the file, so that the server's positions are the file's. `cuts` are the offsets in bytes, in the file, at which
/// another batch starts.
///
/// The newline before the appendix ends a line comment that the file may end with. The semicolon ends a statement
/// that lacks its own.
pub(crate) fn transaction(
    file: &str,
    wrapping: Option<&Wrapping>,
    cuts: &[usize],
    timeouts: Timeouts,
    application_name: &str,
    history_row: &str,
    after: &str,
) -> Batch {
    let begin = match wrapping.map(|wrapping| wrapping.modes.as_str()) {
        None | Some("") => "BEGIN;".into(),
        Some(modes) => format!("BEGIN {modes};"),
    };
    let prefix = format!(
        "{begin} SET LOCAL lock_timeout = {}; SET LOCAL statement_timeout = {}; SET LOCAL application_name = {};\n",
        timeouts.lock.as_millis(),
        timeouts.statement.as_millis(),
        literal(application_name),
    );
    let appendix = format!(
        "\n; SET SESSION AUTHORIZATION DEFAULT; RESET ROLE; {history_row} SELECT {}; COMMIT; {after}",
        durable(true)
    );
    // As large as it will be from the beginning: growing would copy a large file, and hold it twice meanwhile.
    let mut sql = String::with_capacity(prefix.len() + file.len() + appendix.len());
    sql += &prefix;
    let mut at = 0;
    for blank in wrapping.into_iter().flat_map(|wrapping| &wrapping.blanks) {
        sql += &file[at..blank.start];
        sql.extend(blank.clone().map(|_| ' '));
        at = blank.end;
    }
    sql += &file[at..];
    sql += &appendix;
    let mut parts: Vec<_> =
        cuts.iter().rev().map(|cut| Arc::new(sql.split_off(prefix.len() + cut))).collect();
    parts.push(sql.into());
    parts.reverse();
    Batch { parts, prefix_chars: prefix.chars().count(), prefix_commands: 4 }
}

/// A BEGIN … COMMIT statement of a non-transactional file, recorded as finished in its own transaction.
pub(crate) fn recorded_block(body: &str, record: &str) -> String {
    format!("{body}\n; {OWN_RIGHTS} {record} SELECT {}; COMMIT;", durable(true))
}

/// Statements of the gate, in a separate transaction that neither changes the file's session state nor depends on it.
pub(crate) fn own(statements: &str) -> String {
    format!(
        "BEGIN READ WRITE; {OWN_RIGHTS} {OWN_SETTINGS} {OWN_LIMITS} SELECT {}; {statements} COMMIT;",
        durable(true)
    )
}

/// The INSERT of a history row, equal to what sqlx 0.9 writes.
///
/// Nothing in it depends on the `search_path`. That stays as the file set it, because the file's deferred triggers fire at
/// COMMIT.
/// `execution_time` is an SQL expression in nanoseconds. The checksum goes through `decode`, so that the row is the
/// same under any `standard_conforming_strings` that the file may have set.
pub(crate) fn history_row(schema: &str, migration: &Migration, execution_time: &str) -> String {
    format!(
        "INSERT INTO {}._sqlx_migrations (version, description, success, checksum, execution_time) \
         VALUES ({}, {}, TRUE, pg_catalog.decode('{}', 'hex'), {execution_time});",
        ident(schema),
        migration.version,
        literal(&migration.description),
        hex(&migration.checksum),
    )
}

/// Nanoseconds since the transaction began, as an SQL expression.
pub(crate) const ELAPSED_IN_TRANSACTION: &str = "(EXTRACT(EPOCH FROM pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) \
                                          pg_catalog.transaction_timestamp()) OPERATOR(pg_catalog.*) \
                                          1000000000)::pg_catalog.int8";

/// Bytes in hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUTS: Timeouts = Timeouts { lock: Timeout::Never, statement: Timeout::Never };

    #[test]
    fn a_file_that_ends_in_a_comment_does_not_swallow_its_history_row() {
        let batch = transaction("SELECT 1 -- done", None, &[], TIMEOUTS, "corveil", "INSERT;", "");
        assert!(batch.parts[0].contains("-- done\n; SET SESSION"), "{batch:?}");
    }

    #[test]
    fn the_file_starts_at_the_recorded_offset() {
        let file = "BEGIN; ÄÖ; END";
        let wrapping = Wrapping { blanks: vec![0..5, 5..6, 13..16], modes: "READ WRITE".into() };
        let batch = transaction(file, Some(&wrapping), &[], TIMEOUTS, "corveil é", "", "");
        let [sql] = &batch.parts[..] else { panic!("{batch:?}") };
        let rest: String = sql.chars().skip(batch.prefix_chars).collect();
        assert!(rest.starts_with("       ÄÖ;    \n; SET"), "{rest}");
        assert!(sql.starts_with("BEGIN READ WRITE;"));
        assert_eq!(sql.matches(';').count() - 6, batch.prefix_commands);
    }

    #[test]
    fn a_file_is_sent_in_parts_where_it_is_cut() {
        let batch = transaction("SET a; é; c", None, &[7, 11], TIMEOUTS, "corveil", "INSERT;", "");
        let [first, second, third] = &batch.parts[..] else { panic!("{batch:?}") };
        assert!(first.ends_with("\nSET a; ") && *second.as_str() == *"é; " && third.starts_with("c\n; SET"));
    }
}

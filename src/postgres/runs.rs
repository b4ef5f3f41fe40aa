//! `_corveil_runs`: one row for each run that had something to do, so that the next person can see what happened.

use serde::Serialize;
use sqlx::postgres::{PgConnection, PgRow};

use crate::config::{host, secret};
use crate::core::batch::hex;
use crate::core::catalog::Migration;
use crate::core::sql::quote::{ident, literal};
use crate::error::{Error, Result};
use crate::exit::ExitCode;
use crate::postgres::lock::lock_holders_sql;
use crate::postgres::query::{self, get};

/// Rows that are shown and kept in mind.
const SHOWN: u32 = 5;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    Running,
    /// It succeeded.
    Succeeded,
    /// It ended with an error.
    Failed,
    /// It ended without recording a result: the process or its machine was killed.
    Died,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Run {
    /// When it started, in UTC.
    pub(crate) started_at: String,
    /// When it ended, in UTC.
    pub(crate) ended_at: Option<String>,
    /// When it started, in seconds since 1970.
    #[serde(skip)]
    pub(crate) started_epoch: i64,
    /// When it ended, in seconds since 1970.
    #[serde(skip)]
    pub(crate) ended_epoch: Option<i64>,
    pub(crate) outcome: Outcome,
    /// Its exit code, once it has ended.
    pub(crate) exit_code: Option<i16>,
    /// Newest applied version when it started.
    pub(crate) from_version: Option<i64>,
    /// Newest applied version when it ended.
    pub(crate) to_version: Option<i64>,
    pub(crate) failed_version: Option<i64>,
    pub(crate) failed_checksum: Option<String>,
    pub(crate) error: Option<String>,
    pub(crate) build: String,
    /// The pod or host that it ran on.
    pub(crate) host: String,
}

/// Writes the row of a run that starts, and returns its id.
pub(crate) async fn start(connection: &mut PgConnection, schema: &str, from: Option<i64>) -> Result<i64> {
    let sql = format!(
        "INSERT INTO {}._corveil_runs (from_version, build, host, backend) VALUES ({}, {}, {}, pg_backend_pid()) \
         RETURNING id",
        ident(schema),
        number(from),
        literal(env!("CARGO_PKG_VERSION")),
        literal(host::name()),
    );
    get(&query::one(connection, "recording the run", sql).await?, 0)
}

#[derive(Debug)]
pub(crate) struct End<'a> {
    /// Its id. Without one it is the newest run that has not ended: after a lost connection the run knows itself by that.
    pub(crate) id: Option<i64>,
    pub(crate) to: Option<i64>,
    /// Why it failed, if it did.
    pub(crate) error: Option<&'a Error>,
    pub(crate) failed: Option<&'a Migration>,
}

/// Writes how a run ended.
pub(crate) async fn end(connection: &mut PgConnection, schema: &str, end: &End<'_>) -> Result<()> {
    let End { id, to, error, failed } = *end;
    let which = match id {
        Some(id) => id.to_string(),
        None => format!("(SELECT max(id) FROM {}._corveil_runs WHERE ended_at IS NULL)", ident(schema)),
    };
    let code = error.map_or(ExitCode::Ok, Error::exit_code);
    let sql = format!(
        "UPDATE {}._corveil_runs SET ended_at = clock_timestamp(), outcome = {}, exit_code = {}, to_version = {}, \
         failed_version = {}, failed_checksum = decode({}, 'hex'), error = {} WHERE id = {which}",
        ident(schema),
        literal(if error.is_none() { "succeeded" } else { "failed" }),
        code.code(),
        number(to),
        number(failed.map(|migration| migration.version)),
        failed.map_or_else(|| "NULL".into(), |migration| format!("'{}'", hex(&migration.checksum))),
        error.map_or_else(|| "NULL".into(), |error| literal(&secret::hidden(&error.to_string()))),
    );
    query::all(connection, "recording the run's end", sql).await.map(drop)
}

/// The INSERT of a run that has only recorded what was there, up to the version `to`.
pub(crate) fn recorded(schema: &str, to: Option<i64>) -> String {
    format!(
        "INSERT INTO {}._corveil_runs (ended_at, outcome, exit_code, to_version, build, host, backend) \
         VALUES (clock_timestamp(), 'succeeded', {}, {}, {}, {}, pg_backend_pid());",
        ident(schema),
        ExitCode::Ok.code(),
        number(to),
        literal(env!("CARGO_PKG_VERSION")),
        literal(host::name()),
    )
}

fn number(version: Option<i64>) -> String {
    version.map_or_else(|| "NULL".into(), |version| version.to_string())
}

/// The last runs of a table, newest first, and whether another session holds the migration lock now.
///
/// A row without an end belongs to a run that is at work if its backend holds the lock, and died otherwise.
pub(crate) async fn last(
    connection: &mut PgConnection,
    table: &str,
    database: &str,
) -> Result<(Vec<Run>, bool)> {
    let sql =
        format!("{} SELECT EXISTS ({});", newest_sql(table, database, SHOWN), lock_holders_sql(database));
    let doing = "reading the last runs";
    let results = query::all(connection, doing, sql).await?;
    let [runs, locked] = results.as_slice() else { return Err(query::no_row(doing)) };
    let locked = locked.first().ok_or_else(|| query::no_row(doing))?;
    Ok((runs.iter().map(run).collect::<Result<_>>()?, get(locked, 0)?))
}

/// Selects the newest runs of a table, to be read by [`run`].
///
/// Who holds the lock is asked only for a run without an end: PostgreSQL evaluates the sides of an AND in a select list
/// from left to right, and reads a subquery when it comes to it.
pub(crate) fn newest_sql(table: &str, database: &str, limit: u32) -> String {
    format!(
        include_str!("runs/newest.sql"),
        lock_holders = lock_holders_sql(database),
        table = table,
        limit = limit
    )
}

/// Reads a row of [`newest_sql`].
pub(crate) fn run(row: &PgRow) -> Result<Run> {
    Ok(Run {
        started_at: get(row, "started_at")?,
        ended_at: get(row, "ended_at")?,
        outcome: match get(row, "outcome")? {
            "running" => Outcome::Running,
            "succeeded" => Outcome::Succeeded,
            "died" => Outcome::Died,
            _ => Outcome::Failed,
        },
        exit_code: get(row, "exit_code")?,
        from_version: get(row, "from_version")?,
        to_version: get(row, "to_version")?,
        failed_version: get(row, "failed_version")?,
        failed_checksum: get(row, "failed_checksum")?,
        error: get(row, "error")?,
        build: get(row, "build")?,
        host: get(row, "host")?,
        started_epoch: get(row, "started_epoch")?,
        ended_epoch: get(row, "ended_epoch")?,
    })
}

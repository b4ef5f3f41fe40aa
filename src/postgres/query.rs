//! Simple queries: one batch, any number of statements, rows as text.
//!
//! Every answer is waited for within a bound, as the way to the server may lose packets silently. The server ends a
//! question by itself earlier ([`OWN_LIMITS`]), so that none waits behind a lock when its client has given up.
//!
//! What the program asks for itself runs under [`OWN_SETTINGS`]: another role may have put functions, operators and types
//! into a schema of the `search_path`, and they would run with the rights of the role that runs the program (CVE-2018-1058).
//! [`as_is`] sends SQL without them, for text that is a file's and for what a transaction cannot contain.
//!
//! A repeated check runs [`within`] a limit that is part of every such batch.

use std::io;
use std::time::Duration;

use futures_util::TryStreamExt;
use sqlx::postgres::{PgConnection, PgDatabaseError, PgErrorPosition, PgRow, PgSeverity};
use sqlx::{AssertSqlSafe, ColumnIndex, Connection, Decode, Either, Postgres, Row, Type};

use crate::core::batch::{OWN_LIMITS, OWN_SETTINGS};
use crate::error::{Error, Result, ServerError};
use crate::postgres::decode;

/// How long the answer to one of Corveil's own statements may take: more than [`OWN_LIMITS`] let it work.
const ANSWER: Duration = Duration::from_secs(15);

/// The same for work whose length depends on the database: reading a whole schema, making a scratch database.
const LONG_WORK: Duration = Duration::from_mins(10);

/// How long a connection may take to end in an orderly way.
const FAREWELL: Duration = Duration::from_secs(2);

/// When the server ends a batch of a check by itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limit {
    /// How long the batch may take.
    pub(crate) batch: Duration,
    /// How much of that it may wait for one lock.
    pub(crate) lock: Duration,
}

tokio::task_local! {
    /// The limit of the check that runs in this task. Here, so that no batch of a check can be sent without it.
    static LIMIT: Limit;
}

/// Runs a check of which the server ends each batch at this limit in place of [`OWN_LIMITS`].
///
/// The settings are LOCAL to each batch, as a pooler may hand the server connection to another client after it. What is
/// sent by [`as_is`] has no such limit.
pub(crate) async fn within<T>(limit: Limit, check: impl Future<Output = T>) -> T {
    LIMIT.scope(limit, check).await
}

/// The settings at the start of each batch that Corveil itself sends.
pub(super) fn own_settings() -> String {
    let limit = LIMIT.try_with(|limit| {
        // Zero would be no limit at all.
        let (batch, lock) = (limit.batch.as_millis().max(1), limit.lock.as_millis().max(1));
        format!("SET LOCAL lock_timeout = {lock}; SET LOCAL statement_timeout = {batch};")
    });
    format!("{OWN_SETTINGS} {}", limit.unwrap_or_else(|_| OWN_LIMITS.into()))
}

/// Runs statements and returns the rows of each.
pub(crate) async fn all(
    connection: &mut PgConnection,
    doing: &'static str,
    sql: String,
) -> Result<Vec<Vec<PgRow>>> {
    try_all(connection, sql).await.map_err(|error| failed(doing, &error))
}

/// The same with the error as it came.
pub(crate) async fn try_all(connection: &mut PgConnection, sql: String) -> sqlx::Result<Vec<Vec<PgRow>>> {
    let (results, error) = results(connection, &own_settings(), &sql).await;
    error.map_or(Ok(results), Err)
}

/// Runs statements under the session's own settings and returns the rows of each. Every function, operator, type and cast
/// of the program's own has to be qualified in it.
pub(crate) async fn as_is(
    connection: &mut PgConnection,
    doing: &'static str,
    sql: String,
) -> Result<Vec<Vec<PgRow>>> {
    let (results, error) = try_as_is(connection, sql).await;
    result(doing, results, error)
}

/// The same for work that may take long.
pub(crate) async fn work_as_is(
    connection: &mut PgConnection,
    doing: &'static str,
    sql: String,
) -> Result<Vec<Vec<PgRow>>> {
    let (results, error) = answers(connection, sql, LONG_WORK).await;
    result(doing, results, error)
}

/// Ends the transaction that a failed statement has left open.
pub(crate) async fn roll_back(connection: &mut PgConnection) -> Result<()> {
    as_is(connection, "rolling back", "ROLLBACK".into()).await.map(drop)
}

/// The same after an error of Corveil's, for a session that is used further: nothing, where the error is that it is lost.
pub(crate) async fn roll_back_after(connection: &mut PgConnection, error: &Error) {
    if !matches!(error, Error::Server { source, .. } if source.connection_lost()) {
        // A session that cannot be rolled back shows with its next statement.
        let _ = roll_back(connection).await;
    }
}

/// Runs statements and returns the rows of the last one.
pub(crate) async fn last(
    connection: &mut PgConnection,
    doing: &'static str,
    sql: String,
) -> Result<Vec<PgRow>> {
    Ok(all(connection, doing, sql).await?.pop().unwrap_or_default())
}

/// Runs statements and returns the first row of the last one.
pub(crate) async fn one(connection: &mut PgConnection, doing: &'static str, sql: String) -> Result<PgRow> {
    last(connection, doing, sql).await?.into_iter().next().ok_or_else(|| no_row(doing))
}

/// The error of an answer without the row that it must have.
pub(crate) fn no_row(doing: &'static str) -> Error {
    Error::Server { doing, source: Box::new(server_error(&sqlx::Error::RowNotFound)) }
}

/// Closes a connection in an orderly way, if it still listens.
pub(crate) async fn close(connection: PgConnection) {
    // The server ends the session in any case.
    let _ = tokio::time::timeout(FAREWELL, connection.close()).await;
}

/// The server's error, and what Corveil was doing.
pub(crate) fn failed(doing: &'static str, error: &sqlx::Error) -> Error {
    Error::Server { doing, source: Box::new(server_error(error)) }
}

fn result(
    doing: &'static str,
    results: Vec<Vec<PgRow>>,
    error: Option<sqlx::Error>,
) -> Result<Vec<Vec<PgRow>>> {
    match error {
        None => Ok(results),
        Some(error) => Err(failed(doing, &error)),
    }
}

/// Runs statements under settings; returns the rows of those statements that ended, and why the next one did not.
async fn results(
    connection: &mut PgConnection,
    settings: &str,
    sql: &str,
) -> (Vec<Vec<PgRow>>, Option<sqlx::Error>) {
    let (mut results, error) = answers(connection, format!("{settings} {sql}"), ANSWER).await;
    let settings = settings.matches(';').count();
    (results.split_off(settings.min(results.len())), error)
}

/// The same, as [`as_is`].
pub(crate) async fn try_as_is(
    connection: &mut PgConnection,
    sql: String,
) -> (Vec<Vec<PgRow>>, Option<sqlx::Error>) {
    answers(connection, sql, ANSWER).await
}

/// Sends statements and collects their answers, each row and each end of a statement within the bound.
async fn answers(
    connection: &mut PgConnection,
    sql: String,
    bound: Duration,
) -> (Vec<Vec<PgRow>>, Option<sqlx::Error>) {
    let mut results = Vec::new();
    let mut rows = Vec::new();
    let mut stream = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_many(connection);
    loop {
        match tokio::time::timeout(bound, stream.try_next()).await {
            Ok(Ok(Some(Either::Right(row)))) => rows.push(row),
            Ok(Ok(Some(Either::Left(_)))) => results.push(std::mem::take(&mut rows)),
            Ok(Ok(None)) => return (results, None),
            Ok(Err(error)) => return (results, Some(error)),
            Err(_) => return (results, Some(silence(&format!("no answer within {} s", bound.as_secs())))),
        }
    }
}

/// The error of a connection that is given up although no error shows that it broke.
pub(crate) fn silence(what: &str) -> sqlx::Error {
    sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, what.to_owned()))
}

/// A column, by its place in the row or by its name.
pub(crate) trait Column: ColumnIndex<PgRow> + Copy {}

impl<T: ColumnIndex<PgRow> + Copy> Column for T {}

/// A column of a row.
///
/// # Errors
/// [`Error::Config`] when the value is not of this type: a table of Corveil's or sqlx's is not as these make it.
pub(crate) fn get<'r, T>(row: &'r PgRow, column: impl Column) -> Result<T>
where
    T: Decode<'r, Postgres> + Type<Postgres>,
{
    row.try_get(column).map_err(|error| decode::undecodable(row, column, &error))
}

/// A column as the server writes it, whatever its type.
///
/// # Errors
/// [`Error::Config`] when it is NULL.
pub(crate) fn text(row: &PgRow, column: impl Column) -> Result<&str> {
    row.try_get_unchecked(column).map_err(|error| decode::undecodable(row, column, &error))
}

/// The server's error, or how the connection broke.
pub(crate) fn server_error(error: &sqlx::Error) -> ServerError {
    let plain = |message: String| ServerError {
        sqlstate: None,
        message,
        detail: None,
        hint: None,
        fatal: false,
        context: None,
    };
    match error {
        sqlx::Error::Database(inner) => match inner.try_downcast_ref::<PgDatabaseError>() {
            Some(e) => ServerError {
                sqlstate: Some(e.code().to_owned()),
                message: e.message().to_owned(),
                detail: e.detail().map(ToOwned::to_owned),
                hint: e.hint().map(ToOwned::to_owned),
                fatal: matches!(e.severity(), PgSeverity::Fatal | PgSeverity::Panic),
                context: e.r#where().map(ToOwned::to_owned),
            },
            None => plain(inner.message().to_owned()),
        },
        sqlx::Error::Io(e) => ServerError {
            fatal: e.kind() == io::ErrorKind::TimedOut,
            ..plain(format!("the connection to the server was lost: {e}"))
        },
        other => plain(other.to_string()),
    }
}

/// The position of an error in the batch that was sent, in characters from 1.
pub(crate) fn position(error: &sqlx::Error) -> Option<usize> {
    let sqlx::Error::Database(inner) = error else { return None };
    match inner.try_downcast_ref::<PgDatabaseError>()?.position()? {
        PgErrorPosition::Original(position) => Some(position),
        PgErrorPosition::Internal { .. } => None,
    }
}

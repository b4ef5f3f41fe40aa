//! What the scenarios read again and again: the history, the lock, the sessions of runs, and whom they wait for.

use std::time::Duration;

use sqlx::postgres::Postgres;
use sqlx::{AssertSqlSafe, Decode, Executor, PgConnection, Row, Type};

use crate::support::{Database, wait_until};

/// How long a thing may take that should happen soon, on a machine that is busy with other tests.
pub(crate) const SOON: Duration = Duration::from_mins(1);

impl Database {
    /// The versions in the history, in order; none where there is no history.
    pub(crate) async fn applied(&self) -> Vec<i64> {
        if self.value("SELECT to_regclass('_sqlx_migrations') IS NULL").await {
            return Vec::new();
        }
        self.values("SELECT version FROM _sqlx_migrations WHERE success ORDER BY version").await
    }

    /// Whether a table, an index or a view of this name exists.
    pub(crate) async fn has(&self, relation: &str) -> bool {
        self.value(&format!("SELECT to_regclass('{relation}') IS NOT NULL")).await
    }

    /// Whether a run has left anything here.
    pub(crate) async fn is_touched(&self) -> bool {
        self.value("SELECT count(*) > 0 FROM pg_class WHERE relname ~ '^_(sqlx|corveil)_'").await
    }

    /// Whether no session holds an advisory lock here, whatever its key.
    pub(crate) async fn is_unlocked(&self) -> bool {
        self.value(
            "SELECT count(*) = 0 FROM pg_locks l JOIN pg_database d ON d.oid = l.database
             WHERE d.datname = current_database() AND l.locktype = 'advisory' AND l.granted",
        )
        .await
    }

    /// Waits for a session of a run of which `condition` holds in `pg_stat_activity`, and answers its process.
    pub(crate) async fn runner(&self, condition: &str) -> i32 {
        let sql = format!(
            "SELECT pid FROM pg_stat_activity
             WHERE datname = current_database() AND application_name LIKE 'corveil/%' AND {condition}"
        );
        let mut connection = self.connect().await;
        let mut found = Vec::new();
        wait_until(&format!("a run has a session with {condition}"), SOON, async || {
            found = ask::<i32>(&mut connection, &sql).await;
            !found.is_empty()
        })
        .await;
        found[0]
    }

    /// Waits for a run that sleeps in a statement of this file.
    pub(crate) async fn sleeper(&self, file: &str) -> i32 {
        self.runner(&format!("application_name LIKE '%{file}' AND wait_event = 'PgSleep'")).await
    }

    /// Waits until no run has a session here any more, for at most `limit`, and no session holds a lock.
    pub(crate) async fn wait_until_left(&self, limit: Duration) {
        let mut connection = self.connect().await;
        let sql = "SELECT (SELECT count(*) FROM pg_stat_activity
                     WHERE datname = current_database() AND application_name LIKE 'corveil/%')
                 + (SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database
                     WHERE d.datname = current_database() AND l.locktype = 'advisory')";
        wait_until("every run has left the database and its lock", limit, async || {
            ask::<i64>(&mut connection, sql).await == [0]
        })
        .await;
    }

    /// A session that has opened a transaction, run these statements in it, and stays there.
    pub(crate) async fn begin(&self, sql: &str) -> PgConnection {
        let mut connection = self.connect().await;
        connection
            .execute(AssertSqlSafe(format!("BEGIN; {sql}")))
            .await
            .unwrap_or_else(|error| panic!("{error}, in {sql}"));
        connection
    }
}

/// The first column of every row.
pub(crate) async fn ask<T>(connection: &mut PgConnection, sql: &str) -> Vec<T>
where
    T: for<'r> Decode<'r, Postgres> + Type<Postgres>,
{
    let rows = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(connection).await;
    rows.unwrap_or_else(|error| panic!("{error}, in {sql}")).iter().map(|row| row.get(0)).collect()
}

/// The process that serves a connection.
pub(crate) async fn backend(connection: &mut PgConnection) -> i32 {
    ask(connection, "SELECT pg_backend_pid()").await.remove(0)
}

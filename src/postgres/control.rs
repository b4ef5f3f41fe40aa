//! The second connection of a run: it cancels, looks who is in the way, and reads the progress of index builds, while
//! the first one is busy with a statement.

use std::time::Duration;

use sqlx::Connection;
use sqlx::postgres::PgConnection;

use crate::config::database::{Database, application_name};
use crate::core::progress::IndexBuild;
use crate::error::Result;
use crate::postgres::{connect, query};

/// How long the second connection may take to answer: what it asks is never worth more.
const PATIENCE: Duration = Duration::from_secs(2);

/// A second connection to the same database, opened again when it is lost.
#[derive(Debug)]
pub struct Control {
    database: Database,
    connection: Option<PgConnection>,
    problem: String,
}

/// What the server says of a session that is at work.
#[derive(Debug, Default)]
pub struct Observation {
    /// Sessions that block it, one line each.
    pub blockers: Vec<String>,
    /// The index that it builds.
    pub build: Option<IndexBuild>,
}

impl Control {
    /// A control of the sessions of `database`, not connected yet.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database, connection: None, problem: String::new() }
    }

    /// Runs a query of the control's own, within its patience; `None` when that is not possible.
    async fn ask(&mut self, sql: String) -> Option<Vec<Vec<sqlx::postgres::PgRow>>> {
        let answer = tokio::time::timeout(PATIENCE, async {
            if self.connection.is_none() {
                let new = connect::once(&self.database, &application_name(None), PATIENCE).await;
                self.connection = Some(new.map_err(|unusable| unusable.reason)?);
            }
            let Some(connection) = &mut self.connection else { return Err(String::new()) };
            query::all(connection, "observing the migration", sql).await.map_err(|error| error.to_string())
        })
        .await;
        match answer.unwrap_or_else(|_| Err("it does not answer in time".into())) {
            Ok(results) => Some(results),
            Err(problem) => {
                // A connection that was lost or did not answer in time is in an unknown state.
                self.connection = None;
                self.problem = problem;
                None
            }
        }
    }

    /// Why the second connection could not be used when it was last tried.
    #[must_use]
    pub fn problem(&self) -> &str {
        &self.problem
    }

    /// The backend that serves the second connection.
    pub async fn backend(&mut self) -> Option<i32> {
        let results = self.ask("SELECT pg_catalog.pg_backend_pid()".into()).await?;
        query::get(results.first()?.first()?, 0).ok()
    }

    /// Cancels what a backend is doing; false when it could not be told.
    pub async fn cancel(&mut self, backend: i32) -> bool {
        self.ask(format!("SELECT pg_catalog.pg_cancel_backend({backend})")).await.is_some()
    }

    /// Ends a backend; false when it could not be told.
    pub async fn terminate(&mut self, backend: i32) -> bool {
        self.ask(format!("SELECT pg_catalog.pg_terminate_backend({backend})")).await.is_some()
    }

    /// Who blocks a backend, and how far its index build is.
    pub async fn observe(&mut self, backend: i32) -> Observation {
        let Some(results) = self.ask(observation(backend)).await else { return Observation::default() };
        read_observation(&results).unwrap_or_default()
    }

    /// Ends the second connection.
    pub async fn close(self) {
        if let Some(connection) = self.connection {
            let _ = tokio::time::timeout(PATIENCE, connection.close()).await;
        }
    }
}

/// A session as one line of text: who, what, since when.
pub const SESSION_LINE: &str = "'pid ' || a.pid || ' (' || coalesce(nullif(a.application_name, ''), 'no name') \
    || coalesce(', ' || host(a.client_addr), '') || ', ' || coalesce(a.state, 'state not visible') \
    || coalesce(', transaction open for ' || extract(epoch FROM clock_timestamp() - a.xact_start)::int || ' s', \
                ', idle for ' || extract(epoch FROM clock_timestamp() - a.state_change)::int || ' s', '') \
    || '): ' || coalesce(left(regexp_replace(a.query, '[[:space:]]+', ' ', 'g'), 120) \
                         || CASE WHEN length(a.query) > 120 THEN '…' ELSE '' END, '')";

fn observation(backend: i32) -> String {
    format!(
        "SELECT coalesce({SESSION_LINE}, 'a prepared transaction, see pg_prepared_xacts') \
           FROM pg_catalog.unnest(pg_catalog.pg_blocking_pids({backend})) AS b(pid) \
           LEFT JOIN pg_catalog.pg_stat_activity a USING (pid) ORDER BY a.xact_start NULLS LAST; \
         SELECT phase::text, coalesce(nullif(blocks_total, 0), tuples_total)::int8, \
                CASE WHEN blocks_total > 0 THEN blocks_done ELSE tuples_done END::int8 \
           FROM pg_catalog.pg_stat_progress_create_index WHERE pid = {backend};"
    )
}

fn read_observation(results: &[Vec<sqlx::postgres::PgRow>]) -> Result<Observation> {
    let blockers =
        results.first().into_iter().flatten().map(|row| query::get(row, 0)).collect::<Result<_>>()?;
    let build = match results.get(1).and_then(|rows| rows.first()) {
        Some(row) => Some(IndexBuild {
            phase: query::get(row, 0)?,
            total: query::get::<i64>(row, 1)?.try_into().unwrap_or_default(),
            done: query::get::<i64>(row, 2)?.try_into().unwrap_or_default(),
        }),
        None => None,
    };
    Ok(Observation { blockers, build })
}

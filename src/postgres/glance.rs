//! What `wait` and a probe read, again and again and from every pod: the history and the last run, at little cost to the
//! server.
//!
//! Only tables that exist and may be read are named, so that checks leave no errors in the server's log.

use std::time::Duration;

use sqlx::postgres::PgConnection;

use crate::core::history::History;
use crate::core::sql::quote::qualified;
use crate::core::trust::{self, GateTable, Wanted};
use crate::error::Result;
use crate::postgres::query::{self, Limit};
use crate::postgres::runs::{self, Run};
use crate::postgres::state::{self, Scope, ServerState, applied_rows};

/// How long a check waits for a lock. Reading conflicts with ACCESS EXCLUSIVE alone, which a healthy database holds for
/// moments; each session that waits behind it for longer takes a connection from the session that would release it.
const LOCK_WAIT: Duration = Duration::from_millis(250);

/// Runs a check of which the server ends each batch after `limit`, or sooner where a table is locked.
pub(crate) async fn within<T>(limit: Duration, check: impl Future<Output = T>) -> T {
    query::within(Limit { batch: limit, lock: LOCK_WAIT }, check).await
}

#[derive(Debug)]
pub(crate) struct Glance {
    /// What the server is, and whose tables there are.
    pub(crate) server: ServerState,
    /// Applied migrations; statement records are not read.
    pub(crate) history: History,
    /// The last run; none where there was none, or its table may not be read.
    pub(crate) last_run: Option<Run>,
}

/// Reads history and last run, in two batches.
///
/// # Errors
/// [`crate::error::Error::Mismatch`] for tables that may not be used; [`crate::error::Error::Server`], among others without
/// the right to read the history.
pub(crate) async fn read(connection: &mut PgConnection, wanted: Wanted<'_>) -> Result<Glance> {
    let scope = Scope::reading(wanted, None);
    let server = state::read_server(connection, scope).await?;
    let Some(history) = server.home.table(trust::HISTORY) else {
        return Ok(Glance { server, history: History::default(), last_run: None });
    };
    let is_read = |table: &&GateTable| table.readable && (!table.row_security || table.shows_all_rows);
    let runs = match server.home.table(trust::RUNS).filter(is_read) {
        Some(table) => {
            // As for the history: where a policy shows every row, row security need not be refused.
            let row_security = if table.shows_all_rows { "on" } else { "off" };
            let newest = runs::newest_sql(&qualified(&table.schema, &table.name), &server.database, 1);
            format!("SET LOCAL row_security = {row_security}; {newest} SET LOCAL row_security = off;")
        }
        None => String::new(),
    };
    let sql = format!("{runs} {}", state::applied_sql(history));
    let mut results = query::all(connection, "reading the migration history", sql).await?;
    let applied = applied_rows(&results.pop().unwrap_or_default())?;
    let last_run = results.iter().flatten().next().map(runs::run).transpose()?;
    Ok(Glance { server, history: History { applied, records: Vec::new() }, last_run })
}

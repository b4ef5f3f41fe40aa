//! What a probe reads, again and again and from every pod: the history and the last run, at little cost to the server.
//!
//! Only tables that exist and may be read are named, so that probes leave no errors in the server's log. Nothing is set
//! for longer than a message, as a pooler may hand the server connection to somebody else after it.

use std::time::Duration;

use sqlx::postgres::PgConnection;

use crate::core::history::History;
use crate::error::Result;
use crate::postgres::query::{self, get};
use crate::postgres::runs::{self, Run};
use crate::postgres::snapshot::{self, applied};

/// What a probe reads.
#[derive(Debug)]
pub struct Glance {
    /// Applied migrations; steps under way are not read.
    pub history: History,
    /// The last run; none where nobody ran, or its table may not be read.
    pub last_run: Option<Run>,
}

/// What the first message asks: which of the tables there are to read.
const TABLES: &str = "SELECT current_database()::text, to_regclass('_sqlx_migrations') IS NOT NULL, \
                      coalesce(has_table_privilege(to_regclass('_corveil_runs'), 'SELECT'), false);";

/// Reads history and last run in two messages. The server ends each by itself after `limit`: a session whose prober has
/// gone must not wait behind a lock for ever.
///
/// # Errors
/// [`crate::error::Error::Server`], among others without the right to read the history.
pub async fn read(connection: &mut PgConnection, limit: Duration) -> Result<Glance> {
    // In a message of several statements, which is one transaction, LOCAL ends with the message.
    let limit = format!("SET LOCAL statement_timeout = {};", limit.as_millis());
    let row = query::one(connection, "looking for the history", format!("{limit} {TABLES}")).await?;
    let (database, has_history, has_runs): (String, bool, bool) =
        (get(&row, 0)?, get(&row, 1)?, get(&row, 2)?);
    if !has_history {
        return Ok(Glance { history: History::default(), last_run: None });
    }
    let runs = if has_runs { runs::newest_sql("_corveil_runs", &database, 1) } else { String::new() };
    let sql = format!("{limit} {} {runs}", snapshot::APPLIED);
    let results = query::all(connection, "reading the migration history", sql).await?;
    let rows = |index: usize| results.get(index).map(Vec::as_slice).unwrap_or_default();
    Ok(Glance {
        history: History { applied: applied(rows(1))?, steps: Vec::new() },
        last_run: rows(2).first().map(runs::run).transpose()?,
    })
}

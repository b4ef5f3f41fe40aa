//! What a probe reads, again and again and from every pod: the history and the last run, at little cost to the server.
//!
//! Only tables that exist and may be read are named, so that probes leave no errors in the server's log. Nothing is set
//! for longer than a message, as a pooler may hand the server connection to another client after it.

use std::time::Duration;

use sqlx::postgres::PgConnection;

use crate::core::history::History;
use crate::core::sql::quote::qualified;
use crate::core::trust::{self, Use, Wanted};
use crate::error::Result;
use crate::postgres::query;
use crate::postgres::runs::{self, Run};
use crate::postgres::snapshot::{self, Scope, applied_rows};

/// What a probe reads.
#[derive(Debug)]
pub struct Glance {
    /// Applied migrations; steps under way are not read.
    pub history: History,
    /// The last run; none where nobody ran, or its table may not be read.
    pub last_run: Option<Run>,
}

/// Reads history and last run. The server ends each message by itself after `limit`: a session whose prober has gone must
/// not wait behind a lock for ever.
///
/// # Errors
/// [`crate::error::Error::Mismatch`] for tables that may not be used; [`crate::error::Error::Server`], among others without
/// the right to read the history.
pub async fn read(connection: &mut PgConnection, wanted: Wanted<'_>, limit: Duration) -> Result<Glance> {
    let scope = Scope { purpose: Use::Read, wanted, app_role: None, files: None, limit: Some(limit) };
    let facts = snapshot::read_facts(connection, scope).await?;
    let Some(history) = facts.home.table(trust::HISTORY) else {
        return Ok(Glance { history: History::default(), last_run: None });
    };
    let runs = match facts.home.table(trust::RUNS).filter(|table| table.readable) {
        Some(table) => runs::newest_sql(&qualified(&table.schema, &table.name), &facts.database, 1),
        None => String::new(),
    };
    let sql = format!("{} {runs} {}", scope.limit_sql(), snapshot::applied_sql(history));
    let mut results = query::all(connection, "reading the migration history", sql).await?;
    let applied = applied_rows(&results.pop().unwrap_or_default())?;
    let last_run = results.iter().flatten().next().map(runs::run).transpose()?;
    Ok(Glance { history: History { applied, steps: Vec::new() }, last_run })
}

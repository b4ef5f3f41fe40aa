//! Who has locked Corveil's tables, for a run that cannot read them.

use sqlx::postgres::PgConnection;

use crate::core::sql::quote::literal;
use crate::core::trust;
use crate::error::Result;
use crate::postgres::control::SESSION_LINE;
use crate::postgres::query::{self, get};

/// Why the tables cannot be read: the sessions that have locked them, one line each.
pub(crate) async fn reason(connection: &mut PgConnection) -> Result<String> {
    let names = trust::TABLES.map(literal).join(", ");
    let sql = format!(
        "SELECT {SESSION_LINE} FROM pg_stat_activity a WHERE a.pid IN (
           SELECT l.pid FROM pg_locks l JOIN pg_class c ON c.oid = l.relation JOIN pg_database d ON d.oid = l.database
           WHERE l.granted AND l.mode = 'AccessExclusiveLock' AND c.relname IN ({names})
             AND d.datname = current_database())"
    );
    let rows = query::last(connection, "reading who has locked the migration history", sql).await?;
    let holders = rows.iter().map(|row| get(row, 0)).collect::<Result<Vec<String>>>()?;
    Ok(match holders.as_slice() {
        [] => "another session had locked the migration history".into(),
        holders => format!("another session has locked the migration history: {}", holders.join(" and ")),
    })
}

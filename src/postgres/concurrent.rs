//! What a statement that works concurrently finds in the catalog before it starts, or starts again.

use sqlx::postgres::PgConnection;

use crate::core::sql::QualifiedName;
use crate::core::sql::concurrent::{Concurrent, Reindex};
use crate::core::sql::quote::{ident, literal, qualified};
use crate::error::{Finding, FindingKind, Result};
use crate::postgres::query::{self, get};

/// What a statement works on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Subject {
    pub(crate) relation: u32,
    /// Whether the partition that the statement detaches is half detached already: only `FINALIZE` completes it.
    pub(crate) detach_pending: bool,
}

/// What the statement works on, as the session's search path finds it; none where that does not exist, or not any more: an
/// index that is dropped, a partition that is detached.
pub(crate) async fn subject(connection: &mut PgConnection, work: &Concurrent) -> Result<Option<Subject>> {
    let table = |relation| Subject { relation, detach_pending: false };
    match work {
        Concurrent::CreateIndex(create) => Ok(named(connection, &create.table).await?.map(table)),
        Concurrent::Reindex(Reindex::Table(name)) => Ok(named(connection, name).await?.map(table)),
        Concurrent::DropIndex(name) | Concurrent::Reindex(Reindex::Index(name)) => {
            let Some(index) = named(connection, name).await? else { return Ok(None) };
            let sql = format!(
                "SELECT indrelid::pg_catalog.int8 FROM pg_catalog.pg_index WHERE indexrelid = {index}"
            );
            let rows = query::last(connection, "reading the table of an index", sql).await?;
            rows.first().map(|row| Ok(table(oid(get(row, 0)?)))).transpose()
        }
        Concurrent::Detach(detach) => {
            let (parent, partition) =
                (named(connection, &detach.table).await?, named(connection, &detach.partition).await?);
            let (Some(parent), Some(partition)) = (parent, partition) else { return Ok(None) };
            let sql = format!(
                "SELECT inhdetachpending FROM pg_catalog.pg_inherits WHERE inhrelid = {partition} AND inhparent = {parent}"
            );
            let rows = query::last(connection, "reading a partition", sql).await?;
            let pending = rows.first().map(|row| get(row, 0)).transpose()?;
            Ok(pending.map(|detach_pending| Subject { relation: parent, detach_pending }))
        }
        Concurrent::Reindex(Reindex::Schema(_) | Reindex::Database) | Concurrent::Other => Ok(None),
    }
}

/// Whether the schema of a table has anything of this name, which only an index takes where an index was to be made.
pub(crate) async fn has_index(connection: &mut PgConnection, table: u32, name: &str) -> Result<bool> {
    let sql = format!(
        "SELECT EXISTS (SELECT FROM pg_catalog.pg_class t JOIN pg_catalog.pg_class c ON c.relnamespace = t.relnamespace \
           WHERE t.oid = {table} AND c.relname = {})",
        literal(name)
    );
    get(&query::one(connection, "reading an index", sql).await?, 0)
}

/// Whether a partitioned table has a partition of this name.
pub(crate) async fn has_partition(connection: &mut PgConnection, table: u32, name: &str) -> Result<bool> {
    let sql = format!(
        "SELECT EXISTS (SELECT FROM pg_catalog.pg_inherits h JOIN pg_catalog.pg_class c ON c.oid = h.inhrelid \
           WHERE h.inhparent = {table} AND c.relname = {})",
        literal(name)
    );
    get(&query::one(connection, "reading a partition", sql).await?, 0)
}

/// The relation that the session's search path finds under a name.
async fn named(connection: &mut PgConnection, name: &QualifiedName) -> Result<Option<u32>> {
    let quoted = match &name.schema {
        Some(schema) => qualified(schema, &name.name),
        None => ident(&name.name),
    };
    let sql = format!("SELECT pg_catalog.to_regclass({})::pg_catalog.oid::pg_catalog.int8", literal(&quoted));
    let results = query::as_is(connection, "reading a table", sql).await?;
    let found = results.iter().flatten().next().map_or(Ok(None), |row| get::<Option<i64>>(row, 0))?;
    Ok(found.map(oid))
}

fn oid(number: i64) -> u32 {
    u32::try_from(number).unwrap_or_default()
}

/// A partition of which the detachment was begun and not completed.
#[derive(Debug)]
pub(crate) struct HalfDetached {
    pub(crate) parent: u32,
    parent_name: String,
    partition_name: String,
}

impl HalfDetached {
    /// The finding that it is.
    pub(crate) fn finding(&self) -> Finding {
        let (parent, partition) = (&self.parent_name, &self.partition_name);
        Finding::new(
            FindingKind::HalfDetached,
            format!(
                "partition {partition} is half detached from {parent}: a DETACH PARTITION \
                CONCURRENTLY ended before it was complete, and queries of {parent} do not see the \
                rows of the partition any more"
            ),
            format!("`psql -c 'ALTER TABLE {parent} DETACH PARTITION {partition} FINALIZE'`"),
        )
    }
}

/// Reads which partitions are half detached.
pub(crate) async fn half_detached(connection: &mut PgConnection) -> Result<Vec<HalfDetached>> {
    const SQL: &str = "SELECT h.inhparent::pg_catalog.int8, \
          pg_catalog.format('%I.%I', n.nspname, p.relname), pg_catalog.format('%I.%I', m.nspname, c.relname) \
        FROM pg_catalog.pg_inherits h \
        JOIN pg_catalog.pg_class p ON p.oid = h.inhparent JOIN pg_catalog.pg_namespace n ON n.oid = p.relnamespace \
        JOIN pg_catalog.pg_class c ON c.oid = h.inhrelid JOIN pg_catalog.pg_namespace m ON m.oid = c.relnamespace \
        WHERE h.inhdetachpending ORDER BY 2, 3";
    let rows = query::last(connection, "reading half detached partitions", SQL.into()).await?;
    rows.iter()
        .map(|row| {
            Ok(HalfDetached {
                parent: oid(get(row, 0)?),
                parent_name: get(row, 1)?,
                partition_name: get(row, 2)?,
            })
        })
        .collect()
}

//! Indexes as the catalog has them: which are INVALID, which of those a statement left, and whether one is as its statement
//! defines it.
//!
//! Only relkind `i` counts as INVALID: `CREATE INDEX ON ONLY` a partitioned table is so by design until its partitions have
//! theirs.

use sqlx::postgres::{PgConnection, PgRow};

use crate::core::invalid::{InvalidIndex, Table};
use crate::core::sql::concurrent::{Concurrent, Reindex};
use crate::core::sql::index::{self, CreateIndex, from_using};
use crate::core::sql::quote::{ident, literal};
use crate::core::sql::split::statements;
use crate::error::{Error, Result};
use crate::postgres::query::{self, get};

/// Lists the INVALID indexes that no session is building at the moment.
pub(crate) const INVALID: &str = include_str!("indexes/invalid.sql");

/// Reads a row of [`INVALID`].
pub(crate) fn invalid(row: &PgRow) -> Result<InvalidIndex> {
    let tables: Vec<String> = get(row, "tables")?;
    let mut tables = tables.chunks_exact(3).map(|table| Table {
        oid: table[0].parse().unwrap_or_default(),
        schema: table[1].clone(),
        name: table[2].clone(),
    });
    Ok(InvalidIndex {
        schema: get(row, "schema")?,
        name: get(row, "name")?,
        table: tables.next().ok_or_else(|| query::no_row("reading the server's answer"))?,
        parents: tables.collect(),
        others: get(row, "others")?,
    })
}

/// Reads what [`INVALID`] lists.
pub(crate) async fn all_invalid(connection: &mut PgConnection) -> Result<Vec<InvalidIndex>> {
    query::last(connection, "reading INVALID indexes", INVALID.into()).await?.iter().map(invalid).collect()
}

/// The INVALID indexes that earlier tries of a statement left on the table that it works on.
///
/// An index that the statement does not name is identified by its definition.
pub(crate) async fn left_by(
    connection: &mut PgConnection,
    text: &str,
    work: &Concurrent,
    relation: Option<u32>,
) -> Result<Vec<InvalidIndex>> {
    // A name without its table could be that of another role's index.
    let has_table = !matches!(work, Concurrent::Reindex(Reindex::Schema(_) | Reindex::Database));
    if has_table && relation.is_none() {
        return Ok(Vec::new());
    }
    let mut left = all_invalid(connection).await?;
    // What is only called as a copy may be an index that is to stay.
    let is_known =
        |index: &InvalidIndex| !matches!(work, Concurrent::Reindex(_)) || index.copy_of().is_some();
    left.retain(|index| index.is_left_by(work, relation) && is_known(index));
    let Concurrent::CreateIndex(create) = work else { return Ok(left) };
    if create.name.is_some() || left.is_empty() {
        return Ok(left);
    }
    let mut same = Vec::new();
    for index in left {
        let equal = equal(connection, text, create, index.table.oid).await?;
        if equal.iter().any(|equal| equal.name == index.name) {
            same.push(index);
        }
    }
    Ok(same)
}

/// What the catalog shows of an index whose build may have ended or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Built {
    Absent,
    /// It is there and INVALID.
    Invalid,
    /// It is there, valid, and defined as in the statement.
    Equal,
    /// An object of that name is there and is something else, or its definition cannot be compared.
    Other,
}

/// Reads whether the index of a statement is there on a table, as the statement defines it.
pub(crate) async fn built(
    connection: &mut PgConnection,
    text: &str,
    create: &CreateIndex,
    table: Option<u32>,
) -> Result<Built> {
    let Some(table) = table else { return Ok(Built::Absent) };
    let Some(name) = &create.name else {
        let equal = equal(connection, text, create, table).await?;
        return Ok(match (equal.is_empty(), equal.iter().any(|index| index.valid)) {
            (true, _) => Built::Absent,
            // An earlier statement may have made it.
            (_, true) => Built::Other,
            (_, false) => Built::Invalid,
        });
    };
    let sql = format!(
        "SELECT CASE c.relkind WHEN 'i' THEN i.indisvalid WHEN 'I' THEN i.indisvalid IS NOT NULL END \
           FROM pg_catalog.pg_class t JOIN pg_catalog.pg_class c ON c.relnamespace = t.relnamespace \
           LEFT JOIN pg_catalog.pg_index i ON i.indexrelid = c.oid AND i.indrelid = t.oid \
           WHERE t.oid = {table} AND c.relname = {}",
        literal(name)
    );
    let rows = query::last(connection, "reading an index", sql).await?;
    let Some(row) = rows.first() else { return Ok(Built::Absent) };
    match get::<Option<bool>>(row, 0)? {
        Some(false) => Ok(Built::Invalid),
        Some(true) => {
            let equal = equal(connection, text, create, table).await?;
            Ok(if equal.iter().any(|index| index.name == *name) { Built::Equal } else { Built::Other })
        }
        None => Ok(Built::Other),
    }
}

/// An index that is defined as in a statement.
struct Equal {
    name: String,
    valid: bool,
}

/// The indexes of a table that are defined as in the statement, whatever they are called.
///
/// The definitions are not compared as texts, which differ in a hundred harmless ways: the server itself is asked for
/// its canonical form of the statement.
async fn equal(
    connection: &mut PgConnection,
    text: &str,
    create: &CreateIndex,
    table: u32,
) -> Result<Vec<Equal>> {
    let sql = format!(
        "SELECT n.nspname::text, t.relname::text, c.relname::text, i.indisvalid, pg_catalog.pg_get_indexdef(c.oid) \
           FROM pg_catalog.pg_class t JOIN pg_catalog.pg_namespace n ON n.oid = t.relnamespace \
           JOIN pg_catalog.pg_index i ON i.indrelid = t.oid JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid \
           WHERE t.oid = {table}"
    );
    let rows = query::last(connection, "reading the indexes of a table", sql).await?;
    let Some(first) = rows.first() else { return Ok(Vec::new()) };
    let table = format!("{}.{}", ident(&get::<String>(first, 0)?), ident(&get::<String>(first, 1)?));
    let Some(wanted) = canonical(connection, text, create, &table).await? else { return Ok(Vec::new()) };
    let mut equal = Vec::new();
    for row in &rows {
        if is_equal(&get::<String>(row, 4)?, &wanted) {
            equal.push(Equal { name: get(row, 2)?, valid: get(row, 3)? });
        }
    }
    Ok(equal)
}

/// The server's canonical form of a CREATE INDEX, made on an empty temporary copy of the table in a transaction that is rolled
/// back; `None` when it refuses the statement there.
async fn canonical(
    connection: &mut PgConnection,
    text: &str,
    create: &CreateIndex,
    table: &str,
) -> Result<Option<String>> {
    let Some(statement) = statements(text).ok().and_then(|s| s.into_iter().next()) else { return Ok(None) };
    // The copy has the name that the statement uses, so that a column written as `table.column` is found in it.
    let copy = format!("pg_temp.{}", ident(&create.table.name));
    let probe = index::probe(&statement, create, &copy, &ident("corveil_probe"));
    let sql = format!(
        "BEGIN; CREATE TEMPORARY TABLE {} (LIKE {table}) ON COMMIT DROP; {probe}; \
         SELECT pg_catalog.pg_get_indexdef(i.indexrelid) FROM pg_catalog.pg_index i \
           WHERE i.indrelid OPERATOR(pg_catalog.=) {}::pg_catalog.regclass; ROLLBACK;",
        ident(&create.table.name),
        literal(&copy),
    );
    let results = match query::as_is(connection, "reading the form of an index", sql).await {
        Ok(results) => results,
        Err(Error::Server { source, .. }) if !source.connection_lost() => {
            query::roll_back(connection).await?;
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    match results.get(3).and_then(|rows| rows.first()) {
        Some(row) => get(row, 0).map(Some),
        None => Ok(None),
    }
}

/// Whether two definitions differ in the names of index and table alone.
fn is_equal(one: &str, other: &str) -> bool {
    let is_unique = |definition: &str| definition.starts_with("CREATE UNIQUE");
    is_unique(one) == is_unique(other) && from_using(one) == from_using(other)
}

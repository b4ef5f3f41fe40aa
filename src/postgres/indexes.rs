//! INVALID indexes: which there are, which are ours, and how they are dropped.
//!
//! A failed CREATE INDEX CONCURRENTLY leaves its index behind, INVALID: it costs every write and serves no query.
//! `IF NOT EXISTS` then finds it there and says so with success. Only relkind `i` counts: `CREATE INDEX ON ONLY` a
//! partitioned table is INVALID by design until its partitions have theirs.

use sqlx::postgres::{PgConnection, PgRow};

use crate::core::catalog::Migration;
use crate::core::sql::index::{self, CreateIndex};
use crate::core::sql::quote::{ident, literal};
use crate::core::sql::split::statements;
use crate::error::{Error, Finding, FindingKind, Result};
use crate::postgres::query::{self, get};

/// An INVALID index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidIndex {
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// Its table, in the same schema.
    pub table: String,
}

/// Lists the INVALID indexes that nobody is building at the moment.
///
/// Who builds one holds a SHARE UPDATE EXCLUSIVE lock on the table; the progress view would tell more, but shows other
/// roles' builds only to those who may read all statistics. Autovacuum takes the same lock, and is told apart where it may
/// be seen.
pub const INVALID: &str = "SELECT n.nspname::text, c.relname::text, t.relname::text FROM pg_catalog.pg_index i \
    JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid JOIN pg_catalog.pg_class t ON t.oid = i.indrelid \
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
    WHERE NOT i.indisvalid AND c.relkind = 'i' AND left(n.nspname, 3) <> 'pg_' AND NOT EXISTS (SELECT FROM \
      pg_catalog.pg_locks l JOIN pg_catalog.pg_database d ON d.oid = l.database \
      LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid \
      WHERE d.datname = current_database() AND l.locktype = 'relation' AND l.relation = t.oid AND l.granted \
      AND l.mode = 'ShareUpdateExclusiveLock' AND l.pid <> pg_catalog.pg_backend_pid() \
      AND a.backend_type IS DISTINCT FROM 'autovacuum worker') \
    ORDER BY 1, 2;";

/// Reads a row of [`INVALID`].
///
/// # Errors
/// When the row is not of that shape.
pub fn invalid(row: &PgRow) -> Result<InvalidIndex> {
    Ok(InvalidIndex { schema: get(row, 0)?, name: get(row, 1)?, table: get(row, 2)? })
}

impl InvalidIndex {
    /// Its name with its schema, quoted.
    #[must_use]
    pub fn qualified(&self) -> String {
        format!("{}.{}", ident(&self.schema), ident(&self.name))
    }

    /// The finding that it is.
    #[must_use]
    pub fn finding(&self) -> Finding {
        Finding {
            kind: FindingKind::InvalidIndex,
            file: None,
            version: None,
            line: None,
            message: format!(
                "index {} on table \"{}\" is INVALID: it costs every write and serves no query",
                self.qualified(),
                self.table
            ),
            hint: format!("`psql -c 'REINDEX INDEX CONCURRENTLY {}'`", self.qualified()),
        }
    }

    /// Whether a statement of a migration made it: by name, by the name that REINDEX CONCURRENTLY gives the index
    /// that it builds, or, when the statement leaves the name to the server, by its table. A name stays when the table is
    /// renamed.
    fn is_made_by(&self, create: &CreateIndex) -> bool {
        let named = |name: &str| {
            self.name == name
                || self.name.strip_prefix(name).is_some_and(|rest| {
                    rest.strip_prefix("_cc")
                        .is_some_and(|rest| rest.starts_with("new") || rest.starts_with("old"))
                })
        };
        create.table.schema.as_ref().is_none_or(|schema| *schema == self.schema)
            && match create.name.as_deref() {
                Some(name) => named(name),
                None => self.table == create.table.name,
            }
    }
}

/// Those of the INVALID indexes that the files created.
#[must_use]
pub fn ours<'a>(invalid: &'a [InvalidIndex], files: &[&Migration]) -> Vec<&'a InvalidIndex> {
    if invalid.is_empty() {
        // The files are not even read then: a run with nothing to do must cost nothing.
        return Vec::new();
    }
    let created: Vec<CreateIndex> = files
        .iter()
        .filter_map(|file| file.content.as_deref().ok())
        .flat_map(|sql| statements(sql).unwrap_or_default())
        .filter_map(|statement| index::create_index(&statement))
        .collect();
    invalid.iter().filter(|index| created.iter().any(|create| index.is_made_by(create))).collect()
}

/// The INVALID indexes that failed builds of this index left behind on its table, to be dropped before it is built
/// again.
///
/// The table is the one that the session's search path finds: another schema may have indexes of the same name. An index
/// without a name of its own is known by its definition.
///
/// # Errors
/// When the server cannot be asked.
pub async fn leftovers(
    connection: &mut PgConnection,
    text: &str,
    create: &CreateIndex,
) -> Result<Vec<InvalidIndex>> {
    let Some(table) = table_oid(connection, create).await? else { return Ok(Vec::new()) };
    let sql = INVALID.replace(" ORDER BY", &format!(" AND t.oid = {table} ORDER BY"));
    let mut leftovers = read(connection, sql).await?;
    leftovers.retain(|index| index.is_made_by(create));
    if leftovers.is_empty() || create.name.is_some() {
        return Ok(leftovers);
    }
    let wanted = canonical(connection, text, create).await?;
    let mut same = Vec::new();
    for index in leftovers {
        let sql = format!(
            "SELECT pg_catalog.pg_get_indexdef({}::pg_catalog.regclass)",
            literal(&index.qualified())
        );
        let row = query::one(connection, "reading an index's definition", sql).await?;
        let definition: String = get(&row, 0)?;
        if wanted.as_deref().map(after_table) == Some(after_table(&definition)) {
            same.push(index);
        }
    }
    Ok(same)
}

/// Reads what [`INVALID`] lists.
///
/// # Errors
/// When the server cannot be asked.
pub async fn all_invalid(connection: &mut PgConnection) -> Result<Vec<InvalidIndex>> {
    read(connection, INVALID.into()).await
}

async fn read(connection: &mut PgConnection, sql: String) -> Result<Vec<InvalidIndex>> {
    query::last(connection, "looking for INVALID indexes", sql).await?.iter().map(invalid).collect()
}

/// What the catalog says of an index whose build may have ended or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Built {
    /// There is none of that name.
    Absent,
    /// It is there and INVALID.
    Invalid,
    /// It is there, valid, and defined as the statement says.
    Equal,
    /// An object of that name is there and is something else, or it cannot be told.
    Other,
}

/// Looks whether the index of a statement is there, as the statement defines it.
///
/// The definitions are not compared as texts, which differ in a hundred harmless ways: the server itself is asked for
/// its canonical form of the statement, on an empty temporary copy of the table, in a transaction that is rolled back.
///
/// # Errors
/// When the server cannot be asked.
pub async fn built(connection: &mut PgConnection, text: &str, create: &CreateIndex) -> Result<Built> {
    let Some(name) = &create.name else { return Ok(Built::Other) };
    let Some(table) = table_oid(connection, create).await? else { return Ok(Built::Absent) };
    let sql = format!(
        "SELECT CASE c.relkind WHEN 'i' THEN i.indisvalid WHEN 'I' THEN i.indisvalid IS NOT NULL END, \
                pg_catalog.pg_get_indexdef(i.indexrelid) \
           FROM pg_catalog.pg_class t JOIN pg_catalog.pg_class c ON c.relnamespace = t.relnamespace \
           LEFT JOIN pg_catalog.pg_index i ON i.indexrelid = c.oid AND i.indrelid = t.oid \
           WHERE t.oid = {table} AND c.relname = {}",
        literal(name)
    );
    let rows = query::last(connection, "looking for an index", sql).await?;
    let Some(row) = rows.first() else { return Ok(Built::Absent) };
    match (get::<Option<bool>>(row, 0)?, get::<Option<String>>(row, 1)?) {
        (Some(false), _) => Ok(Built::Invalid),
        (Some(true), Some(definition)) => {
            let wanted = canonical(connection, text, create).await?;
            let same = wanted.is_some_and(|wanted| after_table(&wanted) == after_table(&definition));
            Ok(if same { Built::Equal } else { Built::Other })
        }
        _ => Ok(Built::Other),
    }
}

/// The server's canonical form of a CREATE INDEX; `None` when it refuses the statement on a copy of the table.
async fn canonical(
    connection: &mut PgConnection,
    text: &str,
    create: &CreateIndex,
) -> Result<Option<String>> {
    let Some(statement) = statements(text).ok().and_then(|s| s.into_iter().next()) else { return Ok(None) };
    // The copy has the table's own name, so that a column written as `table.column` is found in it.
    let copy = format!("pg_temp.{}", ident(&create.table.name));
    let probe = index::probe(&statement, create, &copy, &ident("corveil_probe"));
    let sql = format!(
        "BEGIN; CREATE TEMPORARY TABLE {} (LIKE {}) ON COMMIT DROP; {probe}; \
         SELECT pg_catalog.pg_get_indexdef(i.indexrelid) FROM pg_catalog.pg_index i \
           WHERE i.indrelid OPERATOR(pg_catalog.=) '{}'::pg_catalog.regclass; ROLLBACK;",
        ident(&create.table.name),
        table_sql(create),
        copy.replace('\'', "''"),
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

/// The table of an index, as the session's search path finds it.
async fn table_oid(connection: &mut PgConnection, create: &CreateIndex) -> Result<Option<i64>> {
    let name = literal(&table_sql(create));
    let sql = format!("SELECT pg_catalog.to_regclass({name})::pg_catalog.oid::pg_catalog.int8");
    let results = query::as_is(connection, "looking for a table", sql).await?;
    results.iter().flatten().next().map_or(Ok(None), |row| get(row, 0))
}

/// The table of an index, as its statement names it.
fn table_sql(create: &CreateIndex) -> String {
    match &create.table.schema {
        Some(schema) => format!("{}.{}", ident(schema), ident(&create.table.name)),
        None => ident(&create.table.name),
    }
}

/// A canonical definition without the names of index and table: whether it is unique, and all from USING on.
fn after_table(definition: &str) -> (bool, Option<&str>) {
    (definition.starts_with("CREATE UNIQUE"), definition.split_once(" USING ").map(|(_, rest)| rest))
}

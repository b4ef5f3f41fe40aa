//! Other tools' history tables: found by their names, distinguished by their columns, and read as they are.

use sqlx::postgres::{PgConnection, PgRow};

use crate::core::other_tool::rows::{self, Row};
use crate::core::other_tool::tables::{self, Column, KNEX_LOCK, LIQUIBASE_LOCK, RAILS_METADATA};
use crate::core::other_tool::{Tool, ToolHistory};
use crate::core::sql::quote::literal;
use crate::error::{Error, Result};
use crate::postgres::query::{self, get};

/// The first OID of an object that is not the server's own (`FirstNormalObjectId` in PostgreSQL's `access/transam.h`).
const FIRST_NORMAL: u32 = 16_384;

/// A table that is named as some tool's.
#[derive(Debug)]
pub(super) struct Table {
    /// With its schema and quoted where that is needed.
    pub(super) quoted: String,
    name: String,
    schema: String,
    columns: Vec<Column>,
    /// Columns whose types are the server's own, quoted. A type of another role may bring a cast to JSON, which would run its
    /// code with the rights of this role.
    plain: Vec<String>,
    /// What the role needs to read it, if it has not.
    missing: Option<String>,
    /// Whether its schema is on the search path.
    in_sight: bool,
}

/// The histories that are there, or those of `from` alone; those on the search path first.
///
/// Where one tool has several, those on the search path are meant: the others are other apps'.
///
/// # Errors
/// [`Error::Config`] without the right to read one; [`Error::Server`].
pub async fn histories(
    connection: &mut PgConnection,
    path: &[String],
    from: Option<Tool>,
) -> Result<Vec<ToolHistory>> {
    let all = tables(connection, path).await?;
    let mut theirs: Vec<(&Table, Tool)> = Vec::new();
    for table in all.iter().filter(|table| !table.is_companion(&all)) {
        let tool = from.unwrap_or_else(|| table.tool(&all));
        let is_named = tables::named(&table.name).any(|keeper| keeper == tool);
        let is_others = !table.in_sight && theirs.iter().any(|(earlier, of)| *of == tool && earlier.in_sight);
        if is_named && !is_others {
            theirs.push((table, tool));
        }
    }
    let mut histories = Vec::new();
    for (table, tool) in theirs {
        histories.push(read(connection, table, tool, &all).await?);
    }
    Ok(histories)
}

async fn read(
    connection: &mut PgConnection,
    table: &Table,
    tool: Tool,
    all: &[Table],
) -> Result<ToolHistory> {
    let history = |(applied, dirty)| ToolHistory { tool, table: table.quoted.clone(), applied, dirty };
    if !tables::keepers(&table.name, &table.columns).any(|keeper| keeper == tool) {
        let why = format!("its columns are those of no version of {tool} that is known");
        return Ok(history((Err(why), None)));
    }
    let rows = match tool {
        Tool::Other(_) => Vec::new(),
        _ => table.rows(connection).await?,
    };
    let lock = match table.find(all, LIQUIBASE_LOCK) {
        Some(lock) if tool == Tool::Liquibase => lock.rows(connection).await?,
        _ => Vec::new(),
    };
    Ok(history(rows::read(tool, rows, &lock)))
}

/// The tables that are named as some tool's, those on the search path first.
pub(super) async fn tables(connection: &mut PgConnection, path: &[String]) -> Result<Vec<Table>> {
    let names: Vec<String> = tables::names().map(literal).collect();
    let path = format!(
        "ARRAY[{}]::text[]",
        path.iter().map(|schema| literal(schema)).collect::<Vec<_>>().join(", ")
    );
    let sql = format!(
        include_str!("histories.sql"),
        path = path,
        first_normal = FIRST_NORMAL,
        names = names.join(", ")
    );
    let rows = query::last(connection, "checking for another tool's history", sql).await?;
    rows.iter().map(table).collect()
}

fn table(row: &PgRow) -> Result<Table> {
    let columns: Vec<String> = get(row, "columns")?;
    Ok(Table {
        quoted: get(row, "quoted")?,
        name: get(row, "name")?,
        schema: get(row, "schema")?,
        columns: columns.iter().filter_map(|column| Column::from_catalog(column)).collect(),
        missing: get(row, "missing")?,
        in_sight: get(row, "in_sight")?,
        plain: get(row, "plain")?,
    })
}

impl Table {
    /// Whose history it is, from its columns and the tables next to it.
    pub(super) fn tool(&self, all: &[Self]) -> Tool {
        let is_rails = self.has_table(all, RAILS_METADATA);
        tables::keepers(&self.name, &self.columns)
            .find(|keeper| *keeper != Tool::Rails || is_rails)
            .or_else(|| tables::named(&self.name).next())
            .unwrap_or(Tool::SchemaMigrations)
    }

    /// Whether it is a table that a tool keeps next to its history, and the history is there.
    pub(super) fn is_companion(&self, all: &[Self]) -> bool {
        let history = match self.name.as_str() {
            RAILS_METADATA => "schema_migrations",
            LIQUIBASE_LOCK => "databasechangelog",
            KNEX_LOCK => "knex_migrations",
            _ => return false,
        };
        self.has_table(all, history)
    }

    fn has_table(&self, all: &[Self], name: &str) -> bool {
        self.find(all, name).is_some()
    }

    fn find<'a>(&self, all: &'a [Self], name: &str) -> Option<&'a Self> {
        all.iter().find(|other| other.schema == self.schema && other.name == name)
    }

    /// The rows, in no particular order.
    async fn rows(&self, connection: &mut PgConnection) -> Result<Vec<Row>> {
        if let Some(missing) = &self.missing {
            let quoted = &self.quoted;
            return Err(Error::config(
                format!("the migration history {quoted} cannot be read: this role lacks {missing}"),
                format!(
                    "`GRANT {missing} TO ROLE`, by the owner of {quoted}, or use the owner in \
                    `MIGRATE_DATABASE_URL`"
                ),
            ));
        }
        let columns = self.plain.join(", ");
        let sql = format!(
            "SELECT row_to_json(history)::text FROM (SELECT {columns} FROM {}) AS history",
            self.quoted
        );
        let rows = query::last(connection, "reading another tool's history", sql).await?;
        rows.iter().map(|row| Ok(Row::from_json(get(row, 0)?))).collect()
    }
}

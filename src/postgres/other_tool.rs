//! Databases that Corveil must not touch: another tool's history, or existing objects that the files would create.

pub(crate) mod histories;

use sqlx::postgres::PgConnection;

use crate::core::adopt;
use crate::core::catalog::{Catalog, Migration};
use crate::core::other_tool::{Tool, tables};
use crate::core::sql::create::{Created, ObjectKind};
use crate::core::sql::quote::literal;
use crate::error::{Error, Finding, FindingKind, Result};
use crate::postgres::query::{self, get};
use crate::postgres::state::{self, Scope, ServerState};

pub(crate) use self::histories::histories;

/// Every table that may be a history, Corveil's included, in lower case: no part of the schema that the files make.
pub(super) fn history_tables() -> impl Iterator<Item = &'static str> {
    tables::names().chain(["_sqlx_migrations"])
}

/// Refuses a database without Corveil's history that has objects which the files create.
///
/// # Errors
/// [`Error::Mismatch`] with what was found.
pub(crate) async fn refuse(
    connection: &mut PgConnection,
    files: &Catalog,
    server: &ServerState,
    scope: Scope<'_>,
) -> Result<()> {
    let found = found(connection, files, server, scope).await?;
    if found.is_empty() { Ok(()) } else { Err(Error::Mismatch(found)) }
}

/// For a database without Corveil's history: which existing objects the files would create, and other tools' histories.
pub(crate) async fn found(
    connection: &mut PgConnection,
    files: &Catalog,
    server: &ServerState,
    scope: Scope<'_>,
) -> Result<Vec<Finding>> {
    let findings = findings(connection, files, server).await?;
    // Without the lock, another run may have created what was found, and its history, since the history was read.
    if findings.is_empty()
        || !state::read(connection, Scope { files: None, ..scope }).await?.history.is_blank()
    {
        return Ok(Vec::new());
    }
    Ok(findings)
}

/// Another tool's history tables, and those objects that the files create without IF NOT EXISTS and that exist.
///
/// All files count, not the first alone: a first file of CREATE … IF NOT EXISTS applies to its own finished database,
/// and the second one then fails half way.
async fn findings(
    connection: &mut PgConnection,
    files: &Catalog,
    server: &ServerState,
) -> Result<Vec<Finding>> {
    let (mut findings, tool) = others(connection, files, server).await?;
    let objects: Vec<(&Migration, &Created)> =
        files.created().filter(|(_, object)| !is_in_every_database(object)).collect();
    if objects.is_empty() {
        return Ok(findings);
    }
    let wanted: Vec<String> =
        objects.iter().enumerate().map(|(index, (_, object))| wanted(index, object)).collect();
    let rows =
        query::last(connection, "checking for existing objects", existing_sql(&wanted, server)).await?;
    for row in &rows {
        let (file, object) = &objects[usize::try_from(get::<i32>(row, "number")?).unwrap_or_default()];
        findings.push(file.finding(
            FindingKind::ExistingObject,
            format!(
                "would create {} {}, which exists already although no migration is recorded",
                object.kind,
                get::<String>(row, "name")?
            ),
            hint(files, tool),
        ));
    }
    Ok(findings)
}

/// The schema `public` is in a new database too: a file that drops it creates it again.
fn is_in_every_database(object: &Created) -> bool {
    object.kind == ObjectKind::Schema && object.name == "public"
}

/// The command of the hint has `--dry-run`, so that a copied line records nothing.
fn hint(files: &Catalog, tool: Option<Tool>) -> String {
    format!(
        "`{}` shows which of these migrations the database contains, and without `--dry-run` it records them; or connect to \
         an empty database",
        adopt::command(files, tool)
    )
}

/// Another tool's history tables, whatever is in them, and the tool if there is one alone.
async fn others(
    connection: &mut PgConnection,
    files: &Catalog,
    server: &ServerState,
) -> Result<(Vec<Finding>, Option<Tool>)> {
    let all = histories::tables(connection, &server.path).await?;
    let theirs: Vec<_> = all.iter().filter(|table| !table.is_companion(&all)).collect();
    let finding = |table: &&histories::Table| {
        let tool = table.tool(&all);
        Finding::new(
            FindingKind::OtherTool,
            format!(
                "table {} is the migration history of {tool}, and Corveil has no migration \
                recorded",
                table.quoted
            ),
            hint(files, Some(tool)),
        )
    };
    let only = match theirs[..] {
        [only] => Some(only.tool(&all)),
        _ => None,
    };
    Ok((theirs.iter().map(finding).collect(), only))
}

/// A row of the list of wanted objects: number, catalog, schema or NULL, name.
fn wanted(index: usize, object: &Created) -> String {
    let catalog = match object.kind {
        ObjectKind::Schema => "schema",
        ObjectKind::Routine => "function",
        ObjectKind::Type => "type",
        ObjectKind::Table
        | ObjectKind::Index
        | ObjectKind::View
        | ObjectKind::MaterializedView
        | ObjectKind::Sequence => "relation",
    };
    let schema = object.schema.as_deref().map_or_else(|| "NULL".into(), literal);
    format!("({index}, '{catalog}', {schema}, {})", literal(&object.name))
}

/// The wanted objects that exist; those that the SQL leaves unqualified are searched in the first schema of the search path.
fn existing_sql(wanted: &[String], server: &ServerState) -> String {
    let first = server.path.first().map_or_else(|| "NULL".into(), |schema| literal(schema));
    format!(include_str!("other_tool/existing.sql"), wanted = wanted.join(", "), first = first)
}

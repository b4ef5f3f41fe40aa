//! Reads the schema of a database, in one batch.

mod queries;

use serde::de::DeserializeOwned;
use serde_json::Value;
use sqlx::postgres::{PgConnection, PgRow};

use crate::core::schema::names::GeneratedName;
use crate::core::schema::{Column, Constraint, Index, Routine, Schema, Sequence, Trigger, Type, quoting};
use crate::core::sql::index::from_using;
use crate::error::Result;
use crate::postgres::other_tool;
use crate::postgres::query::{self, get};

/// What is being done, for the error.
const DOING: &str = "reading the schema";

/// Reads the schema of the database, without history tables of any tool, the gate's own tables, and members of
/// extensions. The session must not be in a transaction.
///
/// # Errors
/// [`crate::error::Error::Server`] when the server cannot be asked.
pub async fn read(connection: &mut PgConnection) -> Result<Schema> {
    let batch = queries::batch(other_tool::history_tables());
    let answers = match query::work_as_is(connection, DOING, batch).await {
        Ok(answers) => answers,
        Err(error) => {
            query::roll_back_after(connection, &error).await;
            return Err(error);
        }
    };
    let mut answers = answers.into_iter().skip(queries::BEFORE);
    let mut schema = Schema::default();
    for read in [
        schemas,
        extensions,
        types,
        domains,
        sequences,
        routines,
        tables,
        columns,
        views,
        constraints,
        indexes,
        triggers,
        policies_and_rules,
    ] {
        for row in answers.next().unwrap_or_default() {
            read(&mut schema, &row)?;
        }
    }
    Ok(schema)
}

/// A text of SQL: quoted the same way by every server.
fn sql(row: &PgRow, column: &str) -> Result<String> {
    Ok(quoting::plain(get(row, column)?))
}

/// A definition that the server wrote as JSON.
fn json<T: DeserializeOwned>(row: &PgRow, column: &str) -> Result<T> {
    let mut definition: Value = serde_json::from_str(get(row, column)?).map_err(|_| query::no_row(DOING))?;
    make_plain(&mut definition);
    serde_json::from_value(definition).map_err(|_| query::no_row(DOING))
}

/// As [`sql`], for every text in a definition.
fn make_plain(definition: &mut Value) {
    match definition {
        Value::String(text) => *text = quoting::plain(text),
        Value::Array(values) => values.iter_mut().for_each(make_plain),
        Value::Object(fields) => fields.values_mut().for_each(make_plain),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn schemas(schema: &mut Schema, row: &PgRow) -> Result<()> {
    let name = sql(row, "name")?;
    if get(row, "is_shared")? {
        schema.shared.insert(name.clone());
    }
    schema.schemas.insert(name);
    Ok(())
}

fn extensions(schema: &mut Schema, row: &PgRow) -> Result<()> {
    schema.extensions.insert(sql(row, "name")?, sql(row, "schema")?);
    Ok(())
}

fn types(schema: &mut Schema, row: &PgRow) -> Result<()> {
    let mut parts: Vec<String> = get(row, "parts")?;
    let made_of = match get(row, "kind")? {
        "e" => Type::Enum(parts),
        "c" => Type::Composite(parts.iter().map(|part| quoting::plain(part)).collect()),
        _ => Type::Range(quoting::plain(&parts.pop().unwrap_or_default())),
    };
    schema.types.insert(sql(row, "name")?, made_of);
    Ok(())
}

fn domains(schema: &mut Schema, row: &PgRow) -> Result<()> {
    schema.types.insert(sql(row, "name")?, Type::Domain(json(row, "definition")?));
    Ok(())
}

fn sequences(schema: &mut Schema, row: &PgRow) -> Result<()> {
    let owned_by = get::<Option<&str>>(row, "owner")?.map(quoting::plain);
    schema.sequences.insert(sql(row, "name")?, Sequence { options: get(row, "options")?, owned_by });
    Ok(())
}

fn routines(schema: &mut Schema, row: &PgRow) -> Result<()> {
    let definition = sql(row, "definition")?.trim_end().to_owned();
    schema.routines.insert(sql(row, "name")?, Routine { procedure: get(row, "is_procedure")?, definition });
    Ok(())
}

fn tables(schema: &mut Schema, row: &PgRow) -> Result<()> {
    schema.tables.insert(sql(row, "name")?, json(row, "definition")?);
    Ok(())
}

fn columns(schema: &mut Schema, row: &PgRow) -> Result<()> {
    let mut column: Column = json(row, "definition")?;
    if let (Some(sequence), Some(plain)) = (&mut column.sequence, get::<Option<&str>>(row, "sequence_plain")?)
    {
        let made = GeneratedName {
            table: get(row, "table_plain")?,
            columns: &[get::<String>(row, "plain")?],
            label: "seq",
        };
        sequence.name = Some(sql(row, "sequence_name")?);
        sequence.named_by_server = made.by_server(plain);
    }
    if let Some(table) = schema.tables.get_mut(&sql(row, "table_name")?) {
        table.columns.insert(sql(row, "name")?, column);
    }
    Ok(())
}

fn views(schema: &mut Schema, row: &PgRow) -> Result<()> {
    schema.views.insert(sql(row, "name")?, json(row, "definition")?);
    Ok(())
}

fn constraints(schema: &mut Schema, row: &PgRow) -> Result<()> {
    let (owner, plain): (_, &str) = (sql(row, "owner")?, get(row, "owner_plain")?);
    let (name, kind, columns): (&str, &str, Vec<String>) =
        (get(row, "plain")?, get(row, "kind")?, get(row, "columns")?);
    let made = |columns, label| GeneratedName { table: plain, columns, label }.by_server(name);
    let named_by_server = match kind {
        "p" => made(&[], "pkey"),
        "u" => made(&columns, "key"),
        "x" => made(&columns, "excl"),
        "f" => made(&columns, "fkey"),
        _ if columns.len() == 1 => made(&columns, "check"),
        _ => made(&[], "check"),
    };
    let constraint = Constraint { definition: sql(row, "definition")?, named_by_server };
    if let Some(table) = schema.tables.get_mut(&owner) {
        table.constraints.insert(sql(row, "name")?, constraint);
    } else if let Some(Type::Domain(domain)) = schema.types.get_mut(&owner) {
        domain.constraints.insert(sql(row, "name")?, constraint);
    }
    Ok(())
}

fn indexes(schema: &mut Schema, row: &PgRow) -> Result<()> {
    let (owner, name, unique): (_, _, bool) = (sql(row, "owner")?, sql(row, "name")?, get(row, "is_unique")?);
    let columns: Vec<String> = get(row, "columns")?;
    let made = GeneratedName { table: get(row, "owner_plain")?, columns: &columns, label: "idx" };
    let index = Index {
        definition: from_using(&sql(row, "definition")?).to_owned(),
        unique,
        invalid: !get::<bool>(row, "is_valid")?,
        named_by_server: made.by_server(get(row, "plain")?),
    };
    if let Some(table) = schema.tables.get_mut(&owner) {
        table.indexes.insert(name, index);
    } else if let Some(view) = schema.views.get_mut(&owner) {
        view.indexes.insert(name, index);
    }
    Ok(())
}

fn triggers(schema: &mut Schema, row: &PgRow) -> Result<()> {
    let (owner, name) = (sql(row, "owner")?, sql(row, "name")?);
    let firing = match get(row, "fires")? {
        "D" => Some("DISABLE"),
        "R" => Some("ENABLE REPLICA"),
        "A" => Some("ENABLE ALWAYS"),
        _ => None,
    };
    let trigger = Trigger { definition: sql(row, "definition")?, firing: firing.map(ToOwned::to_owned) };
    if let Some(table) = schema.tables.get_mut(&owner) {
        table.triggers.insert(name, trigger);
    } else if let Some(view) = schema.views.get_mut(&owner) {
        view.triggers.insert(name, trigger);
    }
    Ok(())
}

fn policies_and_rules(schema: &mut Schema, row: &PgRow) -> Result<()> {
    let (owner, name, definition) = (sql(row, "owner")?, sql(row, "name")?, sql(row, "definition")?);
    match (get(row, "kind")?, schema.tables.get_mut(&owner), schema.views.get_mut(&owner)) {
        ("policy", Some(table), _) => table.policies.insert(name, definition),
        (_, Some(table), _) => table.rules.insert(name, definition),
        (_, None, Some(view)) => view.rules.insert(name, definition),
        (_, None, None) => None,
    };
    Ok(())
}

//! The statements that create an object completely.

use std::fmt::Write as _;

use super::names::GeneratedName;
use super::quoting;
use super::{
    Column, Constraint, Domain, Generated, Index, OwnSequence, RowSecurity, SequenceKind, Table, Trigger,
    Type, View,
};
use crate::core::sql::quote::literal;

/// The end of a definition that applies to new rows only.
pub(super) const NOT_VALID: &str = " NOT VALID";

/// A type that was created by itself.
pub(super) fn user_type(name: &str, user_type: &Type) -> String {
    match user_type {
        Type::Enum(labels) => {
            let labels: Vec<_> = labels.iter().map(|label| literal(label)).collect();
            format!("CREATE TYPE {name} AS ENUM ({});", labels.join(", "))
        }
        Type::Composite(columns) => format!("CREATE TYPE {name} AS ({});", columns.join(", ")),
        Type::Range(options) => format!("CREATE TYPE {name} AS RANGE {options};"),
        Type::Domain(Domain { base, not_null, default, constraints }) => {
            let mut sql = format!("CREATE DOMAIN {name} AS {base}");
            if let Some(default) = default {
                let _ = write!(sql, " DEFAULT {default}");
            }
            if *not_null {
                sql += " NOT NULL";
            }
            for (name, constraint) in constraints.iter().filter(|(_, c)| !c.definition.ends_with(NOT_VALID)) {
                let _ = write!(sql, " CONSTRAINT {name} {}", constraint.definition);
            }
            sql.push(';');
            for (constraint, of) in constraints.iter().filter(|(_, c)| c.definition.ends_with(NOT_VALID)) {
                let _ = write!(sql, "\nALTER DOMAIN {name} ADD CONSTRAINT {constraint} {};", of.definition);
            }
            sql
        }
    }
}

/// A table with everything on it.
pub(super) fn table(name: &str, table: &Table) -> String {
    let mut columns: Vec<_> = table.columns.iter().collect();
    columns.sort_by_key(|(_, column)| column.position);
    // A partition takes its columns from its parent, and what is NOT VALID can only be added.
    let is_inline = |constraint: &Constraint| {
        table.partition_of.is_none() && table.foreign.is_none() && !constraint.definition.ends_with(NOT_VALID)
    };
    let mut parts: Vec<_> = columns
        .iter()
        .map(|(column, of)| format!("{column} {}", column_definition(name, column, of)))
        .collect();
    parts.extend(
        table
            .constraints
            .iter()
            .filter(|(_, constraint)| is_inline(constraint))
            .map(|(constraint, of)| format!("CONSTRAINT {constraint} {}", of.definition)),
    );
    let body =
        if parts.is_empty() { " ()".to_owned() } else { format!(" (\n    {}\n)", parts.join(",\n    ")) };
    let kind = match table {
        Table { foreign: Some(_), .. } => "FOREIGN TABLE",
        Table { unlogged: true, .. } => "UNLOGGED TABLE",
        _ => "TABLE",
    };
    let mut sql = String::new();
    for (column, of) in &columns {
        sql += &sequence_before(name, column, of);
    }
    let _ = match &table.partition_of {
        Some(place) => write!(sql, "CREATE {kind} {name} PARTITION OF {} {}", place.table, place.bound),
        None => write!(sql, "CREATE {kind} {name}{body}"),
    };
    if !table.inherits.is_empty() {
        let _ = write!(sql, " INHERITS ({})", table.inherits.join(", "));
    }
    if let Some(key) = &table.partition_by {
        let _ = write!(sql, " PARTITION BY {key}");
    }
    if let Some(server) = &table.foreign {
        let _ = write!(sql, " SERVER {server}");
    }
    sql.push(';');
    for (column, of) in &columns {
        sql += &sequence_after(name, column, of);
        sql += &not_validated(name, column, of);
    }
    for (constraint, of) in table.constraints.iter().filter(|(_, constraint)| !is_inline(constraint)) {
        let _ = write!(sql, "\nALTER TABLE {name} ADD CONSTRAINT {constraint} {};", of.definition);
    }
    sql += &around(name, &table.indexes, &table.triggers);
    for (policy, definition) in &table.policies {
        let _ = write!(sql, "\nCREATE POLICY {policy} ON {name} {definition};");
    }
    for rule in table.rules.values() {
        let _ = write!(sql, "\n{}", terminated(rule));
    }
    if table.row_security != RowSecurity::Off {
        let _ = write!(sql, "\n{}", row_security(name, table.row_security));
    }
    sql
}

/// A view with everything on it.
pub(super) fn view(name: &str, view: &View) -> String {
    let kind = if view.materialized { "CREATE MATERIALIZED VIEW" } else { "CREATE VIEW" };
    let mut sql = format!("{kind} {name}{} AS\n{};", with(view.options.as_deref()), view.query);
    sql += &around(name, &view.indexes, &view.triggers);
    for rule in view.rules.values() {
        let _ = write!(sql, "\n{}", terminated(rule));
    }
    sql
}

/// The options of a view.
pub(super) fn with(options: Option<&str>) -> String {
    options.map(|options| format!(" WITH ({options})")).unwrap_or_default()
}

type Named<T> = std::collections::BTreeMap<String, T>;

fn around(name: &str, indexes: &Named<Index>, triggers: &Named<Trigger>) -> String {
    let mut sql = String::new();
    for (index_name, of) in indexes {
        let _ = write!(sql, "\n{}", index(index_name, name, of));
    }
    for (trigger_name, of) in triggers {
        let _ = write!(sql, "\n{}", trigger(trigger_name, name, of));
    }
    sql
}

pub(super) fn index(name: &str, table: &str, index: &Index) -> String {
    let unique = if index.unique { "UNIQUE " } else { "" };
    format!("CREATE {unique}INDEX {name} ON {table} {};", index.definition)
}

/// A trigger, firing when it should.
pub(super) fn trigger(name: &str, table: &str, trigger: &Trigger) -> String {
    let mut sql = terminated(&trigger.definition);
    if let Some(firing) = &trigger.firing {
        let _ = write!(sql, "\nALTER TABLE {table} {firing} TRIGGER {name};");
    }
    sql
}

pub(super) fn row_security(table: &str, row_security: RowSecurity) -> String {
    match row_security {
        RowSecurity::Off => {
            format!("ALTER TABLE {table} DISABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY;")
        }
        RowSecurity::Enabled => {
            format!("ALTER TABLE {table} ENABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY;")
        }
        RowSecurity::Forced => {
            format!("ALTER TABLE {table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;")
        }
    }
}

/// A column added to a table that exists.
pub(super) fn column(table: &str, name: &str, column: &Column) -> String {
    format!(
        "{}ALTER TABLE {table} ADD COLUMN {name} {};{}{}",
        sequence_before(table, name, column),
        column_definition(table, name, column),
        sequence_after(table, name, column),
        not_validated(table, name, column)
    )
}

/// The sequence of a column that exists.
pub(super) fn own_sequence(table: &str, name: &str, column: &Column) -> String {
    let Some(sequence) = &column.sequence else { return String::new() };
    let go_on = format!(
        "\nSELECT pg_catalog.setval(pg_catalog.pg_get_serial_sequence({}, {}), (SELECT max({name}) FROM {table}));",
        literal(table),
        literal(&quoting::unquoted(name))
    );
    match identity(sequence) {
        Some(identity) => {
            format!(
                "ALTER TABLE {table} ALTER COLUMN {name} SET NOT NULL, ALTER COLUMN {name} ADD {identity};{go_on}"
            )
        }
        None => format!(
            "{}ALTER TABLE {table} ALTER COLUMN {name} SET DEFAULT {};{}{go_on}",
            sequence_before(table, name, column),
            next_value(table, name, sequence),
            sequence_after(table, name, column)
        ),
    }
}

/// A type with its collation.
pub(super) fn column_type(column: &Column) -> String {
    match &column.collation {
        Some(collation) => format!("{} COLLATE {collation}", column.type_name),
        None => column.type_name.clone(),
    }
}

fn column_definition(table: &str, name: &str, column: &Column) -> String {
    let mut sql = column_type(column);
    match (&column.sequence, &column.generated, &column.default) {
        (Some(sequence), ..) => {
            // The rows that are there take their numbers from it, so a `serial` cannot be given its default later.
            let numbers = identity(sequence)
                .unwrap_or_else(|| format!("DEFAULT {}", next_value(table, name, sequence)));
            let _ = write!(sql, " {numbers}");
        }
        (None, Some(Generated::Stored(from)), _) => {
            let _ = write!(sql, " GENERATED ALWAYS AS ({from}) STORED");
        }
        (None, Some(Generated::Virtual(from)), _) => {
            let _ = write!(sql, " GENERATED ALWAYS AS ({from}) VIRTUAL");
        }
        (None, None, Some(default)) => {
            let _ = write!(sql, " DEFAULT {default}");
        }
        (None, None, None) => {}
    }
    if column.not_null && !column.not_validated {
        sql += " NOT NULL";
    }
    sql
}

fn identity(sequence: &OwnSequence) -> Option<String> {
    let kind = match sequence.kind {
        SequenceKind::Serial => return None,
        SequenceKind::Always => "GENERATED ALWAYS AS IDENTITY",
        SequenceKind::ByDefault => "GENERATED BY DEFAULT AS IDENTITY",
    };
    Some(match &sequence.options {
        Some(options) => format!("{kind} ({options})"),
        None => kind.to_owned(),
    })
}

/// The qualified name of the sequence of a `serial`.
pub(super) fn sequence_name(table: &str, column: &str, sequence: &OwnSequence) -> String {
    sequence.name.clone().unwrap_or_else(|| {
        let (schema, table) = quoting::split(table);
        let (table, columns) = (quoting::unquoted(table), [quoting::unquoted(column)]);
        let name = GeneratedName { table: &table, columns: &columns, label: "seq" }.first();
        format!("{schema}.{}", quoting::quoted(&name))
    })
}

fn next_value(table: &str, column: &str, sequence: &OwnSequence) -> String {
    format!("nextval({}::regclass)", literal(&sequence_name(table, column, sequence)))
}

/// What has to exist before a `serial`: its sequence.
fn sequence_before(table: &str, name: &str, column: &Column) -> String {
    let Some(sequence) = column.sequence.as_ref().filter(|sequence| sequence.kind == SequenceKind::Serial)
    else {
        return String::new();
    };
    let is_own_type = sequence.options.as_ref().is_none_or(|options| !options.starts_with("AS "));
    let own_type = if is_own_type { format!(" AS {}", column.type_name) } else { String::new() };
    let options = sequence.options.as_ref().map(|options| format!(" {options}")).unwrap_or_default();
    format!("CREATE SEQUENCE {}{own_type}{options};\n", sequence_name(table, name, sequence))
}

/// The statements that turn a column with a sequence into a `serial`.
fn sequence_after(table: &str, name: &str, column: &Column) -> String {
    let Some(sequence) = column.sequence.as_ref().filter(|sequence| sequence.kind == SequenceKind::Serial)
    else {
        return String::new();
    };
    format!("\nALTER SEQUENCE {} OWNED BY {table}.{name};", sequence_name(table, name, sequence))
}

/// NOT NULL for new rows.
pub(super) fn not_validated(table: &str, name: &str, column: &Column) -> String {
    if column.not_validated {
        format!("\nALTER TABLE {table} ADD NOT NULL {name} NOT VALID;")
    } else {
        String::new()
    }
}

/// A statement with its semicolon.
pub(super) fn terminated(sql: &str) -> String {
    format!("{};", sql.trim_end().trim_end_matches(';'))
}

//! Enums, domains, composites and ranges.

use std::fmt::Write as _;

use super::{Found, Step, by_dependency, pairs};
use crate::core::schema::{Domain, Schema, Type, create, quoting};
use crate::core::sql::quote::literal;

pub(super) fn compare(found: &mut Found, expected: &Schema, live: &Schema) {
    let (mut missing, mut extra) = (Vec::new(), Vec::new());
    for (name, wanted, there) in pairs(&expected.types, &live.types) {
        match (wanted, there) {
            (Some(wanted), None) => missing.push((name.as_str(), create::user_type(name, wanted))),
            (None, Some(_)) if found.is_elsewhere(name) => {}
            (None, Some(there)) => extra.push((name.as_str(), create::user_type(name, there))),
            (Some(Type::Enum(wanted)), Some(Type::Enum(there))) if wanted != there => {
                labels(found, name, wanted, there, (expected, live));
            }
            (Some(Type::Composite(wanted)), Some(Type::Composite(there))) if wanted != there => {
                attributes(found, name, wanted, there);
            }
            (Some(Type::Domain(wanted)), Some(Type::Domain(there))) if wanted.base == there.base => {
                domain(found, name, wanted, there);
            }
            (Some(wanted), Some(there)) if wanted != there => {
                let message = format!("{} {name} has another definition", word(wanted));
                let sql = replace(name, wanted, expected, live);
                found.add(Step::Type, word(wanted), name, "definition", message, sql);
            }
            (Some(_), Some(_)) | (None, None) => {}
        }
    }
    for at in by_dependency(&missing) {
        let (name, sql) = &missing[at];
        found.missing(Step::Type, word(&expected.types[*name]), name, sql.clone());
    }
    for at in by_dependency(&extra).into_iter().rev() {
        let name = extra[at].0;
        let there = &live.types[name];
        let kind = if matches!(there, Type::Domain(_)) { "DOMAIN" } else { "TYPE" };
        found.extra(Step::DropType, word(there), name, format!("DROP {kind} {name};"));
    }
}

fn word(user_type: &Type) -> &'static str {
    match user_type {
        Type::Enum(_) => "enum",
        Type::Domain(_) => "domain",
        Type::Composite(_) | Type::Range(_) => "type",
    }
}

fn labels(found: &mut Found, name: &str, wanted: &[String], there: &[String], schemas: (&Schema, &Schema)) {
    let message = format!("enum {name} is ({}), and should be ({})", there.join(", "), wanted.join(", "));
    let kept: Vec<_> = wanted.iter().filter(|label| there.contains(label)).collect();
    let sql = if kept.iter().copied().eq(there) {
        add_labels(name, wanted, there)
    } else {
        replace(name, &Type::Enum(wanted.to_vec()), schemas.0, schemas.1)
    };
    found.add(Step::Type, "enum", name, "labels", message, sql);
}

/// Each new label is added after the one before it, which exists by then.
fn add_labels(name: &str, wanted: &[String], there: &[String]) -> String {
    let mut statements = Vec::new();
    for (at, label) in wanted.iter().enumerate().filter(|(_, label)| !there.contains(label)) {
        let place = match (at.checked_sub(1), there.first()) {
            (Some(before), _) => format!(" AFTER {}", literal(&wanted[before])),
            (None, Some(first)) => format!(" BEFORE {}", literal(first)),
            (None, None) => String::new(),
        };
        statements.push(format!("ALTER TYPE {name} ADD VALUE {}{place};", literal(label)));
    }
    statements.join("\n")
}

/// The order of a row's columns matters, and new ones come last: so all columns from the first that differs are created again.
fn attributes(found: &mut Found, name: &str, wanted: &[String], there: &[String]) {
    let same = wanted.iter().zip(there).take_while(|(wanted, there)| wanted == there).count();
    // The name before its type; a quoted one may have blanks in it.
    let name_of = |attribute| quoting::split_once(attribute, ' ').map_or(attribute, |(name, _)| name);
    let drops = there[same..].iter().map(|attribute| format!("DROP ATTRIBUTE {}", name_of(attribute)));
    let adds = wanted[same..].iter().map(|attribute| format!("ADD ATTRIBUTE {attribute}"));
    let changes = drops.chain(adds).map(|change| format!("ALTER TYPE {name} {change};"));
    let message = format!("type {name} is ({}), and should be ({})", there.join(", "), wanted.join(", "));
    found.add(Step::Type, "type", name, "columns", message, changes.collect::<Vec<_>>().join("\n"));
}

fn domain(found: &mut Found, name: &str, wanted: &Domain, there: &Domain) {
    if wanted.default != there.default {
        let (message, sql) = match &wanted.default {
            Some(default) => {
                (format!("domain {name} lacks the default {default}"), format!("SET DEFAULT {default}"))
            }
            None => (format!("domain {name} has a default, and should have none"), "DROP DEFAULT".into()),
        };
        found.add(Step::Type, "domain", name, "default", message, format!("ALTER DOMAIN {name} {sql};"));
    }
    if wanted.not_null != there.not_null {
        let (message, sql) = if wanted.not_null {
            (format!("domain {name} allows NULL, and should not"), "SET NOT NULL")
        } else {
            (format!("domain {name} refuses NULL, and should not"), "DROP NOT NULL")
        };
        found.add(Step::Type, "domain", name, "null", message, format!("ALTER DOMAIN {name} {sql};"));
    }
    super::table::constraints(found, ("DOMAIN", name), &wanted.constraints, &there.constraints);
}

/// Creates a type again, and converts the columns of the old type to the new one through text.
fn replace(name: &str, wanted: &Type, expected: &Schema, live: &Schema) -> String {
    let (schema, local) = quoting::split(name);
    let old = quoting::quoted(&format!("{}_replaced", quoting::unquoted(local)));
    let mut sql = format!("ALTER TYPE {name} RENAME TO {old};\n{}", create::user_type(name, wanted));
    let array = format!("{name}[]");
    for (table, of) in &live.tables {
        for (column, there) in of.columns.iter().filter(|(_, c)| c.type_name == name || c.type_name == array)
        {
            let alter = format!("ALTER TABLE {table} ALTER COLUMN {column}");
            if there.default.is_some() {
                let _ = write!(sql, "\n{alter} DROP DEFAULT;");
            }
            let through = if there.type_name == array { "text[]" } else { "text" };
            let _ = write!(
                sql,
                "\n{alter} TYPE {} USING {column}::{through}::{};",
                there.type_name, there.type_name
            );
            let default =
                expected.tables.get(table).and_then(|table| table.columns.get(column)).unwrap_or(there);
            if let Some(default) = &default.default {
                let _ = write!(sql, "\n{alter} SET DEFAULT {default};");
            }
        }
    }
    let _ = write!(sql, "\nDROP TYPE {schema}.{old};");
    sql
}

//! One column of a table that both have.

use super::{Found, Step};
use crate::core::schema::{Column, Generated, OwnSequence, SequenceKind, create, quoting};

pub(super) fn compare(found: &mut Found, table: &str, name: &str, wanted: &Column, there: &Column) {
    let object = format!("{table}.{name}");
    let alter = format!("ALTER TABLE {table} ALTER COLUMN {name}");
    let mut add = |what: &str, message: String, sql: String| {
        found.add(Step::Column, "column", &object, what, format!("column {object} {message}"), sql);
    };
    if wanted.generated != there.generated {
        let text = |generated: &Option<Generated>| match generated {
            None => "not generated".to_owned(),
            Some(Generated::Stored(from)) => format!("generated and stored as {from}"),
            Some(Generated::Virtual(from)) => format!("generated as {from}"),
        };
        let message = format!("is {}, and should be {}", text(&there.generated), text(&wanted.generated));
        if !matches!((&wanted.generated, &there.generated), (None, Some(Generated::Stored(_)))) {
            // The new column is correct in everything else.
            let sql =
                format!("ALTER TABLE {table} DROP COLUMN {name};\n{}", create::column(table, name, wanted));
            add("generated", message, sql);
            return;
        }
        add("generated", message, format!("{alter} DROP EXPRESSION;"));
    }
    let is_same_type = create::column_type(wanted) == create::column_type(there);
    let is_same_sequence = is_same_sequence(wanted.sequence.as_ref(), there.sequence.as_ref());
    if !is_same_type {
        let (message, sql) = other_type(&alter, name, wanted, there);
        add("type", message, sql);
    }
    // The default goes with the type and with the sequence.
    if is_same_type && is_same_sequence && wanted.default != there.default {
        let (message, sql) = match (&wanted.default, &there.default) {
            (Some(wanted), Some(there)) => (
                format!("has the default {there}, and should have {wanted}"),
                format!("SET DEFAULT {wanted}"),
            ),
            (Some(wanted), None) => (format!("lacks the default {wanted}"), format!("SET DEFAULT {wanted}")),
            (None, _) => ("has a default, and should have none".into(), "DROP DEFAULT".into()),
        };
        add("default", message, format!("{alter} {sql};"));
    }
    if !is_same_sequence {
        let message = format!("is {}, and should be {}", text(there), text(wanted));
        add("sequence", message, sequence(table, name, wanted, there));
    }
    // An identity refuses NULL, so it goes first.
    if (wanted.not_null, wanted.not_validated) != (there.not_null, there.not_validated) {
        let (message, sql) = match wanted {
            Column { not_validated: true, .. } => {
                let sql = format!("{alter} DROP NOT NULL;{}", create::not_validated(table, name, wanted));
                ("refuses NULL otherwise than with a NOT NULL that is NOT VALID", sql)
            }
            Column { not_null: true, .. } if there.not_null => {
                ("has a NOT NULL that is not validated", format!("{alter} SET NOT NULL;"))
            }
            Column { not_null: true, .. } => {
                ("allows NULL, and should not", format!("{alter} SET NOT NULL;"))
            }
            _ => ("refuses NULL, and should not", format!("{alter} DROP NOT NULL;")),
        };
        add("null", message.into(), sql);
    }
}

fn other_type(alter: &str, name: &str, wanted: &Column, there: &Column) -> (String, String) {
    let (wanted_type, type_there) = (create::column_type(wanted), create::column_type(there));
    let with_default = |column_type: &str, default: &Option<String>| match default {
        Some(default) if wanted.default != there.default => {
            format!("{column_type} with the default {default}")
        }
        _ => column_type.to_owned(),
    };
    let message = format!(
        "is {}, and should be {}",
        with_default(&type_there, &there.default),
        with_default(&wanted_type, &wanted.default)
    );
    // A generated column is computed again, and the server refuses a USING for it.
    let using = match wanted.generated {
        Some(_) => String::new(),
        None => format!(" USING {name}::{}", without_length(&wanted.type_name)),
    };
    // A default need not be of the new type.
    let drop = there.default.as_ref().map(|_| format!("{alter} DROP DEFAULT;"));
    // An identity takes no default, and what replaces a sequence sets it.
    let default = wanted.default.as_ref().filter(|_| there.sequence.is_none());
    let set = default.map(|default| format!("{alter} SET DEFAULT {default};"));
    let change = format!("{alter} TYPE {wanted_type}{using};");
    (message, drop.into_iter().chain([change]).chain(set).collect::<Vec<_>>().join("\n"))
}

/// A type to cast to. A cast to a length cuts what is longer without a word; the server refuses it where the value is only
/// assigned to a column of that length.
fn without_length(type_name: &str) -> String {
    let (plain, dimensions) = type_name.split_at(type_name.find('[').unwrap_or(type_name.len()));
    let name = plain.split_once('(').map_or(plain, |(name, _)| name);
    // Without a length these two words mean a length of 1.
    let cast = match name {
        "character varying" | "bit varying" => name,
        "character" => "bpchar",
        "bit" => "pg_catalog.\"bit\"",
        _ => return type_name.to_owned(),
    };
    format!("{cast}{dimensions}")
}

fn is_same_sequence(wanted: Option<&OwnSequence>, there: Option<&OwnSequence>) -> bool {
    match (wanted, there) {
        (Some(wanted), Some(there)) => {
            let is_same_name = wanted.name == there.name || (wanted.named_by_server && there.named_by_server);
            (wanted.kind, &wanted.options) == (there.kind, &there.options) && is_same_name
        }
        (wanted, there) => wanted == there,
    }
}

fn text(column: &Column) -> String {
    let Some(sequence) = &column.sequence else { return "without a sequence".into() };
    let kind = match sequence.kind {
        SequenceKind::Serial => format!("numbered by {}", sequence.name.as_deref().unwrap_or("its sequence")),
        SequenceKind::Always => "GENERATED ALWAYS AS IDENTITY".into(),
        SequenceKind::ByDefault => "GENERATED BY DEFAULT AS IDENTITY".into(),
    };
    match &sequence.options {
        Some(options) => format!("{kind} ({options})"),
        None => kind,
    }
}

/// Changes a sequence where that is possible, so that it keeps its value, and replaces it otherwise.
fn sequence(table: &str, name: &str, wanted: &Column, there: &Column) -> String {
    let alter = format!("ALTER TABLE {table} ALTER COLUMN {name}");
    let is_serial = |sequence: &OwnSequence| sequence.kind == SequenceKind::Serial;
    match (&wanted.sequence, &there.sequence) {
        (Some(new), Some(old)) if !is_serial(new) && !is_serial(old) => {
            let kind = if new.kind == SequenceKind::Always { "ALWAYS" } else { "BY DEFAULT" };
            format!("{alter} SET GENERATED {kind}{};", settings(&spelled_out(new, wanted)))
        }
        (Some(new), Some(old)) if is_serial(new) && is_serial(old) => {
            let (new_name, old_name) =
                (create::sequence_name(table, name, new), create::sequence_name(table, name, old));
            let mut statements = Vec::new();
            if new_name != old_name && !(new.named_by_server && old.named_by_server) {
                let (schema, local) = quoting::split(&new_name);
                if quoting::split(&old_name).0 != schema {
                    statements.push(format!("ALTER SEQUENCE {old_name} SET SCHEMA {schema};"));
                }
                let (_, old_local) = quoting::split(&old_name);
                if old_local != local {
                    statements.push(format!("ALTER SEQUENCE {schema}.{old_local} RENAME TO {local};"));
                }
            }
            if new.options != old.options {
                let name = if new.named_by_server && old.named_by_server { &old_name } else { &new_name };
                let options = spelled_out(new, wanted);
                let own_type = if options.starts_with("AS ") {
                    String::new()
                } else {
                    format!(" AS {}", wanted.type_name)
                };
                statements.push(format!("ALTER SEQUENCE {name}{own_type} {options};"));
            }
            statements.join("\n")
        }
        (new, old) => {
            let remove = old.as_ref().map(|old| {
                if is_serial(old) {
                    let sequence = create::sequence_name(table, name, old);
                    format!("{alter} DROP DEFAULT;\nDROP SEQUENCE {sequence};")
                } else {
                    format!("{alter} DROP IDENTITY;")
                }
            });
            // An identity column cannot have a default.
            let free = (there.default.is_some() && new.is_some()).then(|| format!("{alter} DROP DEFAULT;"));
            let set = wanted.default.as_ref().map(|default| format!("{alter} SET DEFAULT {default};"));
            let make = new.as_ref().map(|_| create::own_sequence(table, name, wanted));
            remove.into_iter().chain(free).chain(set).chain(make).collect::<Vec<_>>().join("\n")
        }
    }
}

/// How a sequence counts, spelled out; with its type where that is not the column's.
pub(super) fn spelled_out(sequence: &OwnSequence, column: &Column) -> String {
    let options = sequence.options.as_deref().unwrap_or_default().trim_end();
    if options.contains("START WITH") {
        return options.to_owned();
    }
    let own_type = options.strip_prefix("AS ");
    let most = match own_type.unwrap_or(&column.type_name) {
        "smallint" => "32767",
        "integer" => "2147483647",
        _ => "9223372036854775807",
    };
    let usual = format!("START WITH 1 INCREMENT BY 1 MINVALUE 1 MAXVALUE {most} CACHE 1 NO CYCLE");
    if own_type.is_some() { format!("{options} {usual}") } else { usual }
}

/// The options in the words of `ALTER COLUMN`.
fn settings(options: &str) -> String {
    let mut settings = format!(" {options}");
    for word in [" START WITH", " INCREMENT BY", " MINVALUE", " MAXVALUE", " CACHE"] {
        settings = settings.replace(word, &format!(" SET{word}"));
    }
    match settings.strip_suffix(" NO CYCLE") {
        Some(rest) => format!("{rest} SET NO CYCLE"),
        None => settings.replace(" CYCLE", " SET CYCLE"),
    }
}

//! Sequences other than those that both sides have as a column's own.

use std::borrow::Cow;

use super::{Found, Step, column, pairs};
use crate::core::schema::{Schema, Sequence, SequenceKind, create};
use crate::core::sql::quote::literal;

/// Both schemas, with each sequence that is a `serial`'s on one side only as one by itself on both. So it is compared with
/// itself and keeps its value, rather than being dropped for one side and created for the other.
pub(super) fn alike<'a>(expected: &'a Schema, live: &'a Schema) -> (Cow<'a, Schema>, Cow<'a, Schema>) {
    (freed(expected, live), freed(live, expected))
}

fn freed<'a>(schema: &'a Schema, other: &Schema) -> Cow<'a, Schema> {
    let mut schema = Cow::Borrowed(schema);
    let owned = serials(&schema).filter(|(sequence, ..)| other.sequences.contains_key(sequence));
    for (sequence, table, column) in owned.collect::<Vec<_>>() {
        free(schema.to_mut(), sequence, &table, &column);
    }
    schema
}

/// Each `serial`: its sequence, its table, its column.
fn serials(schema: &Schema) -> impl Iterator<Item = (String, String, String)> {
    let columns = schema.tables.iter().flat_map(|(table, of)| of.columns.iter().map(move |of| (table, of)));
    columns.filter_map(|(table, (column, of))| {
        let sequence = of.sequence.as_ref().filter(|sequence| sequence.kind == SequenceKind::Serial)?;
        Some((create::sequence_name(table, column, sequence), table.clone(), column.clone()))
    })
}

fn free(schema: &mut Schema, name: String, table: &str, column: &str) {
    let Some(of) = schema.tables.get_mut(table).and_then(|table| table.columns.get_mut(column)) else {
        return;
    };
    let Some(own) = of.sequence.take() else { return };
    let options = column::spelled_out(&own, of);
    let options = if options.starts_with("AS ") { options } else { format!("AS {} {options}", of.type_name) };
    of.default = Some(format!("nextval({}::regclass)", literal(&name)));
    schema.sequences.insert(name, Sequence { options, owned_by: Some(format!("{table}.{column}")) });
}

pub(super) fn compare_all(found: &mut Found, expected: &Schema, live: &Schema) {
    for (name, expected, live) in pairs(&expected.sequences, &live.sequences) {
        match (expected, live) {
            (Some(Sequence { options, owned_by }), None) => {
                found.missing(Step::Type, "sequence", name, format!("CREATE SEQUENCE {name} {options};"));
                if let Some(column) = owned_by {
                    own(found, name, column);
                }
            }
            (None, Some(_)) if found.is_elsewhere(name) => {}
            (None, Some(_)) => {
                found.extra(Step::DropRoutine, "sequence", name, format!("DROP SEQUENCE {name};"));
            }
            (Some(expected), Some(live)) => {
                if expected.options != live.options {
                    let message =
                        format!("sequence {name} is {}, and should be {}", live.options, expected.options);
                    let sql = format!("ALTER SEQUENCE {name} {};", expected.options);
                    found.add(Step::Type, "sequence", name, "options", message, sql);
                }
                if expected.owned_by != live.owned_by {
                    own(found, name, expected.owned_by.as_deref().unwrap_or("NONE"));
                }
            }
            (None, None) => {}
        }
    }
}

/// The column may have to be created first.
fn own(found: &mut Found, sequence: &str, column: &str) {
    let message = match column {
        "NONE" => format!("sequence {sequence} is owned by a column, and should not be"),
        _ => format!("sequence {sequence} is not owned by column {column}"),
    };
    let sql = format!("ALTER SEQUENCE {sequence} OWNED BY {column};");
    found.add(Step::Key, "sequence", sequence, "owner", message, sql);
}

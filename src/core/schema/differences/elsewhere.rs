//! Objects that the migrations create in one schema and the database has in another, because the role that created them had
//! another search path.
//!
//! The app may use the objects in the other schema, so no SQL drops them.

use std::collections::BTreeSet;

use super::{Entry, Found};
use crate::core::schema::{Schema, quoting};

/// Kinds of objects that `SET SCHEMA` moves with everything on them.
const MOVABLE: [&str; 9] =
    ["table", "view", "materialized view", "sequence", "enum", "domain", "type", "function", "procedure"];

/// Whether a schema that no migration creates has an object that the migrations create in another schema. With `may_be_any`
/// every such object counts, otherwise only one that is missing in its schema. Such a schema is compared object by object.
pub(super) fn is_used(schema: &str, expected: &Schema, live: &Schema, may_be_any: bool) -> bool {
    let here: BTreeSet<_> = names(live).collect();
    names(expected).any(|(kind, name)| {
        let namesake = format!("{schema}.{}", quoting::split(name).1);
        here.contains(&(kind, &namesake)) && (may_be_any || !here.contains(&(kind, name)))
    })
}

/// The independent objects of a schema, by kind and name.
fn names(schema: &Schema) -> impl Iterator<Item = (&'static str, &str)> {
    let tables = schema.tables.keys().map(|name| ("table", name.as_str()));
    let views = schema.views.keys().map(|name| ("view", name.as_str()));
    let types = schema.types.keys().map(|name| ("type", name.as_str()));
    let sequences = schema.sequences.keys().map(|name| ("sequence", name.as_str()));
    let routines = schema.routines.keys().map(|name| ("routine", name.as_str()));
    tables.chain(views).chain(types).chain(sequences).chain(routines)
}

/// Removes the SQL that would drop an object or a column if one of the same name is missing in another schema. Objects that
/// match one to one are moved, and none is created again.
pub(super) fn keep(found: &mut Found) {
    let namesakes = |of: &Entry, what: &str| -> Vec<usize> {
        let is_namesake =
            |other: &Entry| other.what == what && other.kind == of.kind && other.name().1 == of.name().1;
        (0..found.entries.len()).filter(|at| is_namesake(&found.entries[*at])).collect()
    };
    let pairs: Vec<_> = (0..found.entries.len())
        .filter(|extra| found.entries[*extra].what == "extra")
        .filter_map(|extra| {
            let entry = &found.entries[extra];
            let missing = namesakes(entry, "missing");
            let is_one_to_one = missing.len() == 1 && namesakes(entry, "extra").len() == 1;
            Some((extra, *missing.first()?, is_one_to_one))
        })
        .collect();
    for (extra, missing, is_one_to_one) in pairs {
        let [there, wanted] = [extra, missing].map(|at| found.entries[at].difference.object.clone());
        let (step, kind) = (found.entries[missing].step, found.entries[extra].kind.clone());
        let is_movable = MOVABLE.contains(&kind.as_str());
        if is_movable || kind == "column" {
            found.entries[extra]
                .difference
                .withhold(&format!("{wanted} is missing, and may be the same {kind}"));
        }
        if is_movable {
            found.entries[missing].difference.withhold(&format!("it may be {there}"));
        }
        if is_movable && is_one_to_one {
            let (entry, schema) = (&mut found.entries[extra], quoting::split(&wanted).0);
            entry.difference.sql = format!("ALTER {} {there} SET SCHEMA {schema};", keyword(&kind));
            entry.step = step;
        }
    }
}

fn keyword(kind: &str) -> String {
    if kind == "enum" { "TYPE".into() } else { kind.to_uppercase() }
}

/// Removes the SQL that would drop an object if the migrations create one of the same name in another schema; `why` is the
/// reason for both.
pub(super) fn doubt(found: &mut Found, expected: &Schema, why: &str) {
    for entry in found.entries.iter_mut().filter(|entry| entry.what == "extra") {
        let has_namesake = names(expected)
            .any(|(kind, name)| is_of(kind, &entry.kind) && quoting::split(name).1 == entry.name().1);
        if has_namesake {
            entry.difference.withhold(why);
        }
    }
}

fn is_of(kind: &str, entry: &str) -> bool {
    match kind {
        "view" => matches!(entry, "view" | "materialized view"),
        "type" => matches!(entry, "type" | "enum" | "domain"),
        "routine" => matches!(entry, "function" | "procedure"),
        kind => kind == entry,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::schema::differences::{differences, differences_where};
    use crate::core::schema::{Column, Constraint, Difference, Table};

    fn schema(tables: &[&str]) -> Schema {
        Schema {
            schemas: tables.iter().map(|name| quoting::split(name).0.to_owned()).collect(),
            tables: tables.iter().map(|name| ((*name).to_owned(), Table::default())).collect(),
            ..Schema::default()
        }
    }

    /// Each id with its SQL.
    fn ids_and_sql(differences: &[Difference]) -> Vec<(&str, &str)> {
        differences.iter().map(|difference| (difference.id.as_str(), difference.sql.as_str())).collect()
    }

    #[test]
    fn what_is_missing_in_one_schema_and_there_in_another_is_moved() {
        let expected = schema(&["depot.parcels", "public.bins", "public.jars"]);
        let found = differences(&expected, &schema(&["depot.parcels", "depot.bins", "public.jars"]));
        assert_eq!(
            ids_and_sql(&found),
            [
                ("table-public.bins-missing", ""),
                ("table-depot.bins-extra", "ALTER TABLE depot.bins SET SCHEMA public;"),
            ]
        );
        assert!(found[0].message.ends_with("; it may be depot.bins"), "{found:?}");
        assert!(
            found[1].message.ends_with("; public.bins is missing, and may be the same table"),
            "{found:?}"
        );
    }

    #[test]
    fn what_could_be_either_is_left_to_whoever_reads_it() {
        let found = differences(&schema(&["public.bins"]), &schema(&["a.bins", "b.bins", "public.x"]));
        assert_eq!(
            ids_and_sql(&found),
            [
                ("table-public.bins-missing", ""),
                ("table-public.x-extra", "DROP TABLE public.x;"),
                ("table-b.bins-extra", ""),
                ("table-a.bins-extra", ""),
            ]
        );
    }

    #[test]
    fn a_column_is_made_where_it_is_missing_and_kept_where_it_is_too_much() {
        let with = |table: &str| {
            let mut schema = schema(&["public.bins", "depot.bins"]);
            let of = schema.tables.get_mut(table).unwrap();
            of.columns.insert("label".into(), Column { type_name: "text".into(), ..Column::default() });
            let check = Constraint { definition: "CHECK (true)".into(), ..Constraint::default() };
            of.constraints.insert("sane".into(), check);
            schema
        };
        let found = differences(&with("public.bins"), &with("depot.bins"));
        assert_eq!(
            ids_and_sql(&found),
            [
                ("constraint-depot.bins.sane-extra", "ALTER TABLE depot.bins DROP CONSTRAINT sane;"),
                ("column-public.bins.label-missing", "ALTER TABLE public.bins ADD COLUMN label text;"),
                (
                    "constraint-public.bins.sane-missing",
                    "ALTER TABLE public.bins ADD CONSTRAINT sane CHECK (true);"
                ),
                ("column-depot.bins.label-extra", ""),
            ]
        );
    }

    #[test]
    fn a_schema_goes_as_a_whole_only_where_nothing_of_it_is_missing_elsewhere() {
        let live = schema(&["depot.bins", "depot.more", "other.x"]);
        assert_eq!(
            ids_and_sql(&differences(&schema(&["public.bins"]), &live)),
            [
                ("schema-public-missing", "CREATE SCHEMA public;"),
                ("table-public.bins-missing", ""),
                ("table-depot.bins-extra", "ALTER TABLE depot.bins SET SCHEMA public;"),
                ("schema-other-extra", "DROP SCHEMA other CASCADE;"),
                ("table-depot.more-extra", "DROP TABLE depot.more;"),
            ]
        );
    }

    #[test]
    fn a_namesake_is_dropped_only_where_no_file_leaves_its_path_behind() {
        let (expected, live) =
            (schema(&["public.bins", "depot.a"]), schema(&["public.bins", "depot.a", "depot.bins"]));
        assert_eq!(
            ids_and_sql(&differences(&expected, &live)),
            [("table-depot.bins-extra", "DROP TABLE depot.bins;")]
        );
        let found = differences_where(&expected, &live, Some("`1_a.sql` leaves it"));
        assert_eq!(ids_and_sql(&found), [("table-depot.bins-extra", "")]);
        assert!(found[0].message.ends_with("; `1_a.sql` leaves it"), "{found:?}");
        // Not with its schema either.
        let live = schema(&["public.bins", "depot.a", "spare.bins"]);
        assert_eq!(
            ids_and_sql(&differences_where(&expected, &live, Some("why"))),
            [("table-spare.bins-extra", "")]
        );
    }
}

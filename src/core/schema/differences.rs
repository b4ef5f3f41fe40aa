//! The differences of two schemas, and the SQL that fixes them.

mod column;
mod elsewhere;
mod sequence;
mod table;
mod user_type;
mod view;

use std::collections::BTreeMap;

use super::{Difference, Routine, Schema, create, quoting};
use crate::core::secrets;
use crate::core::sql::lex::{Kind, tokens};

/// The differences of `live` from `expected`, in an order in which their SQL can run.
///
/// An extension that only the live database has is not a difference: it belongs to the administrator of the server, and its
/// objects are in no schema. Neither is a schema `public`, which every database has from the start, nor a schema that has
/// only objects that are not compared.
pub fn differences(expected: &Schema, live: &Schema) -> Vec<Difference> {
    differences_where(expected, live, None)
}

/// The same where an object with the name of an expected one may be in use in any schema; `doubt` is the reason.
pub(crate) fn differences_where(expected: &Schema, live: &Schema, doubt: Option<&str>) -> Vec<Difference> {
    let (expected, live) = sequence::alike(expected, live);
    let (expected, live) = (expected.as_ref(), live.as_ref());
    let extra_schemas = extra_schemas(expected, live, doubt.is_some());
    let mut found = Found { extra_schemas, ..Found::default() };
    schemas(&mut found, expected, live);
    extensions(&mut found, expected, live);
    user_type::compare(&mut found, expected, live);
    sequence::compare_all(&mut found, expected, live);
    routines(&mut found, expected, live);
    table::compare_all(&mut found, expected, live);
    view::compare_all(&mut found, expected, live);
    if let Some(why) = doubt {
        elsewhere::doubt(&mut found, expected, why);
    }
    elsewhere::keep(&mut found);
    found.in_order()
}

/// When the SQL of a difference runs: dependent objects are dropped first and created last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Free,
    DropView,
    DropForeignKey,
    DropKey,
    Schema,
    Type,
    Routine,
    Table,
    Column,
    SqlRoutine,
    Key,
    ForeignKey,
    View,
    Trigger,
    DropColumn,
    DropSchema,
    DropTable,
    DropRoutine,
    DropType,
}

#[derive(Default)]
struct Found {
    extra_schemas: Vec<String>,
    entries: Vec<Entry>,
}

/// A difference, and what sorts it.
struct Entry {
    step: Step,
    kind: String,
    /// `missing`, `extra`, or the part that differs.
    what: String,
    difference: Difference,
}

impl Entry {
    /// The object's schema, and its name in it.
    fn name(&self) -> (&str, &str) {
        quoting::split(&self.difference.object)
    }
}

impl Found {
    /// `what` differs about the object: `missing`, `extra`, or a part of it.
    fn add(&mut self, step: Step, kind: &str, object: &str, what: &str, message: String, sql: String) {
        let id = format!("{}-{}-{what}", kind.replace(' ', "-"), safe(object));
        let difference = Difference { id, object: object.to_owned(), message, sql, created_by: None };
        self.entries.push(Entry { step, kind: kind.to_owned(), what: what.to_owned(), difference });
    }

    fn missing(&mut self, step: Step, kind: &str, object: &str, sql: String) {
        self.add(step, kind, object, "missing", format!("{kind} {object} is missing"), sql);
    }

    fn extra(&mut self, step: Step, kind: &str, object: &str, sql: String) {
        self.add(
            step,
            kind,
            object,
            "extra",
            format!("{kind} {object} exists but no migration creates it"),
            sql,
        );
    }

    /// Whether an object is in a schema that no migration creates.
    fn is_elsewhere(&self, name: &str) -> bool {
        self.extra_schemas.iter().any(|schema| quoting::split(name).0 == schema)
    }

    fn in_order(mut self) -> Vec<Difference> {
        self.entries.sort_by_key(|entry| entry.step);
        self.entries.into_iter().map(|entry| without_secret(entry.difference)).collect()
    }
}

/// SQL with `***` in place of a secret would set the `***`: no SQL is better.
fn without_secret(mut difference: Difference) -> Difference {
    if secrets::has(&difference.sql) {
        difference.sql =
            "-- the statement has a secret, which is not printed: take it from the migration file".into();
    }
    difference
}

/// A name that a shell leaves as it is, that a list with commas does not cut, and that no other name becomes: what stands
/// for something outside quotes is encoded within them.
fn safe(name: &str) -> String {
    let mut safe = String::with_capacity(name.len());
    let mut in_quotes = false;
    for c in name.replace(", ", ",").chars() {
        match c {
            '"' => in_quotes = !in_quotes,
            ')' if !in_quotes => {}
            '(' | ',' if !in_quotes => safe.push(':'),
            ' ' if !in_quotes => safe.push('_'),
            '.' if !in_quotes => safe.push('.'),
            c if c.is_alphanumeric() || "_-".contains(c) => safe.push(c),
            c => safe.extend(c.to_string().bytes().map(|byte| format!("%{byte:02x}"))),
        }
    }
    safe
}

/// The keys of both maps that only one has, and the values of those that both have.
fn pairs<'a, T>(
    expected: &'a BTreeMap<String, T>,
    live: &'a BTreeMap<String, T>,
) -> impl Iterator<Item = (&'a String, Option<&'a T>, Option<&'a T>)> {
    let only_live = live.iter().filter(|(name, _)| !expected.contains_key(*name));
    let of_expected = expected.iter().map(|(name, value)| (name, Some(value), live.get(name)));
    of_expected.chain(only_live.map(|(name, value)| (name, None, Some(value))))
}

/// Names in an order in which each comes after those that its SQL names.
fn by_dependency(objects: &[(&str, String)]) -> Vec<usize> {
    let mut order = Vec::with_capacity(objects.len());
    let mut seen = vec![false; objects.len()];
    for at in 0..objects.len() {
        visit(at, objects, &mut seen, &mut order);
    }
    order
}

/// Where objects depend on each other in a circle, no order is better than another.
fn visit(at: usize, objects: &[(&str, String)], seen: &mut [bool], order: &mut Vec<usize>) {
    if std::mem::replace(&mut seen[at], true) {
        return;
    }
    for other in 0..objects.len() {
        if !seen[other] && mentions(&objects[at].1, objects[other].0) {
            visit(other, objects, seen, order);
        }
    }
    order.push(at);
}

fn mentions(sql: &str, name: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == '"';
    sql.match_indices(name)
        .any(|(at, _)| !sql[..at].ends_with(is_part) && !sql[at + name.len()..].starts_with(is_part))
}

/// The schemas that can go with everything in them. Where there are things that are not compared, what else is there goes
/// one by one, so that those stay.
fn extra_schemas(expected: &Schema, live: &Schema, may_be_any: bool) -> Vec<String> {
    let goes = |name: &&String| {
        *name != "public"
            && !live.shared.contains(*name)
            && !elsewhere::is_used(name, expected, live, may_be_any)
    };
    live.schemas.difference(&expected.schemas).filter(goes).cloned().collect()
}

fn schemas(found: &mut Found, expected: &Schema, live: &Schema) {
    // Every new database has a `public`, so an unused one is not a difference.
    let is_wanted = |name: &&String| *name != "public" || expected.uses("public");
    for name in expected.schemas.difference(&live.schemas).filter(is_wanted) {
        found.missing(Step::Schema, "schema", name, format!("CREATE SCHEMA {name};"));
    }
    for name in found.extra_schemas.clone() {
        let message = format!("schema {name} exists, with everything in it, but no migration creates it");
        let sql = format!("DROP SCHEMA {name} CASCADE;");
        found.add(Step::DropSchema, "schema", &name, "extra", message, sql);
    }
}

fn extensions(found: &mut Found, expected: &Schema, live: &Schema) {
    for (name, schema) in &expected.extensions {
        match live.extensions.get(name) {
            None => {
                let sql = format!("CREATE EXTENSION {name} SCHEMA {schema};");
                found.missing(Step::Schema, "extension", name, sql);
            }
            Some(there) if there != schema => found.add(
                Step::Schema,
                "extension",
                name,
                "schema",
                format!("extension {name} is in schema {there} and should be in {schema}"),
                format!("ALTER EXTENSION {name} SET SCHEMA {schema};"),
            ),
            Some(_) => {}
        }
    }
}

fn routines(found: &mut Found, expected: &Schema, live: &Schema) {
    for (name, expected, live) in pairs(&expected.routines, &live.routines) {
        // The body of an SQL function is checked against the tables, which may have to be created first.
        let step = |routine: &Routine| {
            if routine.definition.contains("\n LANGUAGE sql") { Step::SqlRoutine } else { Step::Routine }
        };
        match (expected, live) {
            (Some(routine), None) => {
                found.missing(step(routine), kind(routine), name, create::terminated(&routine.definition));
            }
            (None, Some(_)) if found.is_elsewhere(name) => {}
            (None, Some(routine)) => {
                found.extra(Step::DropRoutine, kind(routine), name, drop_routine(name, routine));
            }
            (Some(routine), Some(there)) if routine != there => {
                let drop = if is_replaceable(routine, there) {
                    String::new()
                } else {
                    drop_routine(name, there) + "\n"
                };
                let message = format!("{} {name} has another definition", kind(routine));
                let sql = drop + &create::terminated(&routine.definition);
                found.add(step(routine), kind(routine), name, "definition", message, sql);
            }
            (Some(_), Some(_)) | (None, None) => {}
        }
    }
}

fn kind(routine: &Routine) -> &'static str {
    if routine.procedure { "procedure" } else { "function" }
}

fn drop_routine(name: &str, routine: &Routine) -> String {
    format!("DROP {} {name};", if routine.procedure { "PROCEDURE" } else { "FUNCTION" })
}

/// Whether `CREATE OR REPLACE` takes the one in place of the other: callers must see the same arguments and result, and may
/// leave out no fewer arguments.
fn is_replaceable(routine: &Routine, there: &Routine) -> bool {
    let (Some(new), Some(old)) = (signature(&routine.definition), signature(&there.definition)) else {
        return false;
    };
    new.words == old.words && new.defaults >= old.defaults && routine.procedure == there.procedure
}

struct Signature<'a> {
    /// All of it without the defaults.
    words: Vec<&'a str>,
    /// How many arguments, the last ones, have one.
    defaults: usize,
}

fn signature(definition: &str) -> Option<Signature<'_>> {
    let head = definition.split_once("\n LANGUAGE ").map_or(definition, |(head, _)| head);
    let (mut words, mut defaults) = (Vec::new(), 0);
    let (mut depth, mut in_default) = (0_usize, false);
    for token in tokens(head).ok()? {
        match (token.kind, token.text) {
            (Kind::OpenParen, _) | (_, "[") => depth += 1,
            (Kind::CloseParen, _) | (_, "]") => depth = depth.saturating_sub(1),
            _ => {}
        }
        let starts = depth == 1 && token.kind == Kind::Word && token.text == "DEFAULT";
        defaults += usize::from(starts);
        // A default reaches to the next argument, or to the end of them.
        let is_end = depth == 0 || (depth == 1 && token.kind == Kind::Comma);
        in_default = starts || (in_default && !is_end);
        if !in_default {
            words.push(token.text);
        }
    }
    Some(Signature { words, defaults })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sql_with_a_secret_is_not_offered() {
        let mut found = Found::default();
        let sql = "CREATE FUNCTION f() RETURNS void LANGUAGE sql AS $$ALTER ROLE a PASSWORD 's3cr3t'$$;";
        found.missing(Step::Routine, "function", "public.f()", sql.into());
        found.missing(Step::Column, "column", "public.t.token", "ALTER TABLE t ADD token text;".into());
        let sql: Vec<_> = found.in_order().into_iter().map(|difference| difference.sql).collect();
        assert!(sql[0].starts_with("-- ") && !sql[0].contains("s3cr3t"), "{sql:?}");
        assert_eq!(sql[1], "ALTER TABLE t ADD token text;");
    }

    #[test]
    fn ids_are_safe_in_a_shell_and_in_a_list() {
        for (name, expected) in [
            ("public.users.email", "public.users.email"),
            ("app.\"Users\".\"Größe\"", "app.Users.Größe"),
            ("public.f(integer, character varying)", "public.f:integer:character_varying"),
            ("public.\"it's $x\"", "public.it%27s%20%24x"),
        ] {
            assert_eq!(safe(name), expected);
        }
    }

    #[test]
    fn no_two_names_have_one_id() {
        let names = [
            "public.x_y",
            r#"public."x y""#,
            r#"public."x%20y""#,
            r#"public."x""y""#,
            r#"public."x.y""#,
            "public.x.y",
            r#"public."x:y""#,
            "public.x(y)",
            r#"public."x(y)""#,
            "public.x(y, z)",
            r#"public."x,y""#,
            r#"public."X_y""#,
        ];
        let ids: std::collections::BTreeSet<_> = names.iter().map(|name| safe(name)).collect();
        assert_eq!(ids.len(), names.len(), "{ids:?}");
    }

    #[test]
    fn what_callers_leave_out_is_no_part_of_a_signature() {
        let routine = |head: &str| Routine {
            procedure: false,
            definition: format!(
                "CREATE OR REPLACE FUNCTION public.f({head}\n LANGUAGE sql\nAS $$ SELECT 1 $$"
            ),
        };
        let is_replaceable = |new: &str, old: &str| super::is_replaceable(&routine(new), &routine(old));
        let two =
            "a integer DEFAULT 1, b text[] DEFAULT ARRAY['(,'::text, upper('x'::text)])\n RETURNS integer";
        let one = "a integer, b text[] DEFAULT '{}'::text[])\n RETURNS integer";
        let none = "a integer, b text[])\n RETURNS integer";
        assert!(is_replaceable(two, one) && is_replaceable(one, none) && is_replaceable(two, two));
        assert!(!is_replaceable(none, one) && !is_replaceable(one, two));
        for other in [
            "a integer, b text)\n RETURNS integer",
            "a integer, c text[])\n RETURNS integer",
            "a integer, b text[])\n RETURNS bigint",
        ] {
            assert!(!is_replaceable(other, none), "{other}");
        }
    }

    #[test]
    fn what_is_named_comes_first() {
        let objects = [
            ("a.c", "SELECT FROM a.b"),
            ("a.b", "SELECT FROM a.a, a.bb"),
            ("a.a", "SELECT 1"),
            ("a.bb", "SELECT 'a.bbb'"),
        ];
        let objects = objects.map(|(name, sql)| (name, sql.to_owned()));
        assert_eq!(by_dependency(&objects), [2, 3, 1, 0]);
        let circle = [("a", "b"), ("b", "a")].map(|(name, sql)| (name, sql.to_owned()));
        assert_eq!(by_dependency(&circle), [1, 0]);
    }
}

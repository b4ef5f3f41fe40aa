//! Leaves objects out of a comparison of schemas: those that patterns name, and partitions that the app creates.
//!
//! A pattern is `SCHEMA` or `SCHEMA.NAME`, and has to match the whole name, as the catalog has it and without quotes:
//!
//! | | |
//! |---|---|
//! | `*` | any characters, or none |
//! | `?` | one character |
//! | `[abc]`, `[a-z]`, `[!a-z]` | one of these characters, or one of all others |
//! | `\` | the next character as it is: `\.` is a dot within a name |
//!
//! `SCHEMA` leaves out the schemas that match, with everything in them. `SCHEMA.NAME` leaves out tables, views, types,
//! sequences, routines of any arguments and indexes; with a table goes what is on it. An object is left out on both sides:
//! it is neither missing, nor extra, nor different.

use std::collections::BTreeSet;

use crate::core::schema::quoting::{split, unquoted};
use crate::core::schema::{Index, Schema, Table};

/// The patterns of objects that are not compared.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Ignore(Vec<Pattern>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Pattern {
    text: String,
    schema: Vec<Part>,
    /// None for the schema and everything in it.
    name: Option<Vec<Part>>,
}

/// What one place of a pattern matches.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Any,
    One,
    Char(char),
    Set { negated: bool, ranges: Vec<(char, char)> },
}

/// Two schemas without what is not compared, and how much that was.
#[derive(Debug)]
pub(crate) struct Compared {
    pub(crate) expected: Schema,
    pub(crate) live: Schema,
    pub(crate) left_out: LeftOut,
}

/// How much of a live database was not compared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub(crate) struct LeftOut {
    /// Partitions that no migration creates, of tables that migrations create.
    pub(crate) partitions: usize,
    /// Schemas, tables, views, types, sequences, routines and indexes that a pattern names.
    pub(crate) ignored: usize,
}

impl LeftOut {
    /// The same as a line; none when nothing was left out.
    pub(crate) fn line(&self) -> Option<String> {
        let count = |count: usize, one: &str, many: &str| match count {
            0 => None,
            1 => Some(format!("1 {one}")),
            _ => Some(format!("{count} {many}")),
        };
        let parts = [
            count(
                self.partitions,
                "partition of a table that migrations create",
                "partitions of tables that migrations create",
            ),
            count(self.ignored, "object that `--ignore` names", "objects that `--ignore` names"),
        ];
        let parts: Vec<_> = parts.into_iter().flatten().collect();
        (!parts.is_empty()).then(|| format!("not compared: {}", parts.join(", and ")))
    }
}

impl Ignore {
    /// Reads patterns.
    ///
    /// # Errors
    /// The first invalid pattern, and why.
    pub(crate) fn parse<'a>(patterns: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        patterns.into_iter().map(Pattern::parse).collect::<Result<_, _>>().map(Self)
    }

    /// Reads a file of patterns: one on each line, and `#` begins a line that is a comment.
    ///
    /// # Errors
    /// The first line with an invalid pattern, by its number, and why.
    pub(crate) fn parse_file(text: &str) -> Result<Self, String> {
        let lines = (1..).zip(text.lines().map(str::trim));
        let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        let parse = |(number, line)| Pattern::parse(line).map_err(|why| format!("line {number}: {why}"));
        lines.map(parse).collect::<Result<_, _>>().map(Self)
    }

    pub(crate) fn and(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// Both schemas without what the patterns name, and `live` without the partitions that no migration creates, of
    /// tables that migrations create.
    pub(crate) fn compared(&self, expected: &Schema, live: &Schema) -> Compared {
        let (expected, _) = self.without(expected);
        let (mut live, ignored) = self.without(live);
        let partitions = run_time_partitions(&expected, &live);
        for name in &partitions {
            live.tables.remove(name);
            // What is left of their schema must not go with them in it.
            live.shared.insert(split(name).0.to_owned());
        }
        drop_sequences_of(&mut live, &partitions);
        Compared { expected, live, left_out: LeftOut { partitions: partitions.len(), ignored } }
    }

    /// The patterns that match nothing in any of these schemas.
    pub(crate) fn unused<'a>(&'a self, schemas: &[&Schema]) -> Vec<&'a str> {
        let matches_any = |pattern: &Pattern| {
            let alone = Self(vec![pattern.clone()]);
            schemas.iter().any(|schema| alone.without(schema).1 > 0)
        };
        self.0.iter().filter(|pattern| !matches_any(pattern)).map(|pattern| pattern.text.as_str()).collect()
    }

    /// The schema without what the patterns name, and how many objects that are.
    fn without(&self, schema: &Schema) -> (Schema, usize) {
        let mut left = schema.clone();
        if self.0.is_empty() {
            return (left, 0);
        }
        let mut gone = 0;
        let mut shared = BTreeSet::new();
        left.schemas.retain(|name| self.keeps(name, None, &mut gone));
        let mut keeps = |name: &str| {
            let (schema, rest) = split(name);
            let is_kept = self.keeps(schema, Some(rest), &mut gone);
            if !is_kept {
                shared.insert(schema.to_owned());
            }
            is_kept
        };
        left.types.retain(|name, _| keeps(name));
        left.sequences.retain(|name, _| keeps(name));
        left.routines.retain(|name, _| keeps(without_arguments(name)));
        left.views.retain(|name, _| keeps(name));
        let tables: BTreeSet<String> = left.tables.keys().filter(|name| !keeps(name)).cloned().collect();
        left.tables.retain(|name, _| !tables.contains(name));
        for (name, Table { indexes, .. }) in &mut left.tables {
            indexes.retain(|index, _| keeps(&same_schema(name, index)));
        }
        for (name, view) in &mut left.views {
            view.indexes.retain(|index, _: &mut Index| keeps(&same_schema(name, index)));
        }
        drop_sequences_of(&mut left, &tables);
        // A schema that no migration creates must not be dropped with the objects that were left out in it.
        left.shared.extend(shared);
        (left, gone)
    }

    /// Whether no pattern names the schema, or the object in it; both as they are written in SQL.
    fn keeps(&self, schema: &str, name: Option<&str>, gone: &mut usize) -> bool {
        let (schema, name) = (unquoted(schema), name.map(unquoted));
        let is_named = self.0.iter().any(|pattern| pattern.matches(&schema, name.as_deref()));
        *gone += usize::from(is_named);
        !is_named
    }
}

impl Pattern {
    fn parse(text: &str) -> Result<Self, String> {
        let problem = |why: &str| Err(format!("`{text}` {why}"));
        let mut names = vec![Vec::new()];
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            let part = match c {
                '.' => {
                    names.push(Vec::new());
                    continue;
                }
                '*' => Part::Any,
                '?' => Part::One,
                '[' => match set(&mut chars) {
                    Some(set) => set,
                    None => return problem("has a `[` without its `]`"),
                },
                '\\' => match chars.next() {
                    Some(c) => Part::Char(c),
                    None => return problem("ends with `\\`, which has to stand before a character"),
                },
                '"' => return problem("has a quote: names stand here without quotes"),
                c if c.is_whitespace() => {
                    return problem("has a space: write `?` or `\\ ` for one in a name");
                }
                c => Part::Char(c),
            };
            if let Some(name) = names.last_mut() {
                name.push(part);
            }
        }
        if names.iter().any(Vec::is_empty) {
            return problem("lacks a name: write `SCHEMA` or `SCHEMA.NAME`");
        }
        let mut names = names.into_iter();
        match (names.next(), names.next(), names.next()) {
            (Some(schema), name, None) => Ok(Self { text: text.to_owned(), schema, name }),
            _ => problem(
                "has more than one dot: write `SCHEMA` or `SCHEMA.NAME`, and `\\.` for a dot in a name",
            ),
        }
    }

    /// A schema has no name in itself.
    fn matches(&self, schema: &str, name: Option<&str>) -> bool {
        let name = match (&self.name, name) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(pattern), Some(name)) => is_match(pattern, name),
        };
        name && is_match(&self.schema, schema)
    }
}

/// Reads a set after its `[`. As in a shell, a `]` at its beginning is one of its characters.
fn set(chars: &mut std::str::Chars<'_>) -> Option<Part> {
    let rest = chars.as_str();
    let inner = rest.strip_prefix(['!', '^']).unwrap_or(rest);
    let negated = inner.len() < rest.len();
    let first = inner.chars().next()?.len_utf8();
    let length = first + inner[first..].find(']')?;
    *chars = inner[length + 1..].chars();
    let members: Vec<char> = inner[..length].chars().collect();
    let (mut at, mut ranges) = (0, Vec::new());
    while let Some(&from) = members.get(at) {
        if let (Some('-'), Some(&to)) = (members.get(at + 1), members.get(at + 2)) {
            ranges.push((from, to));
            at += 3;
        } else {
            ranges.push((from, from));
            at += 1;
        }
    }
    Some(Part::Set { negated, ranges })
}

/// Whether the whole name matches. After a mismatch the last `*` takes one more character, so that no pattern takes longer
/// than its length times that of the name.
fn is_match(pattern: &[Part], name: &str) -> bool {
    let name: Vec<char> = name.chars().collect();
    let (mut at, mut seen, mut retry) = (0, 0, None);
    while seen < name.len() {
        if pattern.get(at) == Some(&Part::Any) {
            at += 1;
            retry = Some((at, seen));
        } else if pattern.get(at).is_some_and(|part| part.is_match(name[seen])) {
            (at, seen) = (at + 1, seen + 1);
        } else if let Some((after, from)) = retry {
            (at, seen, retry) = (after, from + 1, Some((after, from + 1)));
        } else {
            return false;
        }
    }
    pattern[at..].iter().all(|part| *part == Part::Any)
}

impl Part {
    fn is_match(&self, c: char) -> bool {
        match self {
            Self::Any | Self::One => true,
            Self::Char(own) => *own == c,
            Self::Set { negated, ranges } => {
                ranges.iter().any(|(from, to)| (*from..=*to).contains(&c)) != *negated
            }
        }
    }
}

/// Partitions in `live` alone whose table is expected to be partitioned, and theirs.
fn run_time_partitions(expected: &Schema, live: &Schema) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    loop {
        let is_known = |parent: &str| {
            found.contains(parent)
                || expected.tables.get(parent).is_some_and(|table| table.partition_by.is_some())
        };
        let more: Vec<String> = live
            .tables
            .iter()
            .filter(|(name, _)| !expected.tables.contains_key(*name) && !found.contains(*name))
            .filter(|(_, table)| table.partition_of.as_ref().is_some_and(|place| is_known(&place.table)))
            .map(|(name, _)| name.clone())
            .collect();
        if more.is_empty() {
            return found;
        }
        found.extend(more);
    }
}

/// A sequence is left out with the table that owns it.
fn drop_sequences_of(schema: &mut Schema, tables: &BTreeSet<String>) {
    let is_of = |owner: &str| {
        tables
            .iter()
            .any(|table| owner.strip_prefix(table.as_str()).is_some_and(|rest| rest.starts_with('.')))
    };
    schema.sequences.retain(|_, sequence| !sequence.owned_by.as_deref().is_some_and(is_of));
}

/// The name of an index, which is in the schema of its table.
fn same_schema(table: &str, index: &str) -> String {
    format!("{}.{index}", split(table).0)
}

/// `app.f(integer)` as `app.f`.
fn without_arguments(routine: &str) -> &str {
    let mut in_quotes = false;
    let end = routine.find(|c: char| {
        in_quotes ^= c == '"';
        c == '(' && !in_quotes
    });
    &routine[..end.unwrap_or(routine.len())]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::schema::differences::differences;
    use crate::core::schema::{Partition, Routine, Sequence, View};

    fn parsed(patterns: &[&str]) -> Ignore {
        Ignore::parse(patterns.iter().copied()).unwrap()
    }

    #[test]
    fn patterns_match_whole_names() {
        for (pattern, schema, name, expected) in [
            ("public.events_*", "public", Some("events_2026_01"), true),
            ("public.events_*", "public", Some("events_"), true),
            ("public.events_*", "public", Some("old_events_1"), false),
            ("public.events_*", "public", None, false),
            ("public.events", "public", Some("events_1"), false),
            ("public.Events", "public", Some("events"), false),
            ("public.*_y*m*", "public", Some("e_y2026m01"), true),
            ("public.*a*b", "public", Some("xaxbxab"), true),
            ("public.*a*b", "public", Some("xaxbxa"), false),
            ("public.e?", "public", Some("e1"), true),
            ("public.e?", "public", Some("e"), false),
            ("public.e?", "public", Some("é1"), false),
            ("public.?1", "public", Some("é1"), true),
            ("public.e[0-9]", "public", Some("e7"), true),
            ("public.e[0-9]", "public", Some("ex"), false),
            ("public.e[!0-9]", "public", Some("ex"), true),
            ("public.e[!0-9]", "public", Some("e7"), false),
            ("public.e[]x]", "public", Some("e]"), true),
            ("public.e[a-]", "public", Some("e-"), true),
            ("public.a[.]b", "public", Some("a.b"), true),
            (r"public.a\.b", "public", Some("a.b"), true),
            (r"public.a\*", "public", Some("a*"), true),
            (r"public.a\*", "public", Some("ab"), false),
            ("tenant_*", "tenant_1", None, true),
            ("tenant_*", "tenant_1", Some("anything"), true),
            ("tenant_*", "public", Some("tenant_1"), false),
            ("*.tmp_*", "tenant_1", Some("tmp_1"), true),
            ("*", "public", Some("x"), true),
        ] {
            let is_match = Pattern::parse(pattern).unwrap().matches(schema, name);
            assert_eq!(is_match, expected, "{pattern} {schema} {name:?}");
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused_with_the_reason() {
        for (pattern, why) in [
            ("", "lacks a name"),
            ("public.", "lacks a name"),
            (".events", "lacks a name"),
            ("db.public.events", "more than one dot"),
            ("public.e[0-9", "`[` without its `]`"),
            ("public.e\\", "ends with `\\`"),
            ("public.\"Events\"", "without quotes"),
            ("public.my table", "has a space"),
        ] {
            let refused = Ignore::parse([pattern]).unwrap_err();
            assert!(refused.starts_with(&format!("`{pattern}` ")) && refused.contains(why), "{refused}");
        }
    }

    #[test]
    fn a_file_has_comments_and_its_mistakes_a_line() {
        let file = Ignore::parse_file("# Made at run time.\n\n  tenant_*  \r\npublic.events_*\n").unwrap();
        assert_eq!(file, parsed(&["tenant_*", "public.events_*"]));
        assert_eq!(Ignore::parse_file("").unwrap(), Ignore::default());
        let refused = Ignore::parse_file("a\n# b\nc.d.e # no\n").unwrap_err();
        assert!(refused.starts_with("line 3: `c.d.e # no` has "), "{refused}");
    }

    fn partition_of(parent: &str) -> Table {
        let place = Partition { table: parent.into(), bound: "DEFAULT".into() };
        Table { partition_of: Some(place), ..Table::default() }
    }

    fn partitioned() -> Table {
        Table { partition_by: Some("RANGE (at)".into()), ..Table::default() }
    }

    fn schema(schemas: &[&str], tables: &[(&str, Table)]) -> Schema {
        Schema {
            schemas: schemas.iter().map(|&name| name.to_owned()).collect(),
            tables: tables.iter().map(|(name, table)| ((*name).to_owned(), table.clone())).collect(),
            ..Schema::default()
        }
    }

    /// The ids of what still differs, and what was left out.
    fn compare(patterns: &[&str], expected: &Schema, live: &Schema) -> (Vec<String>, (usize, usize)) {
        let compared = parsed(patterns).compared(expected, live);
        let found = differences(&compared.expected, &compared.live);
        let LeftOut { partitions, ignored } = compared.left_out;
        (found.into_iter().map(|difference| difference.id).collect(), (partitions, ignored))
    }

    #[test]
    fn partitions_of_known_tables_are_left_out_and_others_are_not() {
        let expected =
            schema(&["public"], &[("public.events", partitioned()), ("public.plain", Table::default())]);
        let middle = Table { partition_by: Some("LIST (a)".into()), ..partition_of("public.events") };
        let live = schema(
            &["parts", "public"],
            &[
                ("public.events", partitioned()),
                ("public.plain", Table::default()),
                ("parts.events_1", partition_of("public.events")),
                ("public.events_2", middle),
                ("public.events_2_a", partition_of("public.events_2")),
                ("public.other", partitioned()),
                ("public.other_1", partition_of("public.other")),
            ],
        );
        let expected_left = ["table-public.other_1-extra", "table-public.other-extra"];
        let (mut ids, left_out) = compare(&[], &expected, &live);
        ids.sort();
        let mut expected_ids = expected_left.map(str::to_owned).to_vec();
        expected_ids.sort();
        assert_eq!((ids, left_out), (expected_ids, (3, 0)));
        // What a migration creates is compared.
        let without =
            schema(&["public"], &[("public.events", partitioned()), ("public.plain", Table::default())]);
        let with = schema(
            &["public"],
            &[
                ("public.events", partitioned()),
                ("public.plain", Table::default()),
                ("public.events_0", partition_of("public.events")),
            ],
        );
        assert_eq!(compare(&[], &with, &without).0, ["table-public.events_0-missing"]);
    }

    #[test]
    fn what_patterns_name_is_left_out_on_both_sides_with_what_belongs_to_it() {
        let mut live = schema(
            &["public", "tenant_1", "\"Tenant\"", "mixed"],
            &[
                ("public.a", Table::default()),
                ("public.tmp_1", Table::default()),
                ("tenant_1.x", Table::default()),
                ("\"Tenant\".x", Table::default()),
                ("mixed.tmp_2", Table::default()),
                ("mixed.kept", Table::default()),
            ],
        );
        live.tables.get_mut("public.a").unwrap().indexes.insert("tmp_idx".into(), Index::default());
        live.routines.insert("public.tmp_f(integer, text)".into(), Routine::default());
        live.views.insert("public.tmp_v".into(), View::default());
        let owned = Sequence { options: String::new(), owned_by: Some("public.tmp_1.id".into()) };
        live.sequences.insert("public.counter".into(), owned);
        let expected =
            schema(&["public"], &[("public.a", Table::default()), ("public.tmp_0", Table::default())]);
        let (ids, left_out) = compare(&["tenant_*", "Tenant", "*.tmp_*"], &expected, &live);
        // Its schema would take with it what was left out in it.
        assert_eq!(ids, ["table-mixed.kept-extra"]);
        // Two schemas with a table each, two tables, an index, a function and a view.
        assert_eq!(left_out, (0, 9));
    }

    #[test]
    fn a_pattern_that_matches_nothing_is_reported() {
        let live = schema(&["public"], &[("public.a", Table::default())]);
        let ignore = parsed(&["public.a", "public.b", "nowhere"]);
        assert_eq!(ignore.unused(&[&live, &Schema::default()]), ["public.b", "nowhere"]);
    }

    #[test]
    fn what_was_left_out_is_one_line() {
        for (partitions, ignored, line) in [
            (0, 0, None),
            (1, 0, Some("not compared: 1 partition of a table that migrations create")),
            (
                12,
                3,
                Some(
                    "not compared: 12 partitions of tables that migrations create, and 3 objects that `--ignore` \
                     names",
                ),
            ),
        ] {
            assert_eq!(LeftOut { partitions, ignored }.line().as_deref(), line);
        }
    }
}

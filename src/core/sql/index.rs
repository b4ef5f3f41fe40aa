//! Parses `CREATE INDEX`.

use std::ops::Range;

use crate::core::sql::lex::Kind;
use crate::core::sql::reader::{QualifiedName, Reader, starts_with};
use crate::core::sql::split::Statement;

/// The head of a `CREATE INDEX`, up to its table.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a keyword of the statement, there or not")]
pub(crate) struct CreateIndex {
    /// Whether it has `UNIQUE`.
    pub(crate) unique: bool,
    /// Whether it has `CONCURRENTLY`.
    pub(crate) concurrently: bool,
    /// Whether it has `IF NOT EXISTS`.
    pub(crate) if_not_exists: bool,
    /// The index, if the statement names it. It lives in its table's schema.
    pub(crate) name: Option<String>,
    /// Whether it has `ONLY`: on a partitioned table such an index is INVALID by design.
    pub(crate) only: bool,
    pub(crate) table: QualifiedName,
    /// The table's name, in bytes of the statement's text; `ONLY` is not part of it.
    pub(crate) table_span: Range<usize>,
    /// All between `INDEX` and `ON` (`CONCURRENTLY`, `IF NOT EXISTS`, the name), in bytes of the statement's text.
    pub(crate) head_span: Range<usize>,
}

/// Reads a `CREATE INDEX`; `None` for any other statement, and for one that the server would reject.
pub(crate) fn create_index(statement: &Statement<'_>) -> Option<CreateIndex> {
    let mut reader = Reader::new(statement);
    if !reader.eat(&["create"]) {
        return None;
    }
    let unique = reader.eat(&["unique"]);
    if !reader.eat(&["index"]) {
        return None;
    }
    let head_start = reader.end() - statement.start;
    let concurrently = reader.eat(&["concurrently"]);
    let if_not_exists = reader.eat(&["if", "not", "exists"]);
    // `ON` is reserved, so it cannot be the name.
    let name = if starts_with(reader.rest(), &["on"]) { None } else { Some(reader.next()?.name()?) };
    let head_end = reader.peek()?.start - statement.start;
    if !reader.eat(&["on"]) {
        return None;
    }
    let only = reader.eat(&["only"]);
    reader.eat_kind(Kind::OpenParen);
    let table_start = reader.peek()?.start - statement.start;
    let table = reader.qualified_name()?;
    let table_span = table_start..reader.end() - statement.start;
    Some(CreateIndex {
        unique,
        concurrently,
        if_not_exists,
        name,
        only,
        table,
        table_span,
        head_span: head_start..head_end,
    })
}

/// The same statement for another index on another table, neither concurrent nor `IF NOT EXISTS`, with everything else
/// unchanged. Run on an empty copy of the table, it gives the definition as the server prints it.
///
/// `table` and `index` are SQL, that is, already quoted where they need it.
pub(crate) fn probe(statement: &Statement<'_>, create: &CreateIndex, table: &str, index: &str) -> String {
    let text = statement.text;
    let before = &text[..create.head_span.start];
    let between = &text[create.head_span.end..create.table_span.start];
    let after = &text[create.table_span.end..];
    format!("{before} {index} {between}{table}{after}")
}

/// A definition as the server prints it, from `USING` on: without the names of index and table, which are before it and in quotes
/// where they have a space. All of it, if it has no `USING`.
pub(crate) fn from_using(definition: &str) -> &str {
    let is_in_quotes = |at: usize| !definition[..at].matches('"').count().is_multiple_of(2);
    let using = definition.match_indices(" USING ").find(|(at, _)| !is_in_quotes(*at));
    using.map_or(definition, |(at, _)| &definition[at + 1..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::sql::split::statements;

    fn only_statement(sql: &str) -> Statement<'_> {
        statements(sql).unwrap().into_iter().next().unwrap()
    }

    #[test]
    fn heads_of_every_shape() {
        // Keywords found, as initials; the name; the table; the probe.
        let cases = [
            ("create index on on_table(x)", "", None, "on_table", "create index i on tmp(x)"),
            ("CREATE UNIQUE INDEX ON t (x);", "u", None, "t", "CREATE UNIQUE INDEX i ON tmp (x)"),
            (
                "CREATE INDEX CONCURRENTLY IF NOT EXISTS \"Weird \"\"name\" ON ONLY app.t USING gin (x)",
                "cio",
                Some("Weird \"name"),
                "app.t",
                "CREATE INDEX i ON ONLY tmp USING gin (x)",
            ),
            ("create index if on t(x)", "", Some("if"), "t", "create index i on tmp(x)"),
            ("create index \"on\" on \"on\" (x)", "", Some("on"), "on", "create index i on tmp (x)"),
            (
                "create index concurrently on only (App.T) (x)",
                "co",
                None,
                "app.t",
                "create index i on only (tmp) (x)",
            ),
            (
                "CREATE INDEX -- why\n Concurrently -- é\n Big /* é */ ON /* é */ t(lower(x)) WHERE y = 'ON t' -- end",
                "c",
                Some("big"),
                "t",
                "CREATE INDEX i ON /* é */ tmp(lower(x)) WHERE y = 'ON t'",
            ),
            ("create index i on t * (x)", "", Some("i"), "t", "create index i on tmp * (x)"),
            ("create index i on db.app.t(x)", "", Some("i"), "app.t", "create index i on tmp(x)"),
        ];
        for (sql, keywords, name, table, probed) in cases {
            let statement = only_statement(sql);
            let index = create_index(&statement).unwrap_or_else(|| panic!("not read: {sql}"));
            let found: String = [
                ('u', index.unique),
                ('c', index.concurrently),
                ('i', index.if_not_exists),
                ('o', index.only),
            ]
            .iter()
            .filter_map(|(initial, there)| there.then_some(*initial))
            .collect();
            assert_eq!(found, keywords, "{sql}");
            assert_eq!(index.name.as_deref(), name, "{sql}");
            let schema = index.table.schema.as_ref().map_or(String::new(), |schema| format!("{schema}."));
            assert_eq!(format!("{schema}{}", index.table.name), table, "{sql}");
            assert_eq!(probe(&statement, &index, "tmp", "i"), probed, "{sql}");
        }
    }

    #[test]
    fn spans_are_within_the_statement() {
        let sql = "-- é\nSELECT 1; CREATE INDEX CONCURRENTLY n ON \"é\".t (x)";
        let statements = statements(sql).unwrap();
        let index = create_index(&statements[1]).unwrap();
        assert_eq!(&statements[1].text[index.table_span], "\"é\".t");
        assert_eq!(statements[1].text[index.head_span].trim(), "CONCURRENTLY n");
    }

    #[test]
    fn other_statements_create_no_index() {
        for sql in
            ["create table t (x int)", "drop index i", "create index", "create index i", "create index i on"]
        {
            assert_eq!(create_index(&only_statement(sql)), None, "{sql}");
        }
    }

    #[test]
    fn a_definition_without_its_names_begins_at_its_own_using() {
        for (definition, rest) in [
            ("CREATE INDEX a ON public.t USING btree (b)", "USING btree (b)"),
            (r#"CREATE UNIQUE INDEX "a USING b" ON ONLY "c"" USING d" USING gin (e)"#, "USING gin (e)"),
            ("CREATE INDEX a ON t USING btree ((' USING '))", "USING btree ((' USING '))"),
        ] {
            assert_eq!(from_using(definition), rest);
        }
    }
}

//! Statements that work concurrently: in several transactions, so that one that fails or is cancelled leaves its work half
//! done.

use std::ops::Range;

use crate::core::sql::index::{CreateIndex, create_index};
use crate::core::sql::lex::Token;
use crate::core::sql::reader::{QualifiedName, Reader};
use crate::core::sql::split::Statement;

/// A statement that works concurrently, and on what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Concurrent {
    /// `CREATE INDEX CONCURRENTLY`.
    CreateIndex(Box<CreateIndex>),
    /// `DROP INDEX CONCURRENTLY` of this index.
    DropIndex(QualifiedName),
    /// `REINDEX … CONCURRENTLY`.
    Reindex(Reindex),
    /// `ALTER TABLE … DETACH PARTITION … CONCURRENTLY`.
    Detach(Detach),
    /// `REFRESH MATERIALIZED VIEW CONCURRENTLY`, which alone among them is one transaction, and anything that the server
    /// would reject.
    Other,
}

/// What `REINDEX … CONCURRENTLY` rebuilds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reindex {
    /// One index, or those of its partitions.
    Index(QualifiedName),
    /// All indexes of a table and of its TOAST table, or of its partitions.
    Table(QualifiedName),
    /// All indexes of a schema.
    Schema(String),
    /// All indexes of the database.
    Database,
}

/// What `DETACH PARTITION … CONCURRENTLY` takes apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Detach {
    pub(crate) table: QualifiedName,
    pub(crate) partition: QualifiedName,
    /// Where `CONCURRENTLY` stands, in bytes of the statement's text.
    pub(crate) keyword: Range<usize>,
}

impl Detach {
    /// The statement that completes a detachment of which the first transaction is committed; `text` is the one that started it.
    pub(crate) fn finalize(&self, text: &str) -> String {
        format!("{}FINALIZE{}", &text[..self.keyword.start], &text[self.keyword.end..])
    }
}

/// Whether a statement works concurrently.
pub(crate) fn is_concurrently(statement: &Statement<'_>) -> bool {
    concurrent(statement).is_some()
}

/// What a statement that works concurrently does; `None` for any other.
pub(crate) fn concurrent(statement: &Statement<'_>) -> Option<Concurrent> {
    let mut reader = Reader::new(statement);
    if reader.eat(&["drop", "index", "concurrently"]) {
        reader.eat(&["if", "exists"]);
        return Some(reader.qualified_name().map_or(Concurrent::Other, Concurrent::DropIndex));
    }
    if reader.eat(&["refresh", "materialized", "view", "concurrently"]) {
        return Some(Concurrent::Other);
    }
    if reader.eat(&["reindex"]) {
        return reindex(reader);
    }
    if reader.eat(&["alter", "table"]) {
        return detach(statement, reader);
    }
    if !(statement.starts_with(&["create", "index", "concurrently"])
        || statement.starts_with(&["create", "unique", "index", "concurrently"]))
    {
        return None;
    }
    Some(create_index(statement).map_or(Concurrent::Other, |index| Concurrent::CreateIndex(index.into())))
}

/// After `REINDEX`: `TABLE CONCURRENTLY t`, or `(VERBOSE, CONCURRENTLY) TABLE t` with a Boolean or none behind the option.
fn reindex(mut reader: Reader<'_, '_>) -> Option<Concurrent> {
    let off = |value: &Token<'_>| {
        ["false", "off", "0"].iter().any(|off| value.text.trim_matches('\'').eq_ignore_ascii_case(off))
    };
    let option = reader.skip_parens().windows(2).any(|pair| pair[0].is("concurrently") && !off(&pair[1]));
    let what = reader.next();
    let keyword = reader.eat(&["concurrently"]);
    if !(option || keyword) {
        return None;
    }
    let is = |word| what.is_some_and(|what| what.is(word));
    let reindex = if is("index") {
        reader.qualified_name().map(Reindex::Index)
    } else if is("table") {
        reader.qualified_name().map(Reindex::Table)
    } else if is("schema") {
        reader.next().and_then(Token::name).map(Reindex::Schema)
    } else {
        Some(Reindex::Database)
    };
    Some(reindex.map_or(Concurrent::Other, Concurrent::Reindex))
}

/// After `ALTER TABLE`: `… DETACH PARTITION p CONCURRENTLY`, where the keyword is the last.
fn detach(statement: &Statement<'_>, mut reader: Reader<'_, '_>) -> Option<Concurrent> {
    reader.eat(&["if", "exists"]);
    let table = reader.table_name()?;
    if !reader.eat(&["detach", "partition"]) {
        return None;
    }
    let partition = reader.qualified_name()?;
    let [keyword] = reader.rest() else { return None };
    keyword.is("concurrently").then(|| {
        let start = keyword.start - statement.start;
        Concurrent::Detach(Detach { table, partition, keyword: start..start + keyword.text.len() })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::sql::split::statements;

    fn read(sql: &str) -> Option<Concurrent> {
        concurrent(&statements(sql).unwrap()[0])
    }

    /// A name as `schema.name`.
    fn name(written: &str) -> QualifiedName {
        match written.split_once('.') {
            Some((schema, name)) => QualifiedName { schema: Some(schema.into()), name: name.into() },
            None => QualifiedName { schema: None, name: written.into() },
        }
    }

    #[test]
    fn concurrently_counts_as_a_keyword_only() {
        for sql in [
            "reindex (verbose, concurrently off) table t",
            "reindex (concurrently 0, verbose) table t",
            "reindex (concurrently 'false') table t",
            "reindex table t",
            "alter table p detach partition p1",
            "alter table p detach partition p1 finalize",
            "alter table p add concurrently int",
            "alter table concurrently rename to x",
            "refresh materialized view v",
            "create index i on t (x)",
            "create index \"concurrently\" on t (x)",
            "drop index i",
            "comment on index i is 'built concurrently'",
            "select concurrently",
        ] {
            assert_eq!(read(sql), None, "{sql}");
        }
    }

    #[test]
    fn an_index_is_created_or_dropped() {
        for (sql, expected) in [
            ("create index concurrently i on t (x)", Some("i")),
            ("CREATE UNIQUE INDEX CONCURRENTLY ON t (x)", None),
        ] {
            let Some(Concurrent::CreateIndex(create)) = read(sql) else { panic!("{sql}") };
            assert_eq!(create.name.as_deref(), expected);
        }
        for (sql, expected) in
            [("drop index concurrently i", "i"), ("DROP INDEX CONCURRENTLY IF EXISTS app.I CASCADE", "app.i")]
        {
            assert_eq!(read(sql), Some(Concurrent::DropIndex(name(expected))), "{sql}");
        }
    }

    #[test]
    fn indexes_are_rebuilt_one_by_one_or_together() {
        for (sql, expected) in [
            ("reindex index concurrently i", Reindex::Index(name("i"))),
            ("reindex (verbose) index concurrently App.\"I\"", Reindex::Index(name("app.I"))),
            ("REINDEX TABLE CONCURRENTLY app.t", Reindex::Table(name("app.t"))),
            ("reindex (concurrently) table t", Reindex::Table(name("t"))),
            ("reindex (verbose, concurrently true) table t", Reindex::Table(name("t"))),
            ("reindex (concurrently, tablespace x) schema App", Reindex::Schema("app".into())),
            ("reindex schema concurrently app", Reindex::Schema("app".into())),
            ("reindex database concurrently", Reindex::Database),
            ("reindex (concurrently) database app", Reindex::Database),
            ("reindex system concurrently app", Reindex::Database),
        ] {
            assert_eq!(read(sql), Some(Concurrent::Reindex(expected)), "{sql}");
        }
    }

    #[test]
    fn a_partition_is_detached_in_two_steps() {
        for (sql, table, partition, completed) in [
            (
                "alter table p detach partition p1 concurrently",
                "p",
                "p1",
                "alter table p detach partition p1 FINALIZE",
            ),
            (
                "-- é\nALTER TABLE IF EXISTS ONLY s.\"P\" /* é */ DETACH PARTITION x.p1 CONCURRENTLY -- why",
                "s.P",
                "x.p1",
                "ALTER TABLE IF EXISTS ONLY s.\"P\" /* é */ DETACH PARTITION x.p1 FINALIZE",
            ),
            (
                "alter table only (p) detach partition p1 concurrently",
                "p",
                "p1",
                "alter table only (p) detach partition p1 FINALIZE",
            ),
            (
                "alter table p * detach partition p1 concurrently",
                "p",
                "p1",
                "alter table p * detach partition p1 FINALIZE",
            ),
        ] {
            let Some(Concurrent::Detach(detach)) = read(sql) else { panic!("{sql}") };
            assert_eq!((&detach.table, &detach.partition), (&name(table), &name(partition)), "{sql}");
            assert_eq!(detach.finalize(statements(sql).unwrap()[0].text), completed);
        }
    }

    #[test]
    fn what_leaves_nothing_or_cannot_be_understood_is_concurrent_all_the_same() {
        for sql in [
            "refresh materialized view concurrently v",
            "reindex table concurrently",
            "drop index concurrently",
            "create index concurrently i on",
        ] {
            assert_eq!(read(sql), Some(Concurrent::Other), "{sql}");
        }
    }
}

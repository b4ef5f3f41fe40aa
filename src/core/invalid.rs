//! INVALID indexes: the statement that left one, and the command that removes it.
//!
//! A CREATE INDEX CONCURRENTLY that fails leaves its index INVALID: it costs every write, serves no query, and a unique one may
//! reject rows. `IF NOT EXISTS` then finds it and reports success. A REINDEX CONCURRENTLY leaves copies, `…_ccnew` before
//! it swaps them with the originals and `…_ccold` after it
//! ([the manual](https://www.postgresql.org/docs/current/sql-reindex.html#SQL-REINDEX-CONCURRENTLY) advises to drop both). A
//! DROP INDEX CONCURRENTLY leaves the index itself.

use crate::core::catalog::Migration;
use crate::core::history::StatementRecord;
use crate::core::schema::names::GeneratedName;
use crate::core::sql::QualifiedName;
use crate::core::sql::concurrent::{Concurrent, Reindex, concurrent};
use crate::core::sql::index::{CreateIndex, create_index};
use crate::core::sql::quote::ident;
use crate::core::sql::split::each;
use crate::core::sql::strings::Strings;
use crate::error::{Finding, FindingKind};

/// Why an INVALID index is reported.
const COSTS: &str = "it costs every write and serves no query";

/// The schema of TOAST tables, which only a superuser may use.
const TOAST_SCHEMA: &str = "pg_toast";

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InvalidIndex {
    pub(crate) schema: String,
    pub(crate) name: String,
    /// Its table; for an index of a TOAST table the table that the values belong to.
    pub(crate) table: Table,
    /// The partitioned tables that the table is a partition of, directly or not.
    pub(crate) parents: Vec<Table>,
    /// The names of the other indexes of the same table.
    pub(crate) others: Vec<String>,
}

/// A table in the catalog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Table {
    /// Its key in the catalog, which a rename does not change.
    pub(crate) oid: u32,
    pub(crate) schema: String,
    pub(crate) name: String,
}

impl InvalidIndex {
    /// Its name with its schema, quoted.
    pub(crate) fn qualified(&self) -> String {
        format!("{}.{}", ident(&self.schema), ident(&self.name))
    }

    /// The finding about it.
    pub(crate) fn finding(&self) -> Finding {
        let (drop, reindex) = (self.drop_command(), self.reindex_command());
        match self.copy_of() {
            // REINDEX would create a second copy of it, and PostgreSQL refuses that for TOAST tables.
            Some(original) => self.because(
                &format!(
                    "a REINDEX CONCURRENTLY that failed left this copy of \"{original}\", which costs every write and serves \
                     no query"
                ),
                drop,
            ),
            // The original was renamed or dropped, or it is another index with such a name.
            None if self.is_called_as_copy() => self.because(
                COSTS,
                format!("{drop} if a REINDEX CONCURRENTLY left it, otherwise {reindex}"),
            ),
            None => self.because(COSTS, reindex),
        }
    }

    /// The finding that a DROP INDEX CONCURRENTLY left it, which may be dropped or stay.
    pub(crate) fn half_dropped(&self) -> Finding {
        self.because(
            "a DROP INDEX CONCURRENTLY ended before it was complete",
            format!("{}, or {} if it is to stay", self.drop_command(), self.reindex_command()),
        )
    }

    fn because(&self, reason: &str, hint: String) -> Finding {
        Finding::new(
            FindingKind::InvalidIndex,
            format!("index {} on table \"{}\" is INVALID: {reason}", self.qualified(), self.table.name),
            hint,
        )
    }

    fn reindex_command(&self) -> String {
        format!("`psql -c 'REINDEX INDEX CONCURRENTLY {}'`", self.qualified())
    }

    fn drop_command(&self) -> String {
        let role = " as a superuser, or as the table's owner if it is a member of `pg_read_all_data`";
        format!(
            "`psql -c 'DROP INDEX CONCURRENTLY {}'`{}",
            self.qualified(),
            if self.is_toast() { role } else { "" }
        )
    }

    /// Whether it is an index of a TOAST table, which the owner of the table may not be allowed to drop.
    pub(crate) fn is_toast(&self) -> bool {
        self.schema == TOAST_SCHEMA
    }

    /// The index that a REINDEX CONCURRENTLY copied to this one.
    pub(crate) fn copy_of(&self) -> Option<&str> {
        self.others.iter().map(String::as_str).find(|original| self.is_called_as_copy_of(original))
    }

    fn is_called_as_copy(&self) -> bool {
        let stem = self.name.trim_end_matches(|char: char| char.is_ascii_digit());
        stem.ends_with("_ccnew") || stem.ends_with("_ccold")
    }

    fn is_called_as_copy_of(&self, original: &str) -> bool {
        ["ccnew", "ccold"]
            .iter()
            .any(|label| GeneratedName { table: original, columns: &[], label }.by_server(&self.name))
    }

    /// Whether a failed statement left it. `table` is the table that the statement worked on; without one the
    /// names in the statement decide.
    pub(crate) fn is_left_by(&self, statement: &Concurrent, table: Option<u32>) -> bool {
        let is_copy = self.is_called_as_copy();
        let is_on = |name: &QualifiedName| {
            let mut tables = std::iter::once(&self.table).chain(&self.parents);
            match table {
                Some(oid) => tables.any(|table| table.oid == oid),
                None => tables.any(|table| is_called(name, &table.schema, &table.name)),
            }
        };
        match statement {
            Concurrent::CreateIndex(create) => {
                self.copy_of().is_none()
                    && is_on(&create.table)
                    && create.name.as_ref().is_none_or(|name| *name == self.name)
            }
            Concurrent::DropIndex(name) => match table {
                Some(oid) => self.table.oid == oid && self.name == name.name,
                None => is_called(name, &self.schema, &self.name),
            },
            Concurrent::Reindex(Reindex::Index(name)) => match table {
                // The copies of a partitioned index are called after the indexes of the partitions.
                Some(_) => is_copy && is_on(name),
                None => {
                    name.schema.as_ref().is_none_or(|schema| *schema == self.schema)
                        && self.is_called_as_copy_of(&name.name)
                }
            },
            Concurrent::Reindex(Reindex::Table(name)) => is_copy && is_on(name),
            Concurrent::Reindex(Reindex::Schema(schema)) => is_copy && *schema == self.table.schema,
            Concurrent::Reindex(Reindex::Database) => is_copy,
            Concurrent::Detach(_) | Concurrent::Other => false,
        }
    }

    /// Whether a CREATE INDEX of a migration, CONCURRENTLY or not, created it: by name, or by its table when the statement leaves
    /// the name to the server. A name stays when the table is renamed.
    pub(crate) fn is_created_by(&self, create: &CreateIndex) -> bool {
        create.table.schema.as_ref().is_none_or(|schema| *schema == self.table.schema)
            && match &create.name {
                Some(name) => self.name == *name || self.is_called_as_copy_of(name),
                None => self.table.name == create.table.name,
            }
    }
}

fn is_called(name: &QualifiedName, schema: &str, plain: &str) -> bool {
    name.name == plain && name.schema.as_ref().is_none_or(|named| named == schema)
}

/// The INVALID indexes that migrations left. Statements are found in the files and, where the files may have changed, in the
/// statement records.
pub(crate) fn left_by_migrations<'a>(
    invalid: &'a [InvalidIndex],
    files: &[&Migration],
    records: &[StatementRecord],
) -> Vec<&'a InvalidIndex> {
    if invalid.is_empty() {
        // The files are not even read then: a run with nothing to do must cost nothing.
        return Vec::new();
    }
    let (mut created, mut worked_on) = (Vec::new(), Vec::new());
    for sql in files.iter().filter_map(|file| file.content.as_deref().ok()) {
        for statement in each(sql, Strings::Standard).map_while(Result::ok) {
            created.extend(create_index(&statement));
            worked_on.extend(concurrent(&statement).filter(|work| matches!(work, Concurrent::Reindex(_))));
        }
    }
    let recorded: Vec<_> = records.iter().filter_map(StatementRecord::half_done).collect();
    invalid
        .iter()
        .filter(|index| {
            created.iter().any(|create| index.is_created_by(create))
                || worked_on.iter().any(|statement| index.is_left_by(statement, None))
                || recorded.iter().any(|(statement, table)| index.is_left_by(statement, *table))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::sql::split::statements;

    fn index(name: &str, others: &[&str]) -> InvalidIndex {
        let table = |oid, name: &str| Table { oid, schema: "app".into(), name: name.into() };
        InvalidIndex {
            schema: "app".into(),
            name: name.into(),
            table: table(2, "t"),
            parents: vec![table(1, "parent")],
            others: others.iter().map(ToString::to_string).collect(),
        }
    }

    fn work(sql: &str) -> Concurrent {
        concurrent(&statements(sql).unwrap()[0]).unwrap()
    }

    #[test]
    fn copies_are_known_by_the_name_of_another_index() {
        const LONG: &str = "an_index_with_a_name_of_nearly_sixty_three_bytes_in_all_of_it_x";
        for (name, others, expected) in [
            ("t_pkey_ccnew", &["t_pkey"][..], Some("t_pkey")),
            ("t_pkey_ccold", &["a", "t_pkey"], Some("t_pkey")),
            ("t_pkey_ccnew12", &["t_pkey"], Some("t_pkey")),
            ("t_pkey_ccnew_ccnew", &["t_pkey_ccnew", "t_pkey"], Some("t_pkey_ccnew")),
            ("an_index_with_a_name_of_nearly_sixty_three_bytes_in_all_o_ccnew", &[LONG], Some(LONG)),
            ("an_index_with_a_name_of_nearly_sixty_three_bytes_in_all__ccnew1", &[LONG], Some(LONG)),
            (
                "éééééééééééééééééééééééééééé_ccnew",
                &["ééééééééééééééééééééééééééééééx"],
                Some("ééééééééééééééééééééééééééééééx"),
            ),
            ("payments_ccnew", &["t_pkey"], None),
            ("t_pkey_ccnews", &["t_pkey"], None),
            ("t_pkey_cc", &["t_pkey"], None),
        ] {
            assert_eq!(index(name, others).copy_of(), expected, "{name}");
        }
    }

    #[test]
    fn copies_are_dropped_and_other_indexes_rebuilt() {
        for (name, hint) in [
            ("i", "`psql -c 'REINDEX INDEX CONCURRENTLY \"app\".\"i\"'`"),
            (
                "payments_ccnew",
                "`psql -c 'DROP INDEX CONCURRENTLY \"app\".\"payments_ccnew\"'` if a REINDEX CONCURRENTLY left it, otherwise \
                 `psql -c 'REINDEX INDEX CONCURRENTLY \"app\".\"payments_ccnew\"'`",
            ),
            ("t_pkey_ccnew", "`psql -c 'DROP INDEX CONCURRENTLY \"app\".\"t_pkey_ccnew\"'`"),
        ] {
            assert_eq!(index(name, &["t_pkey"]).finding().hint, hint);
        }
        let toast = InvalidIndex { schema: "pg_toast".into(), ..index("t_pkey_ccnew", &["t_pkey"]) };
        assert!(toast.finding().hint.contains("as a superuser"));
    }

    #[test]
    fn a_statement_leaves_indexes_of_the_table_that_it_found() {
        let (plain, copy) = (index("i", &["other"]), index("i_ccnew", &["i"]));
        // The statement; the table it worked on; whether it left `i`, and the copy of it.
        for (sql, table, left) in [
            ("create index concurrently i on t (a)", Some(2), (true, false)),
            ("create index concurrently on t (a)", Some(2), (true, false)),
            ("create index concurrently j on t (a)", Some(2), (false, false)),
            ("create index concurrently i on t (a)", Some(3), (false, false)),
            ("create index concurrently i on old_name (a)", Some(2), (true, false)),
            ("drop index concurrently x.i", Some(2), (true, false)),
            ("drop index concurrently i", Some(3), (false, false)),
            ("reindex index concurrently i", Some(2), (false, true)),
            ("reindex index concurrently index_of_parent", Some(1), (false, true)),
            ("reindex table concurrently t", Some(2), (false, true)),
            ("reindex table concurrently parent", Some(1), (false, true)),
            ("reindex table concurrently t", Some(3), (false, false)),
            ("reindex schema concurrently app", None, (false, true)),
            ("reindex schema concurrently public", None, (false, false)),
            ("reindex database concurrently", None, (false, true)),
            ("refresh materialized view concurrently t", Some(2), (false, false)),
            ("alter table t detach partition i concurrently", Some(2), (false, false)),
            // Without a table.
            ("reindex table concurrently app.t", None, (false, true)),
            ("reindex table concurrently parent", None, (false, true)),
            ("reindex table concurrently public.t", None, (false, false)),
            ("reindex index concurrently i", None, (false, true)),
            ("reindex index concurrently public.i", None, (false, false)),
        ] {
            let statement = work(sql);
            assert_eq!(
                (plain.is_left_by(&statement, table), copy.is_left_by(&statement, table)),
                left,
                "{sql} on {table:?}"
            );
        }
    }
}

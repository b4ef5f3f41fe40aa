//! Compares a database with what the migration files create, without SQL that would drop what may be in use.

use crate::core::carried;
use crate::core::catalog::{Catalog, Migration};
use crate::core::schema::{Difference, Schema, differences_where};
use crate::core::sql::marks::two_ways;

/// The reasons why an extra object may be in use after all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Drift {
    /// The first file that leaves a search path or role behind, as a version and a sentence.
    leaver: Option<(i64, String)>,
    /// The first file that also has a down migration, likewise.
    two_ways: Option<(i64, String)>,
}

impl Drift {
    pub(crate) fn new(catalog: &Catalog) -> Self {
        let files = catalog.migrations().iter();
        let leaver = files.clone().find_map(|file| Some((file.version, carried::leaves(file)?)));
        let two_ways = files.clone().find_map(|file| {
            let ways = two_ways(file.content.as_deref().ok()?)?;
            let why = format!(
                "`{}` also has a down migration of {}, which ran when the files were replayed but may not have run here",
                file.file, ways.tool
            );
            Some((file.version, why))
        });
        Self { leaver, two_ways }
    }

    /// The differences of `live` from `expected`, which the files up to a version create.
    pub(crate) fn differences(&self, version: i64, expected: &Schema, live: &Schema) -> Vec<Difference> {
        let leaver = self.leaver.as_ref().filter(|(leaver, _)| *leaver < version);
        let mut differences = differences_where(expected, live, leaver.map(|(_, why)| why.as_str()));
        if let Some((_, why)) = self.two_ways.as_ref().filter(|(two_ways, _)| *two_ways <= version) {
            let dropping = differences.iter_mut().filter(|difference| difference.is_extra());
            dropping.filter(|difference| !difference.sql.is_empty()).for_each(|extra| extra.withhold(why));
        }
        differences
    }
}

/// Names the later file for each difference that it explains: those that do not exist against the schema after the file.
/// `later` are the differences from that schema.
pub(crate) fn explain(differences: &mut [Difference], file: &Migration, later: &[Difference]) {
    for difference in differences.iter_mut().filter(|difference| difference.created_by.is_none()) {
        // What belongs to an extra table is not listed separately.
        let is_still_there = later.iter().any(|other| {
            other.id == difference.id
                || (other.is_extra() && difference.object.starts_with(&format!("{}.", other.object)))
        });
        if !is_still_there {
            difference.withhold(&format!("`{}` is a later file that makes this change", file.file));
            difference.created_by = Some(file.file.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::schema::{Column, Table};

    fn catalog(files: &[&str]) -> Catalog {
        let file = |(version, sql): (i64, &&str)| (format!("{version}_m.sql"), Ok(sql.as_bytes().to_vec()));
        Catalog::from_files((1..).zip(files).map(file)).unwrap()
    }

    /// Tables of the schemas `public` and `depot`, each with these columns.
    fn schema(tables: &[(&str, &[&str])]) -> Schema {
        let table = |(name, columns): &(&str, &[&str])| {
            let columns = columns.iter().map(|name| ((*name).to_owned(), Column::default())).collect();
            ((*name).to_owned(), Table { columns, ..Table::default() })
        };
        Schema {
            schemas: ["public", "depot"].map(str::to_owned).into(),
            tables: tables.iter().map(table).collect(),
            ..Schema::default()
        }
    }

    fn sql(differences: &[Difference]) -> Vec<&str> {
        differences.iter().map(|difference| difference.sql.as_str()).collect()
    }

    #[test]
    fn nothing_is_dropped_that_a_left_search_path_or_an_up_migration_may_have_created() {
        let expected = schema(&[("public.bins", &[])]);
        let live = schema(&[("public.bins", &[]), ("depot.bins", &[])]);
        for (files, version, drops) in [
            (&["SELECT 1", "SELECT 2"][..], 2, true),
            (&["SET search_path TO depot", "SELECT 2"], 2, false),
            (&["SET ROLE depot", "SELECT 2"], 2, false),
            (&["SET search_path TO depot; RESET search_path", "SELECT 2"], 2, true),
            // It has no file after it.
            (&["SELECT 1", "SET search_path TO depot"], 2, true),
            (
                &["-- +goose Up\nCREATE TABLE bins ();\n-- +goose Down\nDROP TABLE bins;", "SELECT 2"],
                1,
                false,
            ),
            (&["SELECT 1", "-- migrate:up\nSELECT 2"], 1, true),
        ] {
            let found = Drift::new(&catalog(files)).differences(version, &expected, &live);
            assert_eq!(sql(&found) == ["DROP TABLE depot.bins;"], drops, "{files:?}: {found:?}");
            assert_eq!(found[0].id, "table-depot.bins-extra");
        }
    }

    #[test]
    fn a_later_file_that_makes_the_change_is_named_and_nothing_is_dropped() {
        let files = catalog(&["", "", ""]);
        let drift = Drift::new(&files);
        let live = schema(&[("public.t", &["a", "b"]), ("public.u", &[]), ("public.v", &["x"])]);
        let at = |version, tables: &[(&str, &[&str])]| drift.differences(version, &schema(tables), &live);
        let mut found = at(1, &[("public.t", &["a"]), ("public.v", &[])]);
        // The second file drops v, so its column is not listed any more, although the file does not create it.
        explain(&mut found, files.get(2).unwrap(), &at(2, &[("public.t", &["a", "b"])]));
        explain(&mut found, files.get(3).unwrap(), &at(3, &[("public.t", &["a", "b"]), ("public.u", &[])]));
        let explained: Vec<_> = found
            .iter()
            .map(|found| (found.id.as_str(), found.created_by.as_deref(), found.sql.is_empty()))
            .collect();
        assert_eq!(
            explained,
            [
                ("column-public.t.b-extra", Some("2_m.sql"), true),
                ("column-public.v.x-extra", None, false),
                ("table-public.u-extra", Some("3_m.sql"), true),
            ]
        );
        assert!(
            found[0].to_string().ends_with("; `2_m.sql` is a later file that makes this change"),
            "{}",
            found[0]
        );
    }
}

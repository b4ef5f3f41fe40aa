//! The queries of the catalog. They are the same for every server: what a version lacks is empty there.
//!
//! Names leave the server quoted as a statement needs them. Where a name has to be held against what the server would have
//! chosen, it comes a second time as it is.

use crate::core::sql::quote::literal;

/// All of them as one batch, in a transaction that sees one moment; `hidden` are tables that do not count.
///
/// The settings decide how the server prints: everything qualified, constants the same whatever the role prefers. It reads
/// a view under a lock, for which it may have to wait while another session changes a table.
pub(super) fn batch<'a>(hidden: impl Iterator<Item = &'a str>) -> String {
    let hidden: Vec<_> = hidden.map(literal).collect();
    let mut sql = String::from(
        "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL search_path = ''; \
         SET LOCAL quote_all_identifiers = off; SET LOCAL standard_conforming_strings = on; \
         SET LOCAL extra_float_digits = 1; SET LOCAL bytea_output = hex; SET LOCAL DateStyle = 'ISO, YMD'; \
         SET LOCAL IntervalStyle = postgres; SET LOCAL TimeZone = 'UTC'; SET LOCAL statement_timeout = 0; \
         SET LOCAL lock_timeout = 10000;\n",
    );
    for question in QUESTIONS {
        // The last two stand in the first two.
        sql += &question
            .replace(":relations", include_str!("relations.sql"))
            .replace(":namespaces", include_str!("namespaces.sql"))
            .replace(":hidden", &hidden.join(", "))
            .replace(":in_extension", IN_EXTENSION);
        sql += ";\n";
    }
    sql += "COMMIT";
    sql
}

/// Statements of [`batch`] before the first question.
pub(super) const BEFORE: usize = 11;

/// In the order in which the answers are read.
const QUESTIONS: [&str; 13] = [
    include_str!("schemas.sql"),
    include_str!("extensions.sql"),
    include_str!("types.sql"),
    include_str!("domains.sql"),
    include_str!("sequences.sql"),
    include_str!("routines.sql"),
    include_str!("tables.sql"),
    include_str!("columns.sql"),
    include_str!("views.sql"),
    include_str!("constraints.sql"),
    include_str!("indexes.sql"),
    include_str!("triggers.sql"),
    include_str!("policies_and_rules.sql"),
];

const IN_EXTENSION: &str = "deptype = 'e' AND refclassid = 'pg_extension'::regclass";

//! Finds the migration file that a tool's history matches.

use std::collections::BTreeSet;

use crate::core::catalog::{Catalog, Migration};
use crate::core::other_tool::{Recorded, Tool, ToolHistory};

/// The match of a tool's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mapping {
    /// All migration files up to this version, and none after it.
    To {
        /// The last version that is applied.
        version: i64,
        /// The reason, as a sentence.
        how: String,
    },
    /// No version matches.
    Unknown {
        /// Why not, as a sentence.
        why: String,
    },
}

const NOTHING: &str = "records nothing as applied";

/// Maps a tool's versions to the migration files: each has to be the version of a file, from the first one on and without a gap.
pub fn map(history: &ToolHistory, catalog: &Catalog) -> Mapping {
    match prefix(history, catalog) {
        Ok((last, how)) => Mapping::To { version: last.version, how },
        Err(why) => Mapping::Unknown { why: format!("{history} {why}") },
    }
}

fn prefix<'a>(history: &ToolHistory, catalog: &'a Catalog) -> Result<(&'a Migration, String), String> {
    let recorded = history.applied.as_ref().map_err(|why| format!("cannot be mapped: {why}"))?;
    let Some(newest) = recorded.last() else { return Err(NOTHING.into()) };
    if let (Tool::Alembic, [_, _, ..]) = (history.tool, &recorded[..]) {
        return Err(format!("has {} heads: {}", recorded.len(), listed(recorded)));
    }
    let files = catalog.migrations();
    let mut applied = BTreeSet::new();
    for recorded in recorded {
        let version =
            number(history.tool, recorded.version()).filter(|version| catalog.get(*version).is_some());
        match (recorded, version) {
            (Recorded::One(_), Some(version)) => {
                applied.insert(version);
            }
            (Recorded::UpTo(_), Some(version)) => {
                applied.extend(files.iter().map(|file| file.version).filter(|each| *each <= version));
            }
            (_, None) if is_start(history.tool, recorded.version()) => {}
            (_, None) => {
                return Err(format!(
                    "has `{}`, which is the version of no migration file",
                    recorded.version()
                ));
            }
        }
    }
    let Some(last) = applied.last().and_then(|last| catalog.get(*last)) else {
        return Err(NOTHING.into());
    };
    let gap = files.iter().find(|file| file.version < last.version && !applied.contains(&file.version));
    if let Some(gap) = gap {
        return Err(format!(
            "has version {} and lacks {} before it, `{}`",
            last.version, gap.version, gap.file
        ));
    }
    Ok((last, how(history, recorded.len(), newest, last)))
}

fn how(history: &ToolHistory, count: usize, newest: &Recorded, last: &Migration) -> String {
    let (version, file) = (newest.version(), &last.file);
    match (count, newest) {
        (1, Recorded::UpTo(_)) => format!("{history} is at `{version}`, which is `{file}` here"),
        (1, Recorded::One(_)) => format!("{history} has `{version}` alone, which is `{file}` here"),
        _ => format!(
            "{history} has {count} versions, which match the migration files without a gap; its last, `{version}`, is `{file}` here"
        ),
    }
}

fn listed(recorded: &[Recorded]) -> String {
    recorded.iter().map(|recorded| format!("`{}`", recorded.version())).collect::<Vec<_>>().join(", ")
}

/// What tools record before their first migration: Diesel its helper functions, Flyway a baseline at 0.
fn is_start(tool: Tool, version: &str) -> bool {
    matches!(tool, Tool::Diesel | Tool::Flyway | Tool::GolangMigrate | Tool::Tern)
        && number(tool, version) == Some(0)
}

/// A tool's version as the number that it is in the name of a file.
fn number(tool: Tool, version: &str) -> Option<i64> {
    match tool {
        Tool::GolangMigrate
        | Tool::Goose
        | Tool::Tern
        | Tool::Refinery
        | Tool::Dbmate
        | Tool::Rails
        | Tool::Diesel => version.parse().ok(),
        // `1.0` is `1`, and `1.1` comes between `1` and `2`.
        Tool::Flyway => {
            let (whole, parts) = version.split_once('.').unwrap_or((version, ""));
            let is_whole = parts.chars().all(|digit| matches!(digit, '0' | '.'));
            whole.parse().ok().filter(|_| is_whole)
        }
        // Numbers of change sets may start over in each file; where files have numbers, those count.
        Tool::Liquibase => {
            let mut parts = version.split("::");
            let file = parts.next().unwrap_or_default().rsplit('/').next().unwrap_or_default();
            leading(file).or_else(|| leading(parts.next()?))
        }
        Tool::Alembic | Tool::Prisma | Tool::SchemaMigrations | Tool::Other(_) => leading(version),
    }
}

/// The number before the first `_`, or all of it: of `0007_add_users.sql`, 7; of `2b1ae634e5cd`, none.
fn leading(name: &str) -> Option<i64> {
    let name = name.strip_suffix(".sql").unwrap_or(name);
    name.split_once('_').map_or(name, |(number, _)| number).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(version: &str) -> Recorded {
        Recorded::One(version.into())
    }

    fn up_to(version: &str) -> Recorded {
        Recorded::UpTo(version.into())
    }

    /// Maps to files of the versions 1, 2, 3 and 20240101000000.
    fn mapped(tool: Tool, recorded: &[Recorded]) -> Result<i64, String> {
        let names = ["1_a.sql", "0002_b.sql", "3_c.sql", "20240101000000_d.sql"];
        let catalog = Catalog::from_files(names.map(|name| (name.to_owned(), Ok(Vec::new())))).unwrap();
        let applied = Ok(recorded.to_vec());
        let history = ToolHistory { tool, table: "public.t".into(), applied, dirty: None };
        match map(&history, &catalog) {
            Mapping::To { version, .. } => Ok(version),
            Mapping::Unknown { why } => Err(why),
        }
    }

    #[test]
    fn versions_are_read_as_each_tool_writes_them() {
        for (tool, recorded, version) in [
            (Tool::GolangMigrate, &[up_to("3")][..], 3),
            (Tool::GolangMigrate, &[up_to("20240101000000")], 20_240_101_000_000),
            (Tool::Goose, &[one("1"), one("2")], 2),
            (Tool::Tern, &[up_to("1")], 1),
            (Tool::Dbmate, &[one("001"), one("2")], 2),
            (Tool::Flyway, &[one("0001"), one("2.0"), one("3")], 3),
            (Tool::Flyway, &[up_to("2"), one("3")], 3),
            (Tool::Flyway, &[up_to("0"), one("1")], 1),
            (Tool::Diesel, &[one("00000000000000"), one("0001")], 1),
            (Tool::Liquibase, &[one("db/0001_a.sql::x::me"), one("db/0002_b.sql::raw::includeAll")], 2),
            (
                Tool::Liquibase,
                &[one("0001_a.sql::1::me"), one("0002_b.sql::1::me"), one("0002_b.sql::2::me")],
                2,
            ),
            (Tool::Liquibase, &[one("changelog.xml::1::me"), one("changelog.xml::2_b::me")], 2),
            (Tool::Alembic, &[up_to("0002")], 2),
            (
                Tool::Prisma,
                &[one("0001_a"), one("2_b"), one("3_c"), one("20240101000000_d")],
                20_240_101_000_000,
            ),
            (Tool::SchemaMigrations, &[one("1_a.sql"), one("0002_b.sql")], 2),
            (Tool::SchemaMigrations, &[up_to("2")], 2),
        ] {
            assert_eq!(mapped(tool, recorded), Ok(version), "{tool} {recorded:?}");
        }
    }

    #[test]
    fn what_does_not_follow_is_unknown_and_says_why() {
        for (tool, recorded, why) in [
            (Tool::Goose, &[][..], "records nothing as applied"),
            (Tool::Tern, &[up_to("0")], "records nothing as applied"),
            (Tool::Goose, &[one("1"), one("3")], "has version 3 and lacks 2 before it, `0002_b.sql`"),
            (Tool::Goose, &[one("1"), one("7")], "has `7`, which is the version of no migration file"),
            (Tool::GolangMigrate, &[up_to("4")], "has `4`, which is the version of no migration file"),
            (Tool::Flyway, &[one("1"), one("1.1")], "has `1.1`, which is the version of no migration file"),
            (
                Tool::Alembic,
                &[up_to("2b1ae634e5cd")],
                "has `2b1ae634e5cd`, which is the version of no migration file",
            ),
            (Tool::Alembic, &[up_to("0001"), up_to("0002")], "has 2 heads: `0001`, `0002`"),
            (Tool::Prisma, &[one("0_init")], "has `0_init`, which is the version of no migration file"),
            (
                Tool::Liquibase,
                &[one("a.xml::1700000000000-1::me (generated)")],
                "which is the version of no migration file",
            ),
        ] {
            let why_not = mapped(tool, recorded).unwrap_err();
            assert!(
                why_not.starts_with("table public.t, the migration history of ") && why_not.contains(why),
                "{why_not}"
            );
        }
    }
}

//! Other tools' histories: the versions that they record as applied, and the migration files that match them.

pub(crate) mod mapping;
pub(crate) mod rows;
pub(crate) mod tables;

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Finding, FindingKind, Result};

/// A tool that migrates databases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tool {
    /// <https://github.com/golang-migrate/migrate>
    GolangMigrate,
    /// <https://github.com/pressly/goose>
    Goose,
    /// <https://github.com/jackc/tern>
    Tern,
    /// <https://github.com/amacneil/dbmate>
    Dbmate,
    /// Active Record.
    Rails,
    /// <https://github.com/flyway/flyway>
    Flyway,
    /// <https://github.com/liquibase/liquibase>
    Liquibase,
    /// <https://github.com/rust-db/refinery>
    Refinery,
    /// <https://github.com/diesel-rs/diesel>
    Diesel,
    /// <https://github.com/sqlalchemy/alembic>
    Alembic,
    /// <https://github.com/prisma/prisma>
    Prisma,
    /// A table `schema_migrations` of an unknown tool: an app that migrates itself, as Corveil once did.
    SchemaMigrations,
    /// A tool whose history is recognised by its table, and not read.
    Other(&'static str),
}

impl Tool {
    /// The tools whose history can be read.
    pub const READABLE: [Self; 12] = [
        Self::GolangMigrate,
        Self::Goose,
        Self::Tern,
        Self::Dbmate,
        Self::Rails,
        Self::Flyway,
        Self::Liquibase,
        Self::Refinery,
        Self::Diesel,
        Self::Alembic,
        Self::Prisma,
        Self::SchemaMigrations,
    ];

    /// As `--from` takes it; none for a tool whose history is not read.
    pub const fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::GolangMigrate => "golang-migrate",
            Self::Goose => "goose",
            Self::Tern => "tern",
            Self::Dbmate => "dbmate",
            Self::Rails => "rails",
            Self::Flyway => "flyway",
            Self::Liquibase => "liquibase",
            Self::Refinery => "refinery",
            Self::Diesel => "diesel",
            Self::Alembic => "alembic",
            Self::Prisma => "prisma",
            Self::SchemaMigrations => "schema-migrations",
            Self::Other(_) => return None,
        })
    }
}

impl fmt::Display for Tool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::GolangMigrate => "golang-migrate",
            Self::Goose => "goose",
            Self::Tern => "tern",
            Self::Dbmate => "dbmate",
            Self::Rails => "Rails",
            Self::Flyway => "Flyway",
            Self::Liquibase => "Liquibase",
            Self::Refinery => "refinery",
            Self::Diesel => "Diesel",
            Self::Alembic => "Alembic",
            Self::Prisma => "Prisma",
            Self::SchemaMigrations => "an app that migrates itself, such as an older Corveil",
            Self::Other(name) => name,
        })
    }
}

impl FromStr for Tool {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::READABLE.into_iter().find(|tool| tool.name() == Some(name)).ok_or_else(|| {
            let names: Vec<_> = Self::READABLE.into_iter().filter_map(Self::name).collect();
            format!("not one of {}", names.join(", "))
        })
    }
}

/// The history of a tool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolHistory {
    /// The tool.
    pub tool: Tool,
    /// The table, with its schema and quoted where that is needed.
    pub table: String,
    /// The applied versions, in the tool's order, or why they are unknown.
    pub(crate) applied: Result<Vec<Recorded>, String>,
    /// What the tool left half done.
    pub(crate) dirty: Option<Dirty>,
}

/// A version that a tool records, as it writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Recorded {
    One(String),
    /// This one is applied, and all before it.
    UpTo(String),
}

impl Recorded {
    /// The version as the tool writes it.
    pub(crate) fn version(&self) -> &str {
        let (Self::One(version) | Self::UpTo(version)) = self;
        version
    }
}

/// What a tool left half done: how much of it is in the schema is unknown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dirty {
    pub(crate) reason: String,
    /// How to repair it, with that tool.
    pub(crate) hint: String,
}

impl ToolHistory {
    /// Refuses a history that its tool left half done.
    ///
    /// # Errors
    /// [`Error::Mismatch`] with the reason and the fix.
    pub fn expect_clean(&self) -> Result<()> {
        let Some(Dirty { reason, hint }) = &self.dirty else { return Ok(()) };
        Err(Error::Mismatch(vec![Finding::new(
            FindingKind::Dirty,
            format!("{self} was left half done: {reason}"),
            hint.clone(),
        )]))
    }
}

impl fmt::Display for ToolHistory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "table {}, the migration history of {},", self.table, self.tool)
    }
}

/// The only history, if there is one.
///
/// # Errors
/// [`Error::Config`] when there are several, and when there is none of the requested tool.
pub fn only(histories: &[ToolHistory], from: Option<Tool>) -> Result<Option<&ToolHistory>> {
    match (histories, from) {
        ([], Some(tool)) => Err(Error::config(
            format!("there is no migration history of {tool} in this database"),
            "run it with `--from auto` to list the histories that exist",
        )),
        ([], None) => Ok(None),
        ([only], _) => Ok(Some(only)),
        (several, Some(tool)) => Err(Error::config(
            format!("there are several migration histories of {tool}: {}", listed(several)),
            "set `search_path` to the schema of the right one",
        )),
        (several, None) => {
            let names: Vec<_> = several.iter().filter_map(|history| history.tool.name()).collect();
            Err(Error::config(
                format!("there are several migration histories: {}", listed(several)),
                format!(
                    "choose one with `--from {}`, or for the chart's Job with \
                    `migrate.adopt.from`",
                    names.join("` or `--from ")
                ),
            ))
        }
    }
}

/// The histories, each with its table.
pub(super) fn listed(histories: &[ToolHistory]) -> String {
    let one = |history: &ToolHistory| format!("{} of {}", history.table, history.tool);
    histories.iter().map(one).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_readable_tool_has_a_name_that_leads_back_to_it() {
        for tool in Tool::READABLE {
            assert_eq!(tool.name().unwrap().parse(), Ok(tool));
        }
        assert!("atlas".parse::<Tool>().unwrap_err().contains("golang-migrate, goose"));
    }
}

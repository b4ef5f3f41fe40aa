//! The history tables of each tool, as the tools document them.

use crate::core::other_tool::Tool;

/// A column as the catalog has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Column {
    /// Its name in lower case: Liquibase may quote names in upper case.
    pub(crate) name: String,
    /// `pg_type.typcategory`: `N` for numbers, `S` for strings, `B` for booleans.
    pub(crate) category: char,
}

impl Column {
    /// Reads a category and a name, written without a space.
    pub(crate) fn from_catalog(text: &str) -> Option<Self> {
        let mut rest = text.chars();
        Some(Self { category: rest.next()?, name: rest.collect() })
    }
}

/// A history table. Its name counts in any schema and in any case.
struct Table {
    name: &'static str,
    tool: Tool,
    columns: Columns,
}

/// The columns that distinguish tables of one name, and tables that can be read from those that cannot.
enum Columns {
    /// These and no others, with their categories.
    Exactly(&'static [(&'static str, char)]),
    With(&'static [&'static str]),
    Any,
}

/// Where several have one name, the first match counts.
const TABLES: [Table; 26] = [
    table("schema_migrations", Tool::GolangMigrate, Columns::Exactly(&[("version", 'N'), ("dirty", 'B')])),
    // Another table of Rails distinguishes it from dbmate.
    table("schema_migrations", Tool::Rails, Columns::Exactly(&[("version", 'S')])),
    table("schema_migrations", Tool::Dbmate, Columns::Exactly(&[("version", 'S')])),
    table("schema_migrations", Tool::SchemaMigrations, Columns::Any),
    table("goose_db_version", Tool::Goose, Columns::With(&["id", "version_id", "is_applied"])),
    table("schema_version", Tool::Tern, Columns::Exactly(&[("version", 'N')])),
    // Until Flyway 5.
    table("schema_version", Tool::Flyway, Columns::With(FLYWAY)),
    table("schema_version", Tool::Other("tern or an old Flyway"), Columns::Any),
    table("flyway_schema_history", Tool::Flyway, Columns::With(FLYWAY)),
    table(
        "databasechangelog",
        Tool::Liquibase,
        Columns::With(&["id", "author", "filename", "orderexecuted"]),
    ),
    table("refinery_schema_history", Tool::Refinery, Columns::With(&["version"])),
    table("__diesel_schema_migrations", Tool::Diesel, Columns::With(&["version"])),
    table("alembic_version", Tool::Alembic, Columns::With(&["version_num"])),
    table(
        "_prisma_migrations",
        Tool::Prisma,
        Columns::With(&["migration_name", "started_at", "finished_at", "rolled_back_at"]),
    ),
    table("atlas_schema_revisions", Tool::Other("Atlas"), Columns::Any),
    table("knex_migrations", Tool::Other("Knex"), Columns::Any),
    table(KNEX_LOCK, Tool::Other("Knex"), Columns::Any),
    table("gorp_migrations", Tool::Other("sql-migrate"), Columns::Any),
    table("pgmigrations", Tool::Other("node-pg-migrate"), Columns::Any),
    table("sequelizemeta", Tool::Other("Sequelize"), Columns::Any),
    table("phinxlog", Tool::Other("Phinx"), Columns::Any),
    table("django_migrations", Tool::Other("Django"), Columns::Any),
    table("__efmigrationshistory", Tool::Other("Entity Framework"), Columns::Any),
    table("__drizzle_migrations", Tool::Other("Drizzle"), Columns::Any),
    // What is left of Rails when its history is not there.
    table(RAILS_METADATA, Tool::Other("Rails"), Columns::Any),
    table(LIQUIBASE_LOCK, Tool::Other("Liquibase"), Columns::Any),
];

const FLYWAY: &[&str] = &["installed_rank", "version", "type", "success"];

/// Rails keeps it next to its history.
pub(crate) const RAILS_METADATA: &str = "ar_internal_metadata";
/// Knex keeps it next to its history.
pub(crate) const KNEX_LOCK: &str = "knex_migrations_lock";
/// Liquibase keeps it next to its history.
pub(crate) const LIQUIBASE_LOCK: &str = "databasechangeloglock";

const fn table(name: &'static str, tool: Tool, columns: Columns) -> Table {
    Table { name, tool, columns }
}

/// The names of all tables that are some tool's, in lower case.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    let is_first = |index: usize| TABLES[..index].iter().all(|earlier| earlier.name != TABLES[index].name);
    (0..TABLES.len()).filter(move |&index| is_first(index)).map(|index| TABLES[index].name)
}

/// The tools that such a table may be of, the likeliest first; none when its columns match no tool.
pub(crate) fn keepers(name: &str, columns: &[Column]) -> impl Iterator<Item = Tool> {
    let fitting = TABLES.iter().filter(move |table| table.name == name && table.columns.fit(columns));
    fitting.map(|table| table.tool)
}

/// The tools that have tables of this name.
pub(crate) fn named(name: &str) -> impl Iterator<Item = Tool> {
    TABLES.iter().filter(move |table| table.name == name).map(|table| table.tool)
}

impl Columns {
    fn fit(&self, columns: &[Column]) -> bool {
        match self {
            Self::Exactly(wanted) => {
                wanted.len() == columns.len()
                    && columns.iter().all(|column| wanted.contains(&(&column.name, column.category)))
            }
            Self::With(wanted) => {
                wanted.iter().all(|wanted| columns.iter().any(|column| column.name == *wanted))
            }
            Self::Any => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keepers_of(name: &str, columns: &[(&str, char)]) -> Vec<Tool> {
        let column = |&(name, category): &(&str, char)| Column { name: name.into(), category };
        keepers(name, &columns.iter().map(column).collect::<Vec<_>>()).collect()
    }

    #[test]
    fn tables_of_one_name_are_distinguished_by_their_columns() {
        for (name, columns, tools) in [
            (
                "schema_migrations",
                &[("version", 'N'), ("dirty", 'B')][..],
                &[Tool::GolangMigrate, Tool::SchemaMigrations][..],
            ),
            ("schema_migrations", &[("version", 'S')], &[Tool::Rails, Tool::Dbmate, Tool::SchemaMigrations]),
            ("schema_migrations", &[("version", 'N')], &[Tool::SchemaMigrations]),
            ("schema_migrations", &[("version", 'S'), ("applied_at", 'D')], &[Tool::SchemaMigrations]),
            ("schema_migrations", &[], &[Tool::SchemaMigrations]),
            ("schema_version", &[("version", 'N')], &[Tool::Tern, Tool::Other("tern or an old Flyway")]),
            (
                "schema_version",
                &[("installed_rank", 'N'), ("version", 'S'), ("type", 'S'), ("success", 'B')],
                &[Tool::Flyway, Tool::Other("tern or an old Flyway")],
            ),
            ("schema_version", &[("id", 'N')], &[Tool::Other("tern or an old Flyway")]),
            ("goose_db_version", &[], &[]),
            ("atlas_schema_revisions", &[], &[Tool::Other("Atlas")]),
            ("users", &[], &[]),
        ] {
            assert_eq!(keepers_of(name, columns), tools, "{name} {columns:?}");
        }
    }

    #[test]
    fn names_are_in_lower_case_and_come_once() {
        let names: Vec<_> = names().collect();
        assert!(names.iter().all(|name| *name == name.to_lowercase()));
        assert_eq!(names.iter().filter(|name| **name == "schema_migrations").count(), 1);
    }
}

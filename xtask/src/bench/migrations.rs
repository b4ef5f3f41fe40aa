//! Sets of migrations, written in the form that each program reads.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;

/// The number of files in the large set.
pub(crate) const FILES: usize = 300;

/// The number of columns in the widest set, ten in each table.
pub(crate) const COLUMNS: usize = 5000;

/// How long the statement of the other set runs if nothing cancels it, in seconds.
const LONG: u32 = 30;

/// A set in the forms of all programs, below one folder.
#[derive(Debug)]
pub(crate) struct Folders {
    root: PathBuf,
}

/// A set of one file of rows.
#[derive(Debug)]
pub(crate) struct Rows {
    pub(crate) folders: Folders,
    /// The number of rows.
    pub(crate) count: usize,
}

impl Rows {
    /// Writes a table and about that many MiB of rows, a thousand in each INSERT: numbers and short texts, as dense as SQL
    /// gets.
    pub(crate) fn write(root: PathBuf, mebibytes: u32) -> anyhow::Result<Self> {
        let size = mebibytes as usize * 1024 * 1024;
        let mut sql = "CREATE TABLE seed (id INT, name TEXT, kind INT);".to_owned();
        let mut count = 0;
        while sql.len() < size - 32 {
            let before = if count % 1000 == 0 { ";\nINSERT INTO seed VALUES " } else { "," };
            write!(sql, "{before}({count},'t{}',{})", count % 100, count % 7)
                .expect("a string takes any text");
            count += 1;
        }
        sql += ";\n";
        let sql = sql.replacen(";;", ";", 1);
        let folders =
            Folders::write(root, &[Migration { version: version(1), name: "seed".to_owned(), sql }])?;
        Ok(Self { folders, count })
    }
}

/// A migration that all programs can run.
struct Migration {
    version: u64,
    name: String,
    sql: String,
}

impl Folders {
    /// 300 files, each with a table with a primary key, and one more index.
    pub(crate) fn tables(root: PathBuf) -> anyhow::Result<Self> {
        let migrations = (1..=FILES).map(|number| Migration {
            version: version(number),
            name: format!("add_item_{number:03}"),
            sql: format!(
                "CREATE TABLE item_{number:03} (\n    id BIGINT PRIMARY KEY,\n    name TEXT NOT NULL,\n    \
                 created_at TIMESTAMPTZ NOT NULL DEFAULT now()\n);\n\
                 CREATE INDEX item_{number:03}_created_at ON item_{number:03} (created_at);\n"
            ),
        });
        Self::write(root, &migrations.collect::<Vec<_>>())
    }

    /// 50 files of ten tables, each table with ten columns, a foreign key and an index.
    pub(crate) fn wide(root: PathBuf) -> anyhow::Result<Self> {
        let table = |number: usize| {
            let columns: Vec<_> =
                (3..=10).map(|column| format!("    c{column} TEXT NOT NULL DEFAULT 'x'")).collect();
            format!(
                "CREATE TABLE wide_{number:03} (\n    id BIGINT PRIMARY KEY,\n    parent BIGINT REFERENCES wide_{number:03},\n{}\n);\n\
                 CREATE INDEX wide_{number:03}_parent ON wide_{number:03} (parent);\n",
                columns.join(",\n")
            )
        };
        let migrations = (0..COLUMNS / 100).map(|file| Migration {
            version: version(file + 1),
            name: format!("add_wide_{file:02}"),
            sql: (0..10).map(|number| table(file * 10 + number)).collect(),
        });
        Self::write(root, &migrations.collect::<Vec<_>>())
    }

    /// One file that locks a new table and then runs a long statement.
    pub(crate) fn long_statement(root: PathBuf) -> anyhow::Result<Self> {
        let sql = format!("CREATE TABLE held (id BIGINT PRIMARY KEY);\nSELECT pg_sleep({LONG});\n");
        Self::write(root, &[Migration { version: version(1), name: "take_long".to_owned(), sql }])
    }

    fn write(root: PathBuf, migrations: &[Migration]) -> anyhow::Result<Self> {
        let folders = Self { root };
        for folder in [folders.sqlx(), folders.refinery(), folders.goose(), folders.golang_migrate()] {
            fs::create_dir_all(folder)?;
        }
        for Migration { version, name, sql } in migrations {
            save(&folders.sqlx().join(format!("{version}_{name}.sql")), sql)?;
            // Refinery's versions are 32 bits wide, so it alone counts from one.
            let number = version - version_base();
            save(&folders.refinery().join(format!("V{number}__{name}.sql")), sql)?;
            save(&folders.goose().join(format!("{version}_{name}.sql")), &format!("-- +goose Up\n{sql}"))?;
            save(&folders.golang_migrate().join(format!("{version}_{name}.up.sql")), sql)?;
        }
        save(&folders.psql(), &psql_script(migrations))?;
        Ok(folders)
    }

    /// The version of the first file.
    #[expect(clippy::unused_self, reason = "it is that of these files")]
    pub(crate) fn first_version(&self) -> u64 {
        version(1)
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// sqlx's form, which corveil reads too.
    pub(crate) fn sqlx(&self) -> PathBuf {
        self.root.join("sqlx")
    }

    pub(crate) fn refinery(&self) -> PathBuf {
        self.root.join("refinery")
    }

    pub(crate) fn goose(&self) -> PathBuf {
        self.root.join("goose")
    }

    pub(crate) fn golang_migrate(&self) -> PathBuf {
        self.root.join("golang-migrate")
    }

    pub(crate) fn psql(&self) -> PathBuf {
        self.root.join("psql.sql")
    }
}

/// The script that a careful user would give to one psql session: the history table, then for every file `BEGIN`, its
/// statements, its history row and `COMMIT`. That is one commit per file. psql sends one statement at a time, so a file of
/// two statements takes five round trips. The row is as wide as a real one, with a made-up checksum. psql takes no lock and
/// checks nothing, so it does less than the others.
fn psql_script(migrations: &[Migration]) -> String {
    let mut script = "CREATE TABLE IF NOT EXISTS _sqlx_migrations (\n    version BIGINT PRIMARY KEY,\n    \
         description TEXT NOT NULL,\n    installed_on TIMESTAMPTZ NOT NULL DEFAULT now(),\n    \
         success BOOLEAN NOT NULL,\n    checksum BYTEA NOT NULL,\n    execution_time BIGINT NOT NULL\n);\n"
        .to_owned();
    for Migration { version, name, sql } in migrations {
        let description = name.replace('_', " ");
        let checksum = format!("{version:096x}");
        write!(
            script,
            "BEGIN;\n{sql}INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)\n    \
             VALUES ({version}, '{description}', TRUE, '\\x{checksum}', 1000000);\nCOMMIT;\n"
        )
        .expect("a string takes any text");
    }
    script
}

fn version(number: usize) -> u64 {
    version_base() + u64::try_from(number).expect("a few hundred files")
}

const fn version_base() -> u64 {
    20_260_101_000_000
}

fn save(path: &Path, text: &str) -> anyhow::Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write `{}`", path.display()))
}

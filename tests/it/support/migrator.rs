//! Other tools that migrate databases: their own programs, which `cargo xtask test` installs, on a test's database.

use std::path::{Path, PathBuf};

use corveil::other_tool::Tool;
use tempfile::TempDir;
use tokio::process::Command;

use crate::support::{Database, Url};

/// A migration before it is named as some tool wants it: `0001_create_users` and its SQL.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) name: String,
    pub(crate) sql: String,
}

impl Step {
    pub(crate) fn new(name: &str, sql: &str) -> Self {
        Self { name: name.into(), sql: sql.into() }
    }

    /// The product's own migrations, oldest first. Half of the tools cannot build an index next to writers; the index is the
    /// same without.
    pub(crate) fn product() -> Vec<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
        let files = folder.read_dir().expect("a folder of migrations").map(|entry| entry.unwrap().path());
        let mut files: Vec<_> = files.filter(|path| path.extension().is_some_and(|it| it == "sql")).collect();
        files.sort();
        let step = |path: PathBuf| Self {
            name: path.file_stem().unwrap().to_str().unwrap().into(),
            sql: std::fs::read_to_string(&path).unwrap().replace("CREATE INDEX CONCURRENTLY", "CREATE INDEX"),
        };
        files.into_iter().map(step).collect()
    }

    fn version(&self) -> &str {
        self.name.split_once('_').expect("a version and a name").0
    }

    /// As Flyway and refinery want it.
    fn versioned(&self) -> String {
        format!("V{}.sql", self.name.replacen('_', "__", 1))
    }
}

/// The tool's program with a folder of migrations, as that tool names them.
pub(crate) struct Migrator {
    tool: Tool,
    folder: TempDir,
}

impl Migrator {
    pub(crate) fn new(tool: Tool, steps: &[Step]) -> Self {
        let folder = tempfile::Builder::new().prefix("corveil-migrator-").tempdir().expect("create a folder");
        let migrator = Self { tool, folder };
        for (index, step) in steps.iter().enumerate() {
            migrator.write(step, index.checked_sub(1).map(|before| steps[before].version()));
        }
        migrator
    }

    fn write(&self, step: &Step, before: Option<&str>) {
        let Step { name, sql } = step;
        match self.tool {
            Tool::GolangMigrate => self.put(&format!("{name}.up.sql"), sql),
            Tool::Goose => {
                let sql = format!("-- +goose Up\n-- +goose StatementBegin\n{sql}\n-- +goose StatementEnd\n");
                self.put(&format!("{name}.sql"), &sql);
            }
            Tool::Tern => self.put(&format!("{name}.sql"), sql),
            Tool::Flyway | Tool::Refinery => self.put(&step.versioned(), sql),
            Tool::Liquibase => {
                self.put(&format!("{name}.sql"), sql);
                self.put("changelog.yaml", LIQUIBASE_CHANGELOG);
            }
            Tool::Diesel => {
                self.put(&format!("{name}/up.sql"), sql);
                self.put(&format!("{name}/down.sql"), "");
            }
            Tool::Alembic => {
                let before = before.map_or("None".into(), |before| format!("'{before}'"));
                let head = format!("revision = '{}'\ndown_revision = {before}\n", step.version());
                self.put(&format!("versions/{name}.py"), &format!("{head}{ALEMBIC_REVISION}"));
                self.put(&format!("versions/{name}.sql"), sql);
                self.put("env.py", ALEMBIC_ENVIRONMENT);
                self.put("alembic.ini", "[alembic]\nscript_location = .\n");
            }
            Tool::Prisma => self.put(&format!("{name}/migration.sql"), sql),
            other => panic!("no program of {other} is installed"),
        }
    }

    fn put(&self, name: &str, content: &str) {
        let path = self.folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap_or_else(|error| panic!("write {name}: {error}"));
    }

    /// Applies what is pending.
    pub(crate) async fn migrate(&self, database: &Database) {
        let output = self.command(database).output().await.expect("start the tool");
        assert!(output.status.success(), "{} failed: {output:?}", self.tool);
    }

    /// Applies what is pending, of which something is broken.
    pub(crate) async fn fail(&self, database: &Database) {
        let output = self.command(database).output().await.expect("start the tool");
        assert!(!output.status.success(), "{} did not fail: {output:?}", self.tool);
    }

    /// The command that applies what is pending.
    pub(crate) fn command(&self, database: &Database) -> Command {
        let (url, folder) = (database.url(), self.folder.path());
        let Url { user, password, port, database } = &url;
        let jdbc = format!("jdbc:postgresql://127.0.0.1:{port}/{database}");
        let url = url.to_string();
        let mut command = match self.tool {
            Tool::GolangMigrate | Tool::Goose | Tool::Tern | Tool::Diesel | Tool::Refinery => {
                Command::new(installed(self.tool.name().unwrap()))
            }
            Tool::Flyway | Tool::Liquibase => Command::new("java"),
            Tool::Alembic => Command::new("python3"),
            _ => Command::new("node"),
        };
        match self.tool {
            Tool::GolangMigrate => {
                let url = url.replace("postgres://", "pgx5://");
                command.arg("-path").arg(folder).args(["-database", &url, "up"])
            }
            Tool::Goose => command.arg("-dir").arg(folder).args(["postgres", &url, "up"]),
            Tool::Tern => command.args(["migrate", "--conn-string", &url, "--migrations"]).arg(folder),
            Tool::Diesel => {
                command.args(["migration", "run", "--database-url", &url, "--migration-dir"]).arg(folder)
            }
            Tool::Refinery => {
                command.args(["migrate", "-e", "DATABASE_URL", "-p"]).arg(folder).env("DATABASE_URL", &url)
            }
            Tool::Flyway => {
                let classes = installed("java");
                let path = format!("{0}:{0}/*", classes.display());
                command.args(["-cp", &path, "Migrate", &jdbc, user, password]).arg(folder)
            }
            Tool::Liquibase => {
                let path = installed("java").join("*");
                command.arg("-cp").arg(path).arg("liquibase.integration.commandline.LiquibaseCommandLine");
                command.args(["--url", &jdbc, "--username", user, "--password", password]);
                command
                    .args(["--changelog-file", "changelog.yaml", "--search-path"])
                    .arg(folder)
                    .arg("update");
                // It would send usage data to its vendor.
                command.env("LIQUIBASE_ANALYTICS_ENABLED", "false")
            }
            Tool::Alembic => {
                let url = url.replace("postgres://", "postgresql+psycopg://");
                command.args(["-m", "alembic", "upgrade", "head"]);
                command.env("PYTHONPATH", installed("alembic")).env("DATABASE_URL", url)
            }
            _ => command.arg(installed("prisma").join("deploy.mjs")).arg(&url).arg(folder),
        };
        command.current_dir(folder).kill_on_drop(true);
        command
    }
}

const LIQUIBASE_CHANGELOG: &str = "databaseChangeLog:
  - includeAll: { path: ., relativeToChangelogFile: true, endsWithFilter: .sql }
";

const ALEMBIC_REVISION: &str = "
from alembic import op

def upgrade():
    with open(__file__.removesuffix('py') + 'sql') as sql:
        op.get_bind().connection.driver_connection.execute(sql.read())
";

const ALEMBIC_ENVIRONMENT: &str = "
import os
from alembic import context
from sqlalchemy import create_engine

with create_engine(os.environ['DATABASE_URL']).connect() as connection:
    context.configure(connection=connection, transaction_per_migration=True)
    with context.begin_transaction():
        context.run_migrations()
";

/// A program, or the folder of what another runs.
fn installed(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools/migrators").join(name);
    assert!(path.exists(), "no {}\nhint: `cargo xtask tools --migrators`", path.display());
    path
}

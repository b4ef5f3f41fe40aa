//! The programs that are compared, and the command with which each does the same work.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::bench::migrations::Folders;

/// Which program it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Psql,
    Sqlx,
    Refinery,
    Goose,
    GolangMigrate,
    Corveil,
}

/// A program that is installed.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    pub(crate) kind: Kind,
    pub(crate) path: PathBuf,
    pub(crate) version: String,
}

impl Kind {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Psql => "psql",
            Self::Sqlx => "sqlx-cli",
            Self::Refinery => "refinery",
            Self::Goose => "goose",
            Self::GolangMigrate => "golang-migrate",
            Self::Corveil => "corveil",
        }
    }
}

impl Program {
    /// Applies the set. psql runs one session and one script, see `migrations::psql_script`.
    pub(crate) fn migrate(&self, folders: &Folders, url: &str) -> Command {
        let mut command = self.bare(folders, url);
        match self.kind {
            Kind::Psql => {
                command.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-f"]).arg(folders.psql()).arg(url)
            }
            Kind::Sqlx => command.args(["migrate", "run", "--no-dotenv", "--source"]).arg(folders.sqlx()),
            Kind::Refinery => command.args(["migrate", "-e", "DATABASE_URL", "-p"]).arg(folders.refinery()),
            Kind::Goose => command.arg("-dir").arg(folders.goose()).args(["postgres", url, "up"]),
            Kind::GolangMigrate => {
                command.arg("-path").arg(folders.golang_migrate()).args(["-database", url, "up"])
            }
            Kind::Corveil => command.args(["migrate", "--source"]).arg(folders.sqlx()),
        };
        command
    }

    /// Runs on a database where the set is applied. Only psql needs another command for that.
    pub(crate) fn start(&self, folders: &Folders, url: &str) -> Command {
        if self.kind != Kind::Psql {
            return self.migrate(folders, url);
        }
        let mut command = self.bare(folders, url);
        command.args(["-X", "-A", "-t", "-c", "SELECT version, checksum FROM _sqlx_migrations"]).arg(url);
        command
    }

    /// Waits until the set is applied, which only corveil can.
    pub(crate) fn wait(&self, folders: &Folders, url: &str) -> Command {
        let mut command = self.bare(folders, url);
        command.args(["wait", "--source"]).arg(folders.sqlx());
        command
    }

    /// Compares the schema with the one that the set creates, which only corveil can.
    pub(crate) fn verify_schema(&self, folders: &Folders, url: &str) -> Command {
        let mut command = self.bare(folders, url);
        command.args(["verify", "--schema", "--log-level", "debug", "--source"]).arg(folders.sqlx());
        command
    }

    /// An environment with only the address, so that no setting of the caller favors a program.
    fn bare(&self, folders: &Folders, url: &str) -> Command {
        let mut command = Command::new(&self.path);
        command
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", folders.root())
            .env("DATABASE_URL", url)
            .current_dir(folders.root())
            .stdin(Stdio::null());
        command
    }
}

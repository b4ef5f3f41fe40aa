//! Where the programs are that the tests run.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

/// The folder with the server programs to test against, instead of whichever is found.
const POSTGRES_BIN: &str = "CORVEIL_TEST_POSTGRES_BIN";

static SERVER: LazyLock<Option<Programs>> = LazyLock::new(|| {
    if let Some(bin) = std::env::var_os(POSTGRES_BIN) {
        // Another server than the one asked for would make the result a lie.
        return Programs::at(Path::new(&bin), "initdb");
    }
    folders().iter().find_map(|bin| Programs::at(bin, "initdb"))
});

/// Programs of one PostgreSQL version in one folder.
#[derive(Debug)]
pub(crate) struct Programs {
    bin: PathBuf,
    major: u32,
}

impl Programs {
    /// `initdb`, `pg_ctl` and `postgres`.
    pub(crate) fn server() -> &'static Self {
        SERVER.as_ref().unwrap_or_else(|| {
            panic!(
                "no PostgreSQL server programs (`initdb`, `pg_ctl`, `postgres`) in ${POSTGRES_BIN}, on the PATH or in \
                 /usr/lib/postgresql/*/bin\n\
                 hint: `cargo xtask test` installs them on Debian and Ubuntu; on Fedora `dnf install postgresql-server`, \
                 on macOS `brew install postgresql@18`"
            )
        })
    }

    /// The oldest `pg_dump` here that can read this server; it refuses a server newer than itself.
    pub(crate) fn pg_dump(server: u32) -> Option<PathBuf> {
        let mut candidates: Vec<_> = folders()
            .iter()
            .filter_map(|bin| Self::at(bin, "pg_dump"))
            .filter(|p| p.major >= server)
            .collect();
        candidates.sort_by_key(|programs| programs.major);
        candidates.first().map(|programs| programs.path("pg_dump"))
    }

    pub(crate) fn pgbouncer() -> PathBuf {
        let folders = path().chain(["/usr/sbin".into(), "/opt/homebrew/bin".into()]);
        folders.map(|folder| folder.join("pgbouncer")).find(|program| program.is_file()).unwrap_or_else(|| {
            panic!(
                "no `pgbouncer` on the PATH or in /usr/sbin\n\
                 hint: `cargo xtask test` installs it on Debian and Ubuntu; elsewhere `dnf install pgbouncer` or \
                 `brew install pgbouncer`"
            )
        })
    }

    /// The folder that holds `program`, its version taken from the program's own output.
    fn at(bin: &Path, program: &str) -> Option<Self> {
        // Links to single programs are common on a PATH; the others are next to the real one. Debian's `pg_dump` on the
        // PATH is a Perl wrapper that wants its own name, so the link is followed only as far as its folder.
        let bin = bin.join(program).canonicalize().ok()?.parent()?.to_owned();
        let output = Command::new(bin.join(program)).arg("--version").output().ok()?;
        let version = String::from_utf8(output.stdout).ok()?;
        let digits =
            version.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()))?;
        let major = digits.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()?;
        Some(Self { bin, major })
    }

    pub(crate) fn path(&self, program: &str) -> PathBuf {
        self.bin.join(program)
    }

    pub(crate) fn major(&self) -> u32 {
        self.major
    }
}

/// Every folder that may hold PostgreSQL's programs: the PATH, then Debian's and Homebrew's own, the newest first.
fn folders() -> Vec<PathBuf> {
    let installed = ["/usr/lib/postgresql", "/opt/homebrew/opt", "/usr/local/opt"];
    let mut own: Vec<_> = installed
        .iter()
        .filter_map(|parent| Path::new(parent).read_dir().ok())
        .flat_map(|entries| entries.flatten().map(|entry| entry.path().join("bin")))
        .collect();
    own.sort_by_key(|folder| std::cmp::Reverse(digits(folder)));
    path().chain(own).collect()
}

fn path() -> impl Iterator<Item = PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).collect::<Vec<_>>().into_iter()
}

/// The version in `/usr/lib/postgresql/15/bin` or `/opt/homebrew/opt/postgresql@18/bin`, as a number to compare.
fn digits(folder: &Path) -> u32 {
    folder.to_string_lossy().chars().filter(char::is_ascii_digit).collect::<String>().parse().unwrap_or(0)
}

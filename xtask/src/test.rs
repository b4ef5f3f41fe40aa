//! `cargo xtask test`: runs every test that needs no cluster. The machine needs Rust, and Go for programs that are not on the
//! PATH.

use std::thread::available_parallelism;

use anyhow::Result;
use xshell::Shell;

use crate::project::cargo::cargo;
use crate::project::packages::{install, is_installed, itself, missing};
use crate::release;
use crate::tools::migrators;
use crate::{postgres, tools};

#[derive(clap::Args)]
pub struct Args {
    /// Run the scenarios whose outcome depends on the server's version on servers of these major versions, such as `14,18`,
    /// downloaded when needed
    #[arg(long, value_name = "MAJORS", value_delimiter = ',')]
    postgres: Vec<u32>,
    /// Run only the scenarios, on databases that have most of the odd settings of `tests/it/support/settings.rs`
    #[arg(long, conflicts_with = "postgres")]
    odd_settings: bool,
    /// Pass these arguments on to `cargo test`; with `--postgres`, a name runs the scenarios of that name
    #[arg(last = true)]
    rest: Vec<String>,
}

/// Sets how many tests run at once, unless the caller did: most of them wait for a server half of the time.
const THREADS: &str = "RUST_TEST_THREADS";

/// All packages, as for the other tests: another selection would have other features, and so need another build.
const SCENARIOS: [&str; 5] = ["test", "--workspace", "--no-default-features", "--test", "it"];

/// Gives every test's database the odd settings.
const ODD_SETTINGS: &str = "CORVEIL_TEST_ODD_SETTINGS";

/// The list of the scenarios, and the mark after each module that runs on every requested server.
const CONTENTS: &str = "tests/it/main.rs";
const MARK: &str = "// on each version";

pub fn run(sh: &Shell, Args { postgres, odd_settings, rest }: &Args) -> Result<()> {
    if std::env::var_os(THREADS).is_none() {
        sh.set_var(THREADS, (2 * available_parallelism()?.get()).to_string());
    }
    servers(sh)?;
    release::packages(sh)?;
    registry(sh)?;
    emulator(sh)?;
    migrators::ensure(sh)?;
    if *odd_settings {
        let _odd = sh.push_env(ODD_SETTINGS, "1");
        return Ok(cargo(sh, &SCENARIOS).args(rest).run()?);
    }
    let marked = marked(&sh.read_file(CONTENTS)?);
    for &major in postgres {
        let bin = postgres::programs(sh, major)?;
        let _bin = sh.push_env("CORVEIL_TEST_POSTGRES_BIN", bin);
        let scenarios = cargo(sh, &SCENARIOS);
        let scenarios =
            if rest.is_empty() { scenarios.arg("--").args(&marked) } else { scenarios.args(rest) };
        scenarios.run()?;
    }
    if postgres.is_empty() {
        tools::ensure(sh, &tools::CHART)?;
        tools::ensure(sh, &tools::API)?;
        cargo(sh, &["test", "--workspace", "--no-default-features"]).args(rest).run()?;
        // The only tests worth building the embedded server for.
        cargo(sh, &["test", "--test", "embedded"]).args(rest).run()?;
    }
    Ok(())
}

/// Installs the servers that scenarios run on.
fn servers(sh: &Shell) -> Result<()> {
    let mut missing = Vec::new();
    if std::env::var_os("CORVEIL_TEST_POSTGRES_BIN").is_none() && !is_installed("initdb") {
        missing.push("postgresql");
    }
    if !is_installed("pgbouncer") {
        missing.push("pgbouncer");
    }
    install(
        sh,
        &missing,
        "the tests need `initdb`, `pg_ctl` and `postgres` of PostgreSQL 15 or newer, and `pgbouncer`\n\
         hint: `dnf install postgresql-server pgbouncer`, or `brew install postgresql@18 pgbouncer`",
    )
}

/// Installs a registry on this machine, for the tests of a release.
pub fn registry(sh: &Shell) -> Result<()> {
    install(
        sh,
        &missing(&["docker-registry"].map(itself)),
        "the tests of a release need the program `docker-registry`\n\
         hint: it is a package of Debian and Ubuntu; run them there, or in a container of one",
    )
}

/// Installs the emulator for programs of the other architecture, which the tests of a release run.
fn emulator(sh: &Shell) -> Result<()> {
    install(
        sh,
        &missing(&[("qemu-aarch64-static", "qemu-user-static")]),
        "the tests of a release run the program of each architecture, and need `qemu-aarch64-static` for that\n\
         hint: `dnf install qemu-user-static`",
    )
}

/// The prefixes of the names of tests in marked modules.
fn marked(contents: &str) -> Vec<String> {
    modules(contents).filter(|(_, mark)| *mark == MARK).map(|(name, _)| format!("{name}::")).collect()
}

/// The modules of a list, and the text after each.
fn modules(contents: &str) -> impl Iterator<Item = (&str, &str)> {
    let declared = contents.lines().filter_map(|line| line.strip_prefix("mod ")?.split_once(';'));
    declared.map(|(name, behind)| (name, behind.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marked_module_is_run_on_each_server() {
        let contents =
            "mod support;\n// What a schema is read as.\nmod schema; // on each version\nmod serve;\n";
        assert_eq!(marked(contents), ["schema::"]);
    }

    #[test]
    fn only_the_mark_follows_a_module() {
        let contents = std::fs::read_to_string(crate::project::root().join(CONTENTS)).expect(CONTENTS);
        let others: Vec<_> = modules(&contents).filter(|(_, behind)| !["", MARK].contains(behind)).collect();
        assert!(others.is_empty(), "{others:?}\nhint: `{MARK}`, or nothing");
        // These depend on the version most.
        let marked = marked(&contents);
        assert!(["schema::", "drift::", "roles::"].iter().all(|name| marked.contains(&(*name).to_owned())));
    }
}

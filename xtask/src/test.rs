//! `cargo xtask test`: every test that needs no cluster, on a machine with Rust, and Go for what is not on its PATH.

use std::thread::available_parallelism;

use anyhow::Result;
use xshell::Shell;

use crate::cargo::cargo;
use crate::{migrators, postgres, setup, tools};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Run the scenarios on servers of these major versions instead, fetched when needed: `14,18`.
    #[arg(long, value_name = "MAJORS", value_delimiter = ',')]
    postgres: Vec<u32>,
    /// Passed on to `cargo test`.
    #[arg(last = true)]
    rest: Vec<String>,
}

/// How many tests run at once, if nobody said so: most of them wait for a server half of the time.
const THREADS: &str = "RUST_TEST_THREADS";

pub(crate) fn run(sh: &Shell, Args { postgres, rest }: &Args) -> Result<()> {
    if std::env::var_os(THREADS).is_none() {
        sh.set_var(THREADS, (2 * available_parallelism()?.get()).to_string());
    }
    setup::run(sh)?;
    migrators::ensure(sh)?;
    for &major in postgres {
        let bin = postgres::programs(sh, major)?;
        let _bin = sh.push_env("CORVEIL_TEST_POSTGRES_BIN", bin);
        cargo(sh, &["test", "--no-default-features", "--test", "it"]).args(rest).run()?;
    }
    if postgres.is_empty() {
        tools::ensure(sh, &tools::CHART)?;
        cargo(sh, &["test", "--workspace", "--no-default-features"]).args(rest).run()?;
        // The only tests worth building the embedded server for.
        cargo(sh, &["test", "--test", "embedded"]).args(rest).run()?;
    }
    Ok(())
}

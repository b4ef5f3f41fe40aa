//! `cargo xtask test`: everything that has to pass, on a machine that needs nothing but Rust.

use anyhow::Result;
use xshell::{Shell, cmd};

use crate::{postgres, setup};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Run the scenarios on servers of these major versions instead, fetched when needed: `14,18`.
    #[arg(long, value_name = "MAJORS", value_delimiter = ',')]
    postgres: Vec<u32>,
    /// Passed on to `cargo test`.
    #[arg(last = true)]
    rest: Vec<String>,
}

pub(crate) fn run(sh: &Shell, Args { postgres, rest }: &Args) -> Result<()> {
    setup::run(sh)?;
    for &major in postgres {
        let bin = postgres::programs(sh, major)?;
        let _bin = sh.push_env("CORVEIL_TEST_POSTGRES_BIN", bin);
        cmd!(sh, "cargo test --no-default-features --test it {rest...}").run()?;
    }
    if postgres.is_empty() {
        cmd!(sh, "cargo test --workspace --no-default-features {rest...}").run()?;
        // Tests of the `embedded` feature follow here, as `cargo test --test embedded`: the only ones worth its build.
    }
    Ok(())
}

//! `cargo xtask bench`: compares corveil with psql and other migration programs, as ratios from one run.
//!
//! Every program connects over TCP to 127.0.0.1 with the same URL, password and `sslmode=disable`, to a server that the bench
//! starts for itself with PostgreSQL's default durability. A round runs every program once, and each round starts with the
//! next program, so that a machine that slows down affects all alike. Ratios are of medians. A missed goal is printed and
//! does not fail the task, as times depend on the load of the machine. The task fails where corveil does not do its work.

mod case;
mod install;
mod machine;
mod measure;
mod migrations;
mod program;
mod proxy;
mod report;
mod waiting;

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::ValueEnum;
use xshell::Shell;

use case::Case;
use install::Installed;
use machine::Machine;
use measure::Bench;
use proxy::Proxy;

use crate::postgres::server::{self, Server};

/// The arguments of `cargo xtask bench`.
#[derive(clap::Args)]
pub struct Args {
    /// Measure only this case; can be given several times
    #[arg(long, value_name = "NAME")]
    only: Vec<Case>,

    /// Set the rounds of each case; a start, which takes milliseconds, is measured eight times as often
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(5..))]
    samples: u16,

    /// Also write the tables, with the versions of everything, to this file
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
}

/// A round trip between two zones of one region.
const FAR: Duration = Duration::from_millis(2);

pub fn run(sh: &Shell, args: &Args) -> anyhow::Result<()> {
    let chosen = if args.only.is_empty() { Case::value_variants() } else { args.only.as_slice() };
    let Installed { programs, absent } = install::all(sh, chosen)?;
    let server = Server::start(server::programs()?, "bench")?;
    let proxy = Proxy::start(server.port(), FAR / 2)?;
    let machine = Machine::inspect(sh, &server, &programs)?;
    let bench = Bench::new(&programs, &server, proxy.port())?;

    let mut tables = Vec::new();
    for &case in chosen {
        let mut table = bench.measure(case, usize::from(args.samples))?;
        let absent: Vec<_> = absent.iter().filter(|(kind, _)| case.is_for(*kind)).cloned().collect();
        table.add_absent(&absent);
        report::print(&table.to_string())?;
        tables.push(table);
    }

    if let Some(file) = &args.markdown {
        fs::write(file, report::markdown(&machine, &tables))
            .with_context(|| format!("cannot write `{}`", file.display()))?;
    }
    let failures: Vec<_> = tables.iter().filter_map(report::Table::corveils_failure).collect();
    ensure!(failures.is_empty(), "corveil did not do its work: {}", failures.join("; "));
    Ok(())
}

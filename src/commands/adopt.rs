//! `corveil adopt`, alias `corveil baseline`: records the migrations that a database already contains as applied, and runs none.

pub(crate) mod report;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args as ClapArgs;
use clap::builder::BoolishValueParser;

use crate::config::databases::{Databases, Purpose};
use crate::config::flags::{Common, Scratch};
use crate::config::origin::Origin;
use crate::config::{duration, env};
use crate::core::adopt::BaselineRequest;
use crate::error::Result;
use crate::exit::ExitCode;
use crate::operations::adopt::AdoptRequest;
use crate::operations::adopt::adoption::Adoption;
use crate::operations::open;
use crate::operations::target::Target;
use crate::output::Format;
use crate::stop::Stop;
use report::Report;

/// Baseline: record migrations that the database already contains as applied, without running them
#[derive(Debug, ClapArgs)]
#[command(after_help = "Before it records a migration, it compares the schema with the one that the files up
to there make. Each difference is one line with its id and the SQL that fixes it, and
ends the run with 4 unless `--accept` names it. The other tool's table stays as it is.

Examples:
  corveil adopt --dry-run              show the version and what differs, and record nothing
  corveil adopt --from golang-migrate
  corveil adopt --to 7 --accept ID,ID  the schema is at version 7, but for these differences")]
pub(crate) struct Args {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    pub(crate) scratch: Scratch,
    /// Tool that migrated the database; `auto` finds its table
    #[arg(long, value_name = "TOOL", env = env::FROM, value_enum, default_value_t)]
    from: Origin,
    /// Version that the database is at; by default the one in the tool's history, or else the only one whose schema matches
    #[arg(long, value_name = "VERSION", env = env::TO)]
    to: Option<i64>,
    /// IDs of schema differences to accept, comma-separated
    #[arg(long, value_name = "DIFFERENCE-ID", env = env::ACCEPT, value_delimiter = ',')]
    accept: Vec<String>,
    /// How long to wait for another run to release the migration lock
    #[arg(long, value_name = "DURATION", env = env::LOCK_WAIT, default_value = "5m", value_parser = duration::parse)]
    lock_wait: Duration,
    /// When to cancel and end with exit code 75, counted from the start of the process
    #[arg(long, value_name = "DURATION", env = env::DEADLINE, default_value = "none", value_parser = duration::parse_or_none)]
    deadline: Duration,
    /// Show what would be recorded, and change nothing
    #[arg(long, env = env::DRY_RUN, value_parser = BoolishValueParser::new())]
    dry_run: bool,
    /// File for a short account of a failure; by default /dev/termination-log where it exists
    #[arg(long, value_name = "PATH", env = env::TERMINATION_LOG)]
    pub(crate) termination_log: Option<PathBuf>,
}

/// Runs the command.
///
/// # Errors
/// Every reason for which the database was not adopted; nothing was written then.
pub(crate) async fn run(
    args: Args,
    databases: &Databases,
    format: Format,
    started: Instant,
) -> Result<ExitCode> {
    let stop = Stop::listen(started, duration::limit(args.deadline))?;
    let catalog = open::read(&args.common).end(&stop).await?;
    let opened = open::open(databases, Purpose::Migrate, &stop).await?;
    let adoption = Adoption {
        question: AdoptRequest {
            target: Target::new(&args.common, catalog, (databases, &opened), &stop),
            scratch: &args.scratch,
            asked: BaselineRequest { from: args.from.tool(), to: args.to },
            accept: &args.accept,
        },
        lock_wait: args.lock_wait,
        dry_run: args.dry_run,
    };
    let result = adoption.run().await.map(Report::of);
    opened.close().await;
    report::write(&result?, format, started.elapsed());
    Ok(ExitCode::Ok)
}

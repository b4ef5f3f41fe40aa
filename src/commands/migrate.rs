//! `corveil migrate`: applies the pending migrations.

mod report;

use std::cell::Cell;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args as ClapArgs;
use clap::builder::BoolishValueParser;

use crate::config::databases::{Databases, Purpose};
use crate::config::flags::{Common, Scratch};
use crate::config::origin::Origin;
use crate::config::{duration, env};
use crate::core::adopt::BaselineRequest;
use crate::core::batch::Timeouts;
use crate::core::directives::Timeout;
use crate::core::plan::OutOfOrder;
use crate::core::retry::DEFAULT_RETRIES;
use crate::error::{Detail, Result};
use crate::exit::ExitCode;
use crate::operations::adopt::AdoptRequest;
use crate::operations::gate::Gate;
use crate::operations::open;
use crate::operations::target::Target;
use crate::output::Format;
use crate::postgres::apply::Settings;
use crate::stop::Stop;

/// Apply the pending migrations
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  corveil migrate                                    in a Job: everything comes from the environment
  corveil migrate --source migrations --dry-run      show what would be applied
  corveil migrate --deadline 250s --lock-wait 2m     end before the Job's own deadline deletes the log")]
pub(crate) struct Args {
    #[command(flatten)]
    common: Common,
    /// Newest version to apply
    #[arg(long, value_name = "VERSION", env = env::TARGET)]
    target: Option<i64>,
    /// How long to wait for another run to release the migration lock
    #[arg(long, value_name = "DURATION", env = env::LOCK_WAIT, default_value = "5m", value_parser = duration::parse)]
    lock_wait: Duration,
    /// How long a statement may wait for a lock on a table; `-- corveil:lock-timeout` in a file wins
    #[arg(long, value_name = "DURATION", env = env::LOCK_TIMEOUT, default_value = "2s")]
    lock_timeout: Timeout,
    /// How long a statement may take; `-- corveil:statement-timeout` in a file wins
    #[arg(long, value_name = "DURATION", env = env::STATEMENT_TIMEOUT, default_value = "none")]
    statement_timeout: Timeout,
    /// How often a file is retried after a timeout or a deadlock; `-- corveil:retries` in a file wins
    #[arg(long, value_name = "NUMBER", env = env::RETRIES, default_value_t = DEFAULT_RETRIES)]
    retries: u32,
    /// Whether an error's DETAIL is shown where it may quote a row, as that of a constraint does
    #[arg(long, env = env::DETAIL, value_enum, default_value_t)]
    detail: Detail,
    /// When to cancel and end with exit code 75, counted from the start of the process
    #[arg(long, value_name = "DURATION", env = env::DEADLINE, default_value = "none", value_parser = duration::parse_or_none)]
    deadline: Duration,
    /// What to do with pending versions below the newest applied one
    #[arg(long, env = env::OUT_OF_ORDER, value_enum, default_value_t)]
    out_of_order: OutOfOrder,
    /// Versions to run statement by statement, as if they began with `-- no-transaction`, comma-separated
    #[arg(long, value_name = "VERSION", env = env::NO_TRANSACTION, value_delimiter = ',')]
    no_transaction: Vec<i64>,
    /// Statement at which to resume the partly applied file; those before it count as applied
    #[arg(long, value_name = "N", env = env::RESUME_FROM)]
    resume_from: Option<usize>,
    /// Baseline a database that something else migrated, as `corveil adopt --from TOOL` does, before applying the rest;
    /// no effect on a database that is empty or already has Corveil's history
    #[arg(
        long,
        value_name = "TOOL",
        env = env::ADOPT,
        value_enum,
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = Origin::AUTO
    )]
    adopt: Option<Origin>,
    /// Version that such a database is at, as `corveil adopt --to`
    #[arg(long, value_name = "VERSION", env = env::ADOPT_TO, requires = "adopt")]
    adopt_to: Option<i64>,
    #[command(flatten)]
    pub(crate) scratch: Scratch,
    /// Show what would be applied, and change nothing
    #[arg(long, env = env::DRY_RUN, value_parser = BoolishValueParser::new())]
    dry_run: bool,
    /// File for a short account of a failure; by default /dev/termination-log where it exists
    #[arg(long, value_name = "PATH", env = env::TERMINATION_LOG)]
    pub(crate) termination_log: Option<PathBuf>,
}

/// Runs the command.
///
/// # Errors
/// Every reason for which the schema is not as this build requires.
pub(crate) async fn run(
    args: Args,
    databases: &Databases,
    format: Format,
    started: Instant,
) -> Result<ExitCode> {
    let stop = Stop::listen(started, duration::limit(args.deadline))?;
    let reading = open::read(&args.common);
    // Errors in the files are reported before anything else; only the connection is made meanwhile.
    let begun = open::begin_connecting(databases, Purpose::Migrate);
    let catalog = reading.end(&stop).await?;
    let opened = open::open(databases, Purpose::Migrate, &stop).await?;
    let target = Target::new(&args.common, catalog, (databases, &opened), &stop);
    let result = Gate {
        target,
        begun: Cell::new(begun),
        up_to: args.target,
        out_of_order: args.out_of_order,
        no_transaction: args.no_transaction.iter().copied().collect::<BTreeSet<_>>(),
        resume_from: args.resume_from,
        lock_wait: args.lock_wait,
        settings: Settings {
            timeouts: Timeouts { lock: args.lock_timeout, statement: args.statement_timeout },
            retries: args.retries,
            detail: args.detail,
        },
        dry_run: args.dry_run,
        adopt: args.adopt.map(|from| AdoptRequest {
            target,
            scratch: &args.scratch,
            asked: BaselineRequest { from: from.tool(), to: args.adopt_to },
            accept: &[],
        }),
    }
    .pass()
    .await;
    opened.close().await;
    report::write(&result?, format, started.elapsed());
    Ok(ExitCode::Ok)
}

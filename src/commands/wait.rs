//! `corveil wait`: until the database answers, or until the schema is there. It takes no lock and writes nothing to
//! the database.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::{Args as ClapArgs, ValueEnum};
use serde::Serialize;
use sqlx::postgres::PgConnection;
use tracing::{info, warn};

use crate::config::database::{Database, application_name};
use crate::config::databases::{Databases, Purpose};
use crate::config::flags::{Files, HistoryFlags};
use crate::config::{duration, env};
use crate::core::batch::hex;
use crate::core::catalog::Catalog;
use crate::core::progress::LOG_EVERY;
use crate::core::requirement::{self, Unmet};
use crate::core::trust::Wanted;
use crate::core::two_ways;
use crate::error::{Error, Result, sqlstate};
use crate::exit::ExitCode;
use crate::operations::open;
use crate::output::{self, Format};
use crate::postgres::connect::{self, Patience};
use crate::postgres::runs::{Outcome, Run};
use crate::postgres::state::Scope;
use crate::postgres::{glance, lock, other_tool, query};
use crate::stop::Stop;

/// First and longest pause between two checks, half of each random: hundreds of pods may wait for one run, and each should
/// start within seconds of its end. Between two checks there is no connection: the run needs those that the server allows.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(5));

/// How long one check may take.
const CHECK: Duration = Duration::from_secs(10);

/// How long the server may work on one batch of a check.
const BATCH: Duration = Duration::from_secs(5);

/// How long a check may take at least, also when the time is almost up.
const SHORTEST_CHECK: Duration = Duration::from_secs(1);

/// Wait for the database, or until every migration of this build is applied
#[derive(Debug, ClapArgs)]
#[command(after_help = "Versions that this build does not know are fine: a newer build has been here.
Ends early, with the recorded error, when the last run failed for good on a migration that this build requires.

Kubernetes shows why a container ended, never what a running one logs. --restart-after ends the first one, so that
`kubectl describe pod` names the missing migrations while the second waits on.

Examples:
  corveil wait                            in an init container: until the schema is there
  corveil wait --for db --timeout 30s     in a script: until the database answers")]
pub(crate) struct Args {
    /// What to wait for
    #[arg(long = "for", env = env::FOR, value_enum, default_value_t)]
    what: What,
    /// How long to wait; 0 waits without limit
    #[arg(long, value_name = "DURATION", env = env::TIMEOUT, default_value = "0", value_parser = duration::parse_or_none)]
    timeout: Duration,
    /// End once with 75 when the schema is still missing after this time, and keep waiting when started again
    #[arg(long, value_name = "DURATION", env = env::RESTART_AFTER, value_parser = duration::parse, requires = "restart_marker")]
    restart_after: Option<Duration>,
    /// File that marks the first end, so that the second start keeps waiting; its folder has to outlive the container
    #[arg(long, value_name = "PATH", env = env::RESTART_MARKER, requires = "restart_after")]
    restart_marker: Option<PathBuf>,
    #[command(flatten)]
    files: Files,
    #[command(flatten)]
    history: HistoryFlags,
    /// File for a short account of a failure; by default /dev/termination-log where it exists
    #[arg(long, value_name = "PATH", env = env::TERMINATION_LOG)]
    pub(crate) termination_log: Option<PathBuf>,
}

/// What to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum What {
    /// The database answers a query with the given credentials
    Db,
    /// Every migration of this build is applied
    #[default]
    Schema,
}

/// What the command shows.
#[derive(Debug, Serialize)]
struct Report {
    exit_code: u8,
    waited_ms: u128,
}

/// Runs the command.
///
/// # Errors
/// [`Error::WaitTimeout`], [`Error::RunFailed`], and whatever waiting cannot fix.
pub(crate) async fn run(
    args: Args,
    databases: &Databases,
    format: Format,
    started: Instant,
) -> Result<ExitCode> {
    let stop = Stop::listen(started, None)?;
    let catalog = match args.what {
        What::Db => None,
        What::Schema => Some(args.files.load()?),
    };
    let opened = open::open(databases, Purpose::Read, &stop).await?;
    let restart = Restart::read(&args);
    let required = Required { files: catalog.as_ref(), wanted: args.history.wanted() };
    let waited = until(&opened.database, required, args.timeout, restart, &stop).await;
    opened.close().await;
    waited?;
    match format {
        Format::Text => output::text(match args.what {
            What::Db => "the database answers\n",
            What::Schema => "every migration of this build is applied\n",
        }),
        Format::Json => output::json(&Report { exit_code: 0, waited_ms: started.elapsed().as_millis() }),
    }
    Ok(ExitCode::Ok)
}

/// The one time that it ends to be seen.
struct Restart {
    after: Duration,
    marker: PathBuf,
    /// When the database first answered: without it there is nothing to name.
    since: Option<Instant>,
}

impl Restart {
    /// Nothing where it was not asked for, or has been.
    fn read(args: &Args) -> Option<Self> {
        let (after, marker) = (args.restart_after?, args.restart_marker.clone()?);
        (!marker.exists()).then_some(Self { after, marker, since: None })
    }

    fn is_due(&mut self) -> bool {
        self.since.get_or_insert_with(Instant::now).elapsed() >= self.after
    }

    /// Whether the next start will know of it. What cannot be remembered is not done, as it would be done again and again.
    fn is_remembered(&self) -> bool {
        let written = std::fs::write(&self.marker, "");
        written
            .inspect_err(|e| warn!("`--restart-marker {}` cannot be written: {e}", self.marker.display()))
            .is_ok()
    }
}

async fn until(
    database: &Database,
    required: Required<'_>,
    timeout: Duration,
    mut restart: Option<Restart>,
    stop: &Stop,
) -> Result<()> {
    let mut patience = Patience::new(if timeout.is_zero() { Duration::MAX } else { timeout });
    loop {
        let limit = CHECK.min(patience.left().max(SHORTEST_CHECK));
        let seen = tokio::select! {
            seen = tokio::time::timeout(limit, glance::within(limit.min(BATCH), check(database, required))) => {
                seen.unwrap_or_else(|_| Evidence::missing(format!("{database} does not answer")))
            }
            reason = stop.requested() => return Err(reason.error("while waiting")),
        };
        let Missing { what, answered, full } = match seen {
            Evidence::Ready => return Ok(()),
            Evidence::Failed(error) => return Err(error),
            Evidence::Missing(missing) => missing,
        };
        if patience.should_log(LOG_EVERY) {
            info!("waiting: {what}");
        }
        // It comes once, or never.
        if answered && restart.take_if(Restart::is_due).is_some_and(|due| due.is_remembered()) {
            let waited = Duration::from_millis(patience.elapsed().as_millis().try_into().unwrap_or(u64::MAX));
            return Err(Error::WaitTimeout { waited, missing: what, goes_on: true });
        }
        // On a full server the next free connection is left for the run that ends the wait.
        let first = if full { PAUSES.1 } else { PAUSES.0 };
        if !patience.pause(first, PAUSES.1, stop).await? {
            return Err(Error::WaitTimeout { waited: timeout, missing: what, goes_on: false });
        }
    }
}

/// What has to be there for the wait to end.
#[derive(Debug, Clone, Copy)]
struct Required<'a> {
    /// The files that have to be applied; without them an answer is enough.
    files: Option<&'a Catalog>,
    wanted: Wanted<'a>,
}

/// The result of one check.
enum Evidence {
    /// Everything that is required is there.
    Ready,
    /// It is not there yet.
    Missing(Missing),
    /// Waiting longer cannot help.
    Failed(Error),
}

/// What is not there yet.
struct Missing {
    what: String,
    /// Whether this is the database's answer.
    answered: bool,
    /// Whether the server has no connection to spare.
    full: bool,
}

impl Evidence {
    /// The database does not answer.
    fn missing(what: String) -> Self {
        Self::Missing(Missing { what, answered: false, full: false })
    }

    /// The database answers so.
    fn answered(what: String) -> Self {
        Self::Missing(Missing { what, answered: true, full: false })
    }
}

/// Checks once, on a new connection.
async fn check(database: &Database, required: Required<'_>) -> Evidence {
    let mut connection = match connect::once(database, &application_name(None), CHECK).await {
        Ok(connection) => connection,
        Err(unusable) => {
            let what = format!("{database}: {}", unusable.reason);
            return match unusable.permanent {
                Some(error) => Evidence::Failed(error),
                None => Evidence::Missing(Missing { what, answered: false, full: unusable.full }),
            };
        }
    };
    let seen = match required.files {
        None => query::all(&mut connection, "querying the database", "SELECT 1".into())
            .await
            .map(|_| Evidence::Ready),
        Some(catalog) => schema(&mut connection, catalog, required.wanted).await,
    };
    query::close(connection).await;
    match seen {
        Ok(seen) => seen,
        Err(Error::Server { source, .. })
            if source.sqlstate.as_deref() == Some(sqlstate::LOCK_NOT_AVAILABLE) =>
        {
            Evidence::answered(format!("another session has locked the migration history: {source}"))
        }
        Err(Error::Server { source, .. }) if source.may_pass() => {
            Evidence::missing(format!("{database}: {source}"))
        }
        // `corveil migrate` grants it when it runs.
        Err(Error::Server { source, .. })
            if source.sqlstate.as_deref() == Some(sqlstate::INSUFFICIENT_PRIVILEGE) =>
        {
            Evidence::answered(format!("the history may not be read yet: {source}"))
        }
        Err(error) => Evidence::Failed(error),
    }
}

async fn schema(connection: &mut PgConnection, catalog: &Catalog, wanted: Wanted<'_>) -> Result<Evidence> {
    let glance = glance::read(connection, wanted).await?;
    let unmet = requirement::unmet(catalog, &glance.history);
    let Some(missing) = requirement::sentence(&unmet) else { return Ok(Evidence::Ready) };
    two_ways::refuse(catalog, &glance.history)?;
    // A run that is at work may be one of a build that has the file fixed.
    let failed = glance.last_run.as_ref().and_then(|run| failed_for_good(run, &unmet));
    let error = match failed {
        Some(error) => Some(error),
        None if glance.history.is_blank() => {
            let scope = Scope::reading(wanted, Some(catalog));
            match other_tool::refuse(connection, catalog, &glance.server, scope).await {
                Err(error @ Error::Mismatch(_)) => Some(error),
                _ => None,
            }
        }
        None => None,
    };
    // The session that holds the lock may be adopting the database.
    match error {
        Some(error) if !lock::is_taken(connection, &glance.server.database).await? => {
            Ok(Evidence::Failed(error))
        }
        _ => Ok(Evidence::answered(missing)),
    }
}

/// The error of a run that failed for good on one of these files, unless the file was changed since.
fn failed_for_good(run: &Run, unmet: &[Unmet<'_>]) -> Option<Error> {
    let code = ExitCode::ALL.into_iter().find(|code| Some(i16::from(code.code())) == run.exit_code)?;
    let is_of_these = unmet
        .iter()
        .map(|unmet| unmet.migration)
        .any(|m| Some(m.version) == run.failed_version && Some(hex(&m.checksum)) == run.failed_checksum);
    (run.outcome == Outcome::Failed && code.is_permanent() && is_of_these).then(|| Error::RunFailed {
        recorded: run.error.clone().unwrap_or_else(|| "no reason recorded".into()),
        code,
    })
}

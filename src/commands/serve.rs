//! `corveil serve`: health, readiness and metrics over HTTP, what the image runs until the gateway's own takes its place.

mod door;
mod listen;
mod metrics;
mod routes;

use std::future::IntoFuture as _;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use clap::Args as ClapArgs;
use tokio::net::TcpListener;
use tracing::{info, warn};

use crate::config::database::Database;
use crate::config::databases::{Configured, Databases, Purpose};
use crate::config::flags::{Files, HistoryFlags};
use crate::config::{duration, env};
use crate::error::{Error, Result};
use crate::exit::ExitCode;
use crate::operations::watch::Watch;
use crate::stop::Stop;
use door::Door;

/// Answer liveness and readiness probes, and serve metrics, over HTTP
#[derive(Debug, ClapArgs)]
#[command(after_help = "Paths:
  /health        200 as long as the process serves; never asks the database
  /health/ready  200 when every migration of this build is applied, as is or by a newer build; otherwise 503 and why
  /metrics       schema version, pending migrations and last run, for Prometheus

The database may be absent: it is asked when a probe comes. A process that is ready holds one connection while probes
come; one that is not ready holds none. Clients that send no whole request within ten seconds are disconnected. SIGTERM
and SIGINT finish the requests under way; exit code 0.

Examples:
  corveil serve                             as the image does
  corveil serve --listen 127.0.0.1:8000     for this machine alone")]
pub(crate) struct Args {
    /// Address and port to listen on; [::] takes IPv4 too
    #[arg(long, value_name = "ADDRESS:PORT", env = env::LISTEN, default_value = "[::]:8000")]
    listen: SocketAddr,
    /// How long requests under way may take to finish once the process is to stop
    #[arg(long, value_name = "DURATION", env = env::SHUTDOWN_TIMEOUT, default_value = "20s", value_parser = duration::parse)]
    shutdown_timeout: Duration,
    #[command(flatten)]
    files: Files,
    #[command(flatten)]
    history: HistoryFlags,
}

/// Runs the command, until a signal ends it.
///
/// # Errors
/// When files or settings are wrong, or the process cannot listen on the address; also later, once the database answers and a
/// file is refused.
pub(crate) async fn run(args: Args, databases: &Databases, started: Instant) -> Result<ExitCode> {
    let stop = Stop::listen(started, None)?;
    let catalog = args.files.load()?;
    let listener = listen::listen(args.listen).await.map_err(|error| deaf(args.listen, &error))?;
    let address = listener.local_addr().unwrap_or(args.listen);
    let watch = Arc::new(Watch::new(catalog, database(databases)?, args.history));
    info!("listening on http://{address}");
    let ended = tokio::select! {
        () = until_stopped(listener, routes::all(Arc::clone(&watch)), &stop, args.shutdown_timeout) => {
            Ok(ExitCode::Ok)
        }
        refusal = watch.refusal() => Err(refusal),
        never = watch.close_when_idle() => match never {},
    };
    watch.close().await;
    ended
}

/// The database to query; none where none is configured, which the readiness probe reports.
///
/// Never the embedded one: it serves one process at a time, and `corveil migrate` would find it in use.
fn database(databases: &Databases) -> Result<Option<Database>> {
    match databases.configured(Purpose::Read)? {
        Configured::Server { database, .. } => Ok(Some(database)),
        Configured::Embedded => {
            warn!("`{}` is not set; probes report that", env::DATABASE_URL);
            Ok(None)
        }
    }
}

/// Serves until the process is to stop, then finishes what is under way.
async fn until_stopped(listener: TcpListener, routes: Router, stop: &Stop, patience: Duration) {
    let stopped = {
        let stop = stop.clone();
        async move {
            let reason = stop.requested().await;
            info!("{}: no new connections, finishing the requests under way", reason.sentence());
        }
    };
    let overdue = async {
        stop.requested().await;
        tokio::time::sleep(patience).await;
    };
    tokio::select! {
        // It never fails: what goes wrong with one connection ends that one.
        _ = axum::serve(Door::new(listener), routes).with_graceful_shutdown(stopped).into_future() => {}
        () = overdue => warn!(
            "requests were still under way after {}; they are cut off",
            humantime::format_duration(patience)
        ),
    }
}

/// The error of an address on which the process cannot listen.
fn deaf(address: SocketAddr, error: &std::io::Error) -> Error {
    Error::config(
        format!("cannot listen on `{address}`: {error}"),
        match error.kind() {
            ErrorKind::AddrInUse => {
                format!(
                    "end the process that listens on port {}, or choose another with `--listen`",
                    address.port()
                )
            }
            ErrorKind::PermissionDenied => "choose a port above 1023 with `--listen`".into(),
            _ => "choose an address of this machine with `--listen`, such as `[::]:8000`".into(),
        },
    )
}

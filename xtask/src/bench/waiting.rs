//! Measures two hundred pods that wait for one run, on a server with twenty connections: their load, and when they start.

use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

use crate::bench::migrations::Folders;
use crate::bench::program::Program;
use crate::postgres::server::{self, Server};

/// The number of waiting pods.
const PODS: usize = 200;

/// The connections of the server; three of them are reserved for superusers.
const CONNECTIONS: &str = "max_connections=20";

/// The role that waits and migrates, and its password and database. It is no superuser.
const ROLE: &str = "waiter";

/// The time after which every pod has reached its longest pause.
const PAUSED: Duration = Duration::from_secs(15);

/// How long transactions are counted.
const COUNTED: Duration = Duration::from_secs(10);

/// How long a pod may take to start.
const GIVEN_UP: Duration = Duration::from_mins(1);

/// The results.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Figures {
    /// Transactions a second of all waiting pods together.
    pub(crate) transactions: f64,
    /// Seconds from the end of the run until the last pod has started.
    pub(crate) started: f64,
}

/// Starts the pods, runs the migration while they wait, and waits until all of them have started.
pub(crate) fn measure(program: &Program, folders: &Folders) -> anyhow::Result<Figures> {
    let server = Server::start_with(server::programs()?, "bench-waiting", &[CONNECTIONS])?;
    let create = format!("CREATE ROLE {ROLE} LOGIN PASSWORD '{ROLE}'");
    server.sql("postgres", &[&create, &format!("CREATE DATABASE {ROLE} OWNER {ROLE}")])?;
    let url = format!("postgres://{ROLE}:{ROLE}@127.0.0.1:{}/{ROLE}?sslmode=disable", server.port());
    let first = folders.first_version().to_string();
    succeed(program.migrate(folders, &url).args(["--target", &first]))?;

    let mut pods = Pods(Vec::new());
    for _ in 0..PODS {
        pods.0.push(silent(&mut program.wait(folders, &url)).spawn()?);
    }
    thread::sleep(PAUSED);
    let (before, begun) = (transactions(&server)?, Instant::now());
    thread::sleep(COUNTED);
    let (after, took) = (transactions(&server)?, begun.elapsed());

    succeed(&mut program.migrate(folders, &url))?;
    let migrated = Instant::now();
    pods.start(migrated + GIVEN_UP)?;
    Ok(Figures {
        transactions: (after - before) / took.as_secs_f64(),
        started: migrated.elapsed().as_secs_f64(),
    })
}

/// Waiting pods. Those that are left are killed at the end of the measurement.
struct Pods(Vec<Child>);

impl Pods {
    /// Waits until all have ended successfully.
    fn start(&mut self, deadline: Instant) -> anyhow::Result<()> {
        while let Some(pod) = self.0.last_mut() {
            match pod.try_wait()? {
                Some(status) => {
                    ensure!(status.success(), "a waiting pod ended with {status}");
                    self.0.pop();
                }
                None if Instant::now() > deadline => bail!("{} pods did not start", self.0.len()),
                None => thread::sleep(Duration::from_millis(10)),
            }
        }
        Ok(())
    }
}

impl Drop for Pods {
    fn drop(&mut self) {
        for pod in &mut self.0 {
            let _ = pod.kill();
            let _ = pod.wait();
        }
    }
}

fn transactions(server: &Server) -> anyhow::Result<f64> {
    let sql = format!("SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = '{ROLE}'");
    server.sql("postgres", &[&sql])?.parse().context("no number of transactions")
}

fn succeed(command: &mut Command) -> anyhow::Result<()> {
    let output = command.output()?;
    ensure!(output.status.success(), "{}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    Ok(())
}

fn silent(command: &mut Command) -> &mut Command {
    command.stdout(Stdio::null()).stderr(Stdio::null())
}

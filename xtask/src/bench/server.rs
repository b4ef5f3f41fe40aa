//! The bench's own PostgreSQL: default durability, a data folder of its own, gone when the bench ends.

use std::cmp::Reverse;
use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use std::{env, process};

use anyhow::{Context, bail, ensure};

/// The superuser of the server and its password. Only loopback reaches it.
const ROLE: &str = "bench";

/// A running server.
#[derive(Debug)]
pub(crate) struct Server {
    programs: PathBuf,
    folder: PathBuf,
    port: u16,
    process: Child,
}

impl Server {
    pub(crate) fn start() -> anyhow::Result<Self> {
        let programs = programs()?;
        let folder = env::temp_dir().join(format!("corveil-bench-{}", process::id()));
        fs::create_dir(&folder).with_context(|| format!("cannot create `{}`", folder.display()))?;
        let owner = owner(&folder)?;

        let password = folder.join("password");
        fs::write(&password, ROLE)?;
        let initdb = command(&programs.join("initdb"), &folder, owner)
            .args(["-U", ROLE, "-E", "UTF8", "--locale=C", "--auth-local=trust", "--auth-host=scram-sha-256"])
            .arg("--pwfile")
            .arg(&password)
            .arg("-D")
            .arg(folder.join("data"))
            .output()?;
        ensure!(initdb.status.success(), "initdb failed: {}", String::from_utf8_lossy(&initdb.stderr));

        // Nobody holds the port between this and the start, but nobody else is asked for one either.
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let log = File::create(folder.join("log"))?;
        let process = command(&programs.join("postgres"), &folder, owner)
            .arg("-D")
            .arg(folder.join("data"))
            .arg("-k")
            .arg(&folder)
            .args(["-c", "listen_addresses=127.0.0.1", "-p", &port.to_string()])
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        let mut server = Self { programs, folder, port, process };
        server.wait_until_ready()?;
        Ok(server)
    }

    fn wait_until_ready(&mut self) -> anyhow::Result<()> {
        let begun = Instant::now();
        while self.sql("postgres", &["SELECT 1"]).is_err() {
            let ended = self.process.try_wait()?.is_some();
            if ended || begun.elapsed() > Duration::from_mins(1) {
                bail!("PostgreSQL did not start: {}", fs::read_to_string(self.folder.join("log"))?);
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    /// A folder for what belongs to this run, on the same disk.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The address that every program is given.
    pub(crate) fn url(port: u16, database: &str) -> String {
        format!("postgres://{ROLE}:{ROLE}@127.0.0.1:{port}/{database}?sslmode=disable")
    }

    /// Runs each statement by itself and returns what they print.
    pub(crate) fn sql(&self, database: &str, statements: &[&str]) -> anyhow::Result<String> {
        let output = Command::new(self.programs.join("psql"))
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-U", ROLE, "-d", database])
            .arg("-h")
            .arg(&self.folder)
            .args(["-p", &self.port.to_string()])
            .args(statements.iter().flat_map(|statement| ["-c", statement]))
            .output()?;
        ensure!(output.status.success(), "psql: {}", String::from_utf8_lossy(&output.stderr).trim());
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    }

    /// A database that has seen one connection, so that nobody pays for filling its caches, and a checkpoint, so
    /// that nobody pays for what the one before wrote.
    pub(crate) fn create(&self, database: &str) -> anyhow::Result<()> {
        self.sql("postgres", &[&format!("CREATE DATABASE {database}")])?;
        self.sql(database, &["CHECKPOINT"])?;
        Ok(())
    }

    pub(crate) fn drop(&self, database: &str) -> anyhow::Result<()> {
        self.sql("postgres", &[&format!("DROP DATABASE {database} WITH (FORCE)")])?;
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The data is thrown away, so the quickest end is good enough.
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// The folder with `initdb`, `postgres` and the real psql. Debian's `/usr/bin/psql` is a Perl wrapper that takes
/// three times as long to start.
pub(crate) fn programs() -> anyhow::Result<PathBuf> {
    let mut majors: Vec<_> = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten().collect();
    majors.sort_by_key(|major| Reverse(major.file_name().to_string_lossy().parse::<u32>().unwrap_or(0)));
    let debian = majors.into_iter().map(|major| major.path().join("bin"));
    let path = env::var_os("PATH").unwrap_or_default();
    debian
        .chain(env::split_paths(&path))
        .find(|folder| ["initdb", "postgres", "psql"].iter().all(|name| folder.join(name).exists()))
        .context("no PostgreSQL server programs found\nhint: on Debian or Ubuntu, apt-get install postgresql")
}

/// PostgreSQL refuses to run as root, so there it runs as its own user.
fn owner(folder: &Path) -> anyhow::Result<(u32, u32)> {
    let ours = fs::metadata(folder)?;
    if ours.uid() != 0 {
        return Ok((ours.uid(), ours.gid()));
    }
    let passwd = fs::read_to_string("/etc/passwd")?;
    let mut fields = passwd.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let entry =
        fields.find(|entry| entry[0] == "postgres").context("there is no user `postgres` to run as")?;
    let (user, group) = (entry[2].parse()?, entry[3].parse()?);
    chown(folder, Some(user), Some(group))?;
    Ok((user, group))
}

fn command(program: &Path, folder: &Path, (user, group): (u32, u32)) -> Command {
    let mut command = Command::new(program);
    command.current_dir(folder).stdin(Stdio::null()).uid(user).gid(group);
    command
}

//! A PostgreSQL server for one task: it has default durability and a temporary data folder, and ends with the task.

use std::cmp::Reverse;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use std::{env, process};

use anyhow::{Context, bail, ensure};

/// The superuser of the server and its password. Only loopback reaches it.
const ROLE: &str = "corveil";

/// A running server.
#[derive(Debug)]
pub struct Server {
    programs: PathBuf,
    folder: PathBuf,
    port: u16,
    process: Child,
    /// A shell that cleans up once this process has closed the shell's standard input, even if it was killed.
    cleaner: Child,
}

/// Only this process keeps the shell waiting, so that a task that is interrupted leaves neither server nor data.
const CLEAN_UP: &str = r#"while read -r _; do :; done
server=$(head -n 1 "$1/data/postmaster.pid") && kill -QUIT "$server"
while kill -0 "$server"; do sleep 0.1; done
rm -rf "$1""#;

impl Server {
    /// Starts a server of these programs, for this task.
    pub fn start(programs: PathBuf, task: &str) -> anyhow::Result<Self> {
        Self::start_with(programs, task, &[])
    }

    /// The same with these settings.
    pub fn start_with(programs: PathBuf, task: &str, settings: &[&str]) -> anyhow::Result<Self> {
        let folder = env::temp_dir().join(format!("corveil-{task}-{}", process::id()));
        fs::create_dir(&folder).with_context(|| format!("cannot create `{}`", folder.display()))?;
        let owner = owner(&folder)?;
        let cleaner = Command::new("sh")
            .args(["-c", CLEAN_UP, "sh"])
            .arg(&folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // An interrupt from the task's terminal must not reach the server.
            .process_group(0)
            .spawn()?;
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

        // Nothing holds the port until the server starts, but no other program is expected to ask for it meanwhile.
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let log = File::create(folder.join("log"))?;
        let process = command(&programs.join("postgres"), &folder, owner)
            .arg("-D")
            .arg(folder.join("data"))
            .arg("-k")
            .arg(&folder)
            .args(["-c", "listen_addresses=127.0.0.1", "-p", &port.to_string()])
            .args(settings.iter().flat_map(|setting| ["-c", setting]))
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        let mut server = Self { programs, folder, port, process, cleaner };
        server.wait_until_ready()?;
        Ok(server)
    }

    fn wait_until_ready(&mut self) -> anyhow::Result<()> {
        let begun = Instant::now();
        while !self.asks_for_a_password() {
            let ended = self.process.try_wait()?.is_some();
            if ended || begun.elapsed() > Duration::from_mins(1) {
                bail!("PostgreSQL did not start: {}", fs::read_to_string(self.folder.join("log"))?);
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// Whether the server accepts connections. It is asked in the protocol itself, as not every package has a client.
    fn asks_for_a_password(&self) -> bool {
        let mut startup = b"\0\0\0\0\0\x03\0\0user\0corveil\0database\0postgres\0\0".to_vec();
        startup[3] = u8::try_from(startup.len()).expect("a short message");
        let mut answer = [0];
        let asked = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))
            .and_then(|mut stream| stream.write_all(&startup).and_then(|()| stream.read_exact(&mut answer)));
        asked.is_ok() && answer == *b"R"
    }

    pub const fn port(&self) -> u16 {
        self.port
    }

    /// A folder for other files of this run, on the same disk.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The URL that every program gets.
    pub fn url(port: u16, database: &str) -> String {
        format!("postgres://{ROLE}:{ROLE}@127.0.0.1:{port}/{database}?sslmode=disable")
    }

    /// Runs each statement by itself and returns what they print.
    pub fn sql(&self, database: &str, statements: &[&str]) -> anyhow::Result<String> {
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

    /// Creates a database and connects to it once, so that no measured program fills its caches. Then it runs a checkpoint,
    /// so that none flushes what the program before wrote.
    pub fn create(&self, database: &str) -> anyhow::Result<()> {
        self.sql("postgres", &[&format!("CREATE DATABASE {database}")])?;
        self.sql(database, &["CHECKPOINT"])?;
        Ok(())
    }

    pub fn drop(&self, database: &str) -> anyhow::Result<()> {
        self.sql("postgres", &[&format!("DROP DATABASE {database} WITH (FORCE)")])?;
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.cleaner.stdin.take());
        // The shell finds the server gone only after its parent has waited for it.
        let _ = self.process.wait();
        let _ = self.cleaner.wait();
    }
}

/// The folder with `initdb`, `postgres` and the real psql. Debian's `/usr/bin/psql` is a Perl wrapper that takes
/// three times as long to start.
pub fn programs() -> anyhow::Result<PathBuf> {
    let mut majors: Vec<_> = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten().collect();
    majors.sort_by_key(|major| Reverse(major.file_name().to_string_lossy().parse::<u32>().unwrap_or(0)));
    let debian = majors.into_iter().map(|major| major.path().join("bin"));
    let path = env::var_os("PATH").unwrap_or_default();
    debian
        .chain(env::split_paths(&path))
        .find(|folder| ["initdb", "postgres", "psql"].iter().all(|name| folder.join(name).exists()))
        .context("no PostgreSQL server programs found\nhint: on Debian or Ubuntu, apt-get install postgresql")
}

/// PostgreSQL refuses to run as root, so root starts it as the user `postgres`.
fn owner(folder: &Path) -> anyhow::Result<(u32, u32)> {
    let metadata = fs::metadata(folder)?;
    if metadata.uid() != 0 {
        return Ok((metadata.uid(), metadata.gid()));
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

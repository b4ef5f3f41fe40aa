//! Real PostgreSQL servers, started from the server programs and gone with the test process.

use std::fs::{OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::time::Duration;

use crate::support::authority::Identity;
use crate::support::lifeline::Lifeline;
use crate::support::programs::Programs;
use crate::support::{Url, account, port, wait_until};

/// The superuser's name, and also the name of the database that servers have from the start.
const SUPERUSER: &str = "postgres";
/// The password of every role: TCP connections are asked for it, so a wrong one is really wrong.
pub(crate) const PASSWORD: &str = "correcthorse";

/// What servers know of it ([SCRAM](https://www.rfc-editor.org/rfc/rfc5803)), hashed once and not 4096 times: in
/// unoptimised programs that would be most of what connecting takes.
pub(crate) const VERIFIER: &str = "SCRAM-SHA-256$1:YmF0dGVyeS1zdGFwbGUtMQ==\
    $ItaaqCBiiQ/IpqvnCe3i4OOco92YA4UEVjFh+tvKBUY=:Y9Z/bgs5MO9UklAweJ7Bb2jnu2kqBdiJUKWmE2MgesA=";

/// Speed where a crash of the machine, which no test has, is all that could be lost by it. `synchronous_commit` stays on:
/// what a crashed server had promised must be there afterwards.
const SETTINGS: &str = "
    fsync = off
    full_page_writes = off
    listen_addresses = '127.0.0.1, ::1'
    log_line_prefix = '%m [%p] %q%u@%d %a '
    max_connections = 200
    max_wal_size = 4GB
    shared_buffers = 64MB
    wal_level = replica
";

static SHARED: LazyLock<Server> = LazyLock::new(Server::new);

/// A running server.
pub(crate) struct Server {
    /// Holds the data folder, the socket and the log.
    home: PathBuf,
    port: u16,
    _lifeline: Lifeline,
}

impl Server {
    /// The server that all tests of this process share; no test may stop it.
    pub(crate) fn shared() -> &'static Self {
        // An unknown server is reported by every test, not only by the first one.
        Programs::server();
        &SHARED
    }

    /// A server for one test, to stop, start and crash.
    pub(crate) fn private() -> Self {
        Self::new()
    }

    /// A server for one test that takes connections with TLS too.
    pub(crate) fn with_tls(identity: &Identity) -> Self {
        let mut server = Self::made();
        let (certificate, key) = (server.data().join("server.crt"), server.data().join("server.key"));
        account::write(&certificate, &identity.certificate);
        account::write(&key, &identity.key);
        std::fs::set_permissions(&key, Permissions::from_mode(0o600)).expect("close the key");
        append(&server.data().join("postgresql.conf"), "ssl = on\n");
        server.start_somewhere();
        server
    }

    /// A server for one test that asks every client for a certificate of this authority too.
    pub(crate) fn with_client_certificates(identity: &Identity, authority: &str) -> Self {
        let server = Self::with_tls(identity);
        account::write(&server.data().join("clients.crt"), authority);
        account::write(
            &server.data().join("pg_hba.conf"),
            "local all all trust\nhostssl all all 127.0.0.1/32 scram-sha-256 clientcert=verify-ca\n",
        );
        append(&server.data().join("postgresql.conf"), "ssl_ca_file = 'clients.crt'\n");
        server.restart();
        server
    }

    /// A server for one test with these settings.
    pub(crate) fn with_settings(settings: &str) -> Self {
        let mut server = Self::made();
        append(&server.data().join("postgresql.conf"), settings);
        server.start_somewhere();
        server
    }

    /// A read-only copy of this private server that follows it. Stops the server for a moment: a copy of a cold data
    /// folder needs no `pg_basebackup`, which not every set of server programs has.
    pub(crate) async fn standby(&self) -> Self {
        self.stop();
        let mut standby = Self::unborn();
        run(account::command("cp").arg("-R").arg(self.data()).arg(standby.data()));
        self.start();

        account::write(&standby.data().join("standby.signal"), "");
        let primary = format!(
            "primary_conninfo = 'host={} port={} user={SUPERUSER}'\n",
            self.sockets().display(),
            self.port
        );
        append(&standby.data().join("postgresql.conf"), &primary);
        standby.start_somewhere();
        // `pg_ctl` is content with a standby that does not take connections yet.
        let url = standby.url(SUPERUSER);
        wait_until("the standby answers", Duration::from_secs(30), async || url.connect().await.is_ok())
            .await;
        standby
    }

    /// Ends the server in an orderly way; its clients get an error (57P01).
    pub(crate) fn stop(&self) {
        run(self.pg_ctl("stop").args(["-m", "fast"]));
    }

    /// Ends the server as a crash does: no clean-up, no checkpoint, recovery at the next start.
    pub(crate) fn crash(&self) {
        run(self.pg_ctl("stop").args(["-m", "immediate"]));
    }

    /// Starts the stopped server on the port it had, and waits until it takes connections.
    pub(crate) fn start(&self) {
        self.try_start().unwrap_or_else(|error| panic!("{error}"));
    }

    pub(crate) fn restart(&self) {
        self.stop();
        self.start();
    }

    /// The superuser's way into `database`.
    pub(crate) fn url(&self, database: &str) -> Url {
        Url {
            user: SUPERUSER.to_owned(),
            password: PASSWORD.to_owned(),
            port: self.port,
            database: database.to_owned(),
        }
    }

    /// The superuser's way into its own database, over the Unix socket and without a password.
    pub(crate) fn socket_url(&self) -> String {
        format!(
            "postgres:///{SUPERUSER}?host={}&port={}&user={SUPERUSER}",
            self.sockets().display(),
            self.port
        )
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The folder of its sockets.
    pub(crate) fn socket_folder(&self) -> String {
        self.sockets().display().to_string()
    }

    /// What the server wrote to its log so far.
    pub(crate) fn log(&self) -> String {
        std::fs::read(self.log_file())
            .map(|log| String::from_utf8_lossy(&log).into_owned())
            .unwrap_or_default()
    }

    fn new() -> Self {
        let mut server = Self::made();
        server.start_somewhere();
        server
    }

    /// A server that was never started.
    fn made() -> Self {
        let server = Self::unborn();
        let password = server.home.join("password");
        account::write(&password, VERIFIER);
        run(account::command(Programs::server().path("initdb"))
            .args(["--username", SUPERUSER, "--encoding=UTF8", "--locale=C", "--no-sync"])
            .args(["--auth-local=trust", "--auth-host=scram-sha-256"])
            .arg(format!("--pwfile={}", password.display()))
            .arg("--pgdata")
            .arg(server.data()));
        append(&server.data().join("postgresql.conf"), SETTINGS);
        server
    }

    /// A home that is cleaned up, whatever becomes of the server.
    fn unborn() -> Self {
        let home = account::folder();
        let pg_ctl = Programs::server().path("pg_ctl");
        let farewell = r#""$1" stop --silent -m immediate --pgdata "$2/data"; rm -rf "$2""#;
        let lifeline = Lifeline::hold(farewell, &[&pg_ctl, &home]);
        Self { home, port: 0, _lifeline: lifeline }
    }

    /// Starts on a free port; between the check and the start another process may take it.
    fn start_somewhere(&mut self) {
        let mut last = String::new();
        for _ in 0..5 {
            self.port = port::free();
            match self.try_start() {
                Ok(()) => return,
                Err(error) => last = error,
            }
        }
        panic!("{last}");
    }

    fn try_start(&self) -> Result<(), String> {
        let options = format!("-p {} -k '{}'", self.port, self.sockets().display());
        let mut command = self.pg_ctl("start");
        command.args(["--wait", "--options", &options, "--log"]).arg(self.log_file());
        attempt(&mut command).map_err(|error| format!("{error}\n{}", self.log()))
    }

    fn pg_ctl(&self, action: &str) -> Command {
        let mut command = account::command(Programs::server().path("pg_ctl"));
        command.args([action, "--silent", "--pgdata"]).arg(self.data());
        command
    }

    fn data(&self) -> PathBuf {
        self.home.join("data")
    }

    fn log_file(&self) -> PathBuf {
        self.home.join("log")
    }

    fn sockets(&self) -> &Path {
        &self.home
    }
}

fn append(path: &Path, text: &str) {
    let mut file = OpenOptions::new().append(true).open(path).expect("open the settings");
    file.write_all(text.as_bytes()).expect("write the settings");
}

fn run(command: &mut Command) {
    attempt(command).unwrap_or_else(|error| panic!("{error}"));
}

fn attempt(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    Err(format!("{command:?}: {}\n{out}{err}", output.status))
}

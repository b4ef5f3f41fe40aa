//! `PgBouncer`, the pooler that users run between their programs and PostgreSQL.

use std::fmt::Write;
use std::time::Duration;

use crate::support::lifeline::Lifeline;
use crate::support::programs::Programs;
use crate::support::server::PASSWORD;
use crate::support::{Database, Url, account, port, wait_until};

/// What a client keeps a server connection for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum PoolMode {
    /// For one transaction: consecutive statements may reach different servers, and session locks are stranded.
    Transaction,
    /// For as long as it is connected.
    Session,
}

/// A running pooler before one database.
pub(crate) struct PgBouncer {
    url: Url,
    _lifeline: Lifeline,
}

impl PgBouncer {
    /// Starts one that knows the superuser and every role that the database has so far.
    pub(crate) async fn before(database: &Database, mode: PoolMode) -> Self {
        let home = account::folder();
        let mut roles = database.roles();
        roles.push(database.url().user);
        let users = roles.iter().fold(String::new(), |mut users, role| {
            writeln!(users, "\"{role}\" \"{PASSWORD}\"").expect("write to a string");
            users
        });
        account::write(&home.join("users"), &users);

        let url = database.url().through(port::free());
        let settings = format!(
            "[databases]\n* = host=127.0.0.1 port={server}\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n\
             auth_type = scram-sha-256\nauth_file = {home}/users\npool_mode = {mode}\n\
             logfile = {home}/log\npidfile = {home}/pid\n",
            server = database.url().port,
            port = url.port,
            home = home.display(),
            mode = match mode {
                PoolMode::Transaction => "transaction",
                PoolMode::Session => "session",
            },
        );
        account::write(&home.join("settings"), &settings);

        let lifeline = Lifeline::hold(r#"kill "$(cat "$1/pid")"; rm -rf "$1""#, &[&home]);
        let output = account::command(Programs::pgbouncer())
            .args(["--quiet", "--daemon"])
            .arg(home.join("settings"))
            .output()
            .expect("start PgBouncer");
        assert!(output.status.success(), "PgBouncer: {}", String::from_utf8_lossy(&output.stderr));
        wait_until("PgBouncer answers", Duration::from_secs(20), async || url.connect().await.is_ok()).await;
        Self { url, _lifeline: lifeline }
    }

    /// The superuser's way through the pooler.
    pub(crate) fn url(&self) -> Url {
        self.url.clone()
    }
}

//! A connection URL as its parts, so that a test can make one part wrong.

use std::fmt;

use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::{AssertSqlSafe, ConnectOptions, PgConnection, Row};

/// Where to connect, over TCP on this machine. Change a part with `Url { password: "wrong".into(), ..db.url() }`.
#[derive(Clone, Debug)]
pub(crate) struct Url {
    /// The role.
    pub(crate) user: String,
    /// Letters and digits: parts are put into the URL as they are.
    pub(crate) password: String,
    /// Of the server, or of a proxy or pooler before it.
    pub(crate) port: u16,
    /// The database.
    pub(crate) database: String,
}

impl Url {
    /// The same through another port: a proxy's, a pooler's or a standby's.
    pub(crate) fn through(self, port: u16) -> Self {
        Self { port, ..self }
    }

    /// A connection that also passes `PgBouncer`, which refuses `extra_float_digits`.
    pub(crate) async fn connect(&self) -> sqlx::Result<PgConnection> {
        PgConnectOptions::new_without_pgpass()
            .host("127.0.0.1")
            .port(self.port)
            .username(&self.user)
            .password(&self.password)
            .database(&self.database)
            .ssl_mode(PgSslMode::Disable)
            .extra_float_digits(None)
            .application_name("it")
            .connect()
            .await
    }

    /// The value of a setting in a new session.
    pub(crate) async fn setting(&self, name: &str) -> String {
        let mut session = self.connect().await.unwrap();
        let row = sqlx::raw_sql(AssertSqlSafe(format!("SHOW {name}"))).fetch_one(&mut session).await.unwrap();
        row.get(0)
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { user, password, port, database } = self;
        write!(f, "postgres://{user}:{password}@127.0.0.1:{port}/{database}")
    }
}

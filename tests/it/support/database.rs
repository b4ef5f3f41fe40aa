//! A database for one test, and short ways to read from it.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sqlx::postgres::Postgres;
use sqlx::{AssertSqlSafe, Connection, Decode, PgConnection, Row, Type};

use crate::support::server::{Server, VERIFIER};
use crate::support::{Url, settings};

/// Names databases and roles. Every process has its own server, so they need to differ within this one only.
static NEXT: AtomicUsize = AtomicUsize::new(1);

/// A test's database, dropped with it.
pub(crate) struct Database {
    /// The superuser's way to the server's first database, from where this one is dropped.
    maintenance: Url,
    name: String,
    roles: Mutex<Vec<String>>,
}

impl Database {
    /// An empty database on the shared server.
    pub(crate) async fn fresh() -> Self {
        Self::on(Server::shared()).await
    }

    /// An empty database on a private server.
    pub(crate) async fn on(server: &Server) -> Self {
        let name = format!("it_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let maintenance = server.url("postgres");
        execute(&maintenance, &format!("CREATE DATABASE {name} TEMPLATE template0")).await;
        execute(&maintenance, &settings::everywhere(&name)).await;
        Self { maintenance, name, roles: Mutex::default() }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The owner's way in, a superuser.
    pub(crate) fn url(&self) -> Url {
        Url { database: self.name.clone(), ..self.maintenance.clone() }
    }

    /// The way in of a role made by [`Self::create_role`].
    pub(crate) fn url_as(&self, role: &str) -> Url {
        Url { user: role.to_owned(), ..self.url() }
    }

    /// Makes a role that can log in, `attributes` as in `CREATE ROLE`, and answers its name: roles are the whole server's,
    /// so a fixed name would collide with other tests.
    pub(crate) async fn create_role(&self, attributes: &str) -> String {
        let role = format!("{}_role_{}", self.name, NEXT.fetch_add(1, Ordering::Relaxed));
        self.execute(&format!("CREATE ROLE {role} LOGIN PASSWORD '{VERIFIER}' {attributes}")).await;
        self.roles.lock().unwrap().push(role.clone());
        role
    }

    /// The roles made so far.
    pub(crate) fn roles(&self) -> Vec<String> {
        self.roles.lock().unwrap().clone()
    }

    pub(crate) async fn connect(&self) -> PgConnection {
        connect(&self.url()).await
    }

    /// Runs statements on a new connection, as one simple query.
    pub(crate) async fn execute(&self, sql: &str) {
        execute(&self.url(), sql).await;
    }

    /// The first column of the only row.
    pub(crate) async fn value<T>(&self, sql: &str) -> T
    where
        T: for<'r> Decode<'r, Postgres> + Type<Postgres>,
    {
        let mut values = self.values(sql).await;
        assert_eq!(values.len(), 1, "rows of {sql}");
        values.remove(0)
    }

    /// The first column of every row.
    pub(crate) async fn values<T>(&self, sql: &str) -> Vec<T>
    where
        T: for<'r> Decode<'r, Postgres> + Type<Postgres>,
    {
        let mut connection = self.connect().await;
        let rows = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(&mut connection).await;
        let rows = rows.unwrap_or_else(|error| panic!("{error}, in {sql}"));
        let _ = connection.close().await;
        rows.iter().map(|row| row.get(0)).collect()
    }
}

impl Drop for Database {
    /// As good as it goes: the server is removed at the end anyway, and may be down by now.
    fn drop(&mut self) {
        let (url, name, roles) = (self.maintenance.clone(), self.name.clone(), self.roles());
        let clean_up = async move {
            let mut connection = url.connect().await?;
            let drop_database = format!("DROP DATABASE {name} WITH (FORCE)");
            sqlx::raw_sql(AssertSqlSafe(drop_database)).execute(&mut connection).await?;
            for role in roles {
                sqlx::raw_sql(AssertSqlSafe(format!("DROP ROLE {role}"))).execute(&mut connection).await?;
            }
            connection.close().await
        };
        // A thread, because the test's own runtime cannot be entered a second time from within it.
        let thread = std::thread::spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime
                .block_on(async { tokio::time::timeout(Duration::from_secs(10), clean_up).await })?
                .map_err(std::io::Error::other)
        });
        let _ = thread.join();
    }
}

async fn connect(url: &Url) -> PgConnection {
    let connection = url.connect().await;
    let mut connection = connection.unwrap_or_else(|error| panic!("connect to {}: {error}", url.database));
    if let Some(sql) = settings::usual() {
        sqlx::raw_sql(sql).execute(&mut connection).await.expect("the usual settings");
    }
    connection
}

async fn execute(url: &Url, sql: &str) {
    if sql.is_empty() {
        return;
    }
    let mut connection = connect(url).await;
    sqlx::raw_sql(AssertSqlSafe(sql))
        .execute(&mut connection)
        .await
        .unwrap_or_else(|error| panic!("{error}, in {sql}"));
    let _ = connection.close().await;
}

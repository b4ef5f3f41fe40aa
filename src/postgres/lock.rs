//! The migration lock: sqlx's own advisory lock, so that corveil and sqlx exclude each other.
//!
//! It is polled for, never waited for: a session that is blocked in `pg_advisory_lock` holds a snapshot, for which the
//! lock holder's CREATE INDEX CONCURRENTLY waits, until PostgreSQL calls it a deadlock.

use std::time::Duration;

use sqlx::Row as _;
use sqlx::postgres::{PgConnection, PgRow};
use tokio::task::JoinHandle;
use tracing::{debug, info, warn};

use crate::config::database::Database;
use crate::core::batch::durable;
use crate::core::progress::LOG_EVERY;
use crate::error::{Error, Result, ServerError};
use crate::postgres::connect::Patience;
use crate::postgres::control::{Control, SESSION_LINE};
use crate::postgres::limits;
use crate::postgres::query::{self, get};
use crate::postgres::state::ServerState;
use crate::stop::Stop;

/// sqlx multiplies the CRC-32 of the database's name by this (`sqlx-postgres` 0.9, `migrate.rs`, `generate_lock_id`).
const SQLX_FACTOR: i64 = 0x3d32_ad9e;

/// How long a second connection is tried for.
const SECOND_CONNECTION: Duration = Duration::from_secs(10);

/// How often the run tries to release a lock that was taken through a pooler.
const UNLOCK_TRIES: u32 = 100;

/// First and longest pause between two attempts.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// The lock's key in a database.
pub fn key(database: &str) -> i64 {
    SQLX_FACTOR.wrapping_mul(i64::from(crc32fast::hash(database.as_bytes())))
}

/// `pg_locks` shows the upper half of a key as `classid`, the lower as `objid`; `objsubid` 1 means that it is one number.
fn in_pg_locks(key: i64) -> String {
    let bits = key.cast_unsigned();
    format!(
        "l.locktype = 'advisory' AND l.granted AND l.classid = {} AND l.objid = {} AND l.objsubid = 1",
        bits >> 32,
        bits & 0xffff_ffff
    )
}

/// Selects the backends that hold the lock of a database; the column is `pid`.
pub fn lock_holders_sql(database: &str) -> String {
    format!(
        "SELECT l.pid FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_database d ON d.oid = l.database \
         WHERE d.datname = pg_catalog.current_database() AND {}",
        in_pg_locks(key(database))
    )
}

/// Whether any session holds the lock of a database.
pub(crate) async fn is_taken(connection: &mut PgConnection, database: &str) -> Result<bool> {
    let sql = format!("SELECT EXISTS ({})", lock_holders_sql(database));
    get(&query::one(connection, "reading who holds the migration lock", sql).await?, 0)
}

/// A session that holds the migration lock. Whatever applies a file asks for one.
#[derive(Debug)]
pub(crate) struct LockGuard {
    pub(crate) connection: PgConnection,
    /// Its second connection; none where the server accepts only one.
    pub(crate) control: Option<Control>,
    pub(crate) server: ServerState,
    /// The SELECT that gives the session its settings; its last two columns show whether the lock is still held.
    pub(crate) configure_session: String,
    key: i64,
    /// Ends what the session is doing when the run is to stop.
    _ending: Option<Ending>,
}

impl LockGuard {
    /// Takes the lock, waiting as long as `wait` for another session to release it.
    pub(crate) async fn acquire(
        database: &Database,
        mut connection: PgConnection,
        server: ServerState,
        wait: Duration,
        stop: &Stop,
    ) -> Result<Self> {
        let key = key(&server.database);
        let control = (!database.is_single_connection()).then(|| Control::new(database.where_it_answered()));
        if let Some(control) = &control
            && second_backend(&mut connection, control, database, stop).await? == server.backend
        {
            return Err(Error::Pooler { database: database.to_string() });
        }
        let ending = control.clone().map(|control| Ending::of(control, server.backend, stop.clone()));
        let taken_by = take(&mut connection, control.is_some(), key, &server, wait, stop).await;
        let mut guard =
            Self { connection, control, configure_session: String::new(), server, key, _ending: ending };
        let taken_by = match taken_by {
            Ok(backend) => backend,
            Err(error) => {
                // The server may have given the lock, and its answer was lost.
                if let Error::Server { source, .. } = &error {
                    guard.lose(source).await;
                }
                return Err(error);
            }
        };
        if taken_by != guard.server.backend || guard.is_pooled().await? || !guard.configure().await? {
            guard.unlock_through_pooler().await?;
            return Err(Error::Pooler { database: database.to_string() });
        }
        Ok(guard)
    }

    /// A pooler in transaction mode hands the same server connection to the next client, with Corveil's lock on it.
    ///
    /// On an idle one the second connection gets the first one's backend; on a busy one the first one's changes. Both
    /// are asked again with the lock in hand.
    async fn is_pooled(&mut self) -> Result<bool> {
        let Some(control) = &self.control else { return Ok(false) };
        let second = control.backend().await;
        let sql = "SELECT pg_catalog.pg_backend_pid()".to_owned();
        let first: i32 = get(&query::one(&mut self.connection, "checking the connection", sql).await?, 0)?;
        Ok(second == Some(first) || first != self.server.backend)
    }

    /// Releases a lock that was taken through a pooler. The unlock reaches a backend of the pooler's choice, so it is
    /// repeated until it reaches the right one.
    async fn unlock_through_pooler(&mut self) -> Result<()> {
        for _ in 0..UNLOCK_TRIES {
            let row = query::one(&mut self.connection, "releasing the lock", unlock_sql(self.key)).await?;
            if get::<bool>(&row, 0)? {
                return Ok(());
            }
            tokio::time::sleep(PAUSES.0.mul_f64(fastrand::f64())).await;
        }
        warn!("the migration lock stays taken until the pooler closes the server connection that holds it");
        Ok(())
    }

    /// Gives the session the settings of a migrating one.
    ///
    /// `client_connection_check_interval` lets the server notice within a second that Corveil was killed, where its
    /// platform can (PostgreSQL 14); keepalives detect a machine that vanished; the timeouts that end idle sessions
    /// would lose the lock. RESET ALL between files undoes them, so they are set after each file again. False when the
    /// lock is not the session's, on a pooler so busy that no other check has noticed.
    async fn configure(&mut self) -> Result<bool> {
        // From here on the lock is held twice, so that releasing it once and taking it again shows whether it was held,
        // while it stays held. Reading pg_locks would cost each file a join.
        if try_lock(&mut self.connection, "", self.key).await?.is_none() {
            return Ok(false);
        }
        let key = self.key;
        let held = format!("pg_catalog.pg_advisory_unlock({key}), pg_catalog.pg_try_advisory_lock({key})");
        let settings = self.settings().await;
        self.configure_session = format!("SELECT {settings}{held};");
        let row = query::one(&mut self.connection, "configuring the session", self.configure_session.clone())
            .await?;
        is_held(Some(&row))
    }

    /// The settings of a migrating session, as the beginning of a list of expressions.
    async fn settings(&mut self) -> String {
        if self.control.is_none() {
            // A server with a single connection has no network, no other role that could end the session, and knows few settings.
            return String::new();
        }
        let mut settings = NETWORK.to_vec();
        settings.extend([
            ("idle_in_transaction_session_timeout", "0"),
            ("idle_session_timeout", "0"),
            // A role or database may have it to protect users from writing to the primary by mistake; a standby stays read-only.
            ("default_transaction_read_only", "off"),
            // It would end the session, and with it the lock, at a statement that fails.
            ("exit_on_error", "off"),
        ]);
        let check = "SET client_connection_check_interval = 1000";
        if query::all(&mut self.connection, "configuring the session", check.into()).await.is_ok() {
            settings.push(("client_connection_check_interval", "1000"));
        }
        if self.server.version >= 170_000 {
            settings.push(("transaction_timeout", "0"));
        }
        format!("{}{}, ", set(&settings), durable(false))
    }

    /// Releases the lock and ends both connections.
    pub(crate) async fn release(mut self) {
        match query::all(&mut self.connection, "releasing the lock", unlock_sql(self.key)).await {
            Ok(_) => query::close(self.connection).await,
            Err(error) => {
                debug!("{error}");
                return self.abandon().await;
            }
        }
        if let Some(control) = self.control {
            control.close().await;
        }
    }

    /// Gives up a session whose connection is lost. Of one that broke the server knows too, and its COMMIT may still succeed;
    /// one that does not answer is ended, or it would keep the lock until it notices that its client is gone.
    pub(crate) async fn lose(self, error: &ServerError) {
        if error.is_silence() {
            self.abandon().await;
        }
    }

    /// Ends the session from outside, and so the lock.
    async fn abandon(self) {
        drop(self.connection);
        if let Some(control) = self.control {
            control.terminate(self.server.backend).await;
            control.close().await;
        }
    }
}

/// Ends what a session is doing when the run is to stop, whatever it is: a COMMIT that waits for a synchronous standby
/// heeds neither timeouts nor the loss of its client. What [`crate::postgres::apply`] sends is cancelled there at once.
#[derive(Debug)]
struct Ending(JoinHandle<()>);

impl Ending {
    /// How long an orderly end may take before it is cancelled, and how often it is.
    const PATIENCE: Duration = Duration::from_millis(1500);
    const EVERY: Duration = Duration::from_millis(750);
    const CANCELS: u32 = 3;

    fn of(control: Control, backend: i32, stop: Stop) -> Self {
        Self(tokio::spawn(async move {
            stop.requested().await;
            tokio::time::sleep(Self::PATIENCE).await;
            for _ in 0..Self::CANCELS {
                control.cancel(backend).await;
                tokio::time::sleep(Self::EVERY).await;
            }
            control.terminate(backend).await;
        }))
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Settings with which the server notices that Corveil's machine has vanished: keepalives while it waits for Corveil, the user
/// timeout (milliseconds) while sent data are not acknowledged.
const NETWORK: [(&str, &str); 4] = [
    ("tcp_keepalives_idle", "30"),
    ("tcp_keepalives_interval", "10"),
    ("tcp_keepalives_count", "3"),
    ("tcp_user_timeout", "20000"),
];

/// Settings of the session, as the beginning of a list of expressions.
fn set(settings: &[(&str, &str)]) -> String {
    let set = |(name, value): &(&str, &str)| format!("pg_catalog.set_config('{name}', '{value}', false), ");
    settings.iter().map(set).collect::<Vec<_>>().concat()
}

/// Waits for the lock; returns the backend that has it.
async fn take(
    connection: &mut PgConnection,
    over_network: bool,
    key: i64,
    server: &ServerState,
    wait: Duration,
    stop: &Stop,
) -> Result<i32> {
    // From the moment when the session has the lock.
    let settings = if over_network { set(&NETWORK) } else { String::new() };
    let mut patience = Patience::new(wait);
    loop {
        if let Some(backend) = try_lock(connection, &settings, key).await? {
            debug!(waited_ms = patience.elapsed().as_millis(), "lock obtained");
            return Ok(backend);
        }
        let holder = holder(connection, &server.database).await?;
        if patience.should_log(LOG_EVERY) {
            info!("waiting for the migration lock: {holder}");
        }
        if !patience.pause(PAUSES.0, PAUSES.1, stop).await? {
            return Err(Error::LockNotObtained { waited: wait, holder });
        }
    }
}

/// The backend of the second connection, which a run needs: it detects a pooler, cancels, and reads which sessions block.
async fn second_backend(
    first: &mut PgConnection,
    control: &Control,
    database: &Database,
    stop: &Stop,
) -> Result<i32> {
    let mut patience = Patience::new(SECOND_CONNECTION);
    loop {
        if let Some(backend) = control.backend().await {
            return Ok(backend);
        }
        if let Some(error) = limits::too_low_for_two(first).await? {
            return Err(error);
        }
        if !patience.pause(PAUSES.0, PAUSES.1, stop).await? {
            return Err(Error::Unreachable {
                database: database.to_string(),
                waited: SECOND_CONNECTION,
                reason: format!(
                    "a run needs a second connection, to cancel with: {}",
                    control.problem().await
                ),
                refused: false,
            });
        }
    }
}

/// Whether the lock is still held, from the answer to [`LockGuard::configure_session`].
///
/// # Errors
/// [`Error::Server`] when the answer is not of that shape.
pub(crate) fn is_held(row: Option<&PgRow>) -> Result<bool> {
    let Some(row) = row else { return Ok(false) };
    let last = row.len() - 1;
    Ok(get(row, last - 1)? && get(row, last)?)
}

/// Takes the lock if it is free, after the settings, and returns which backend has it then.
async fn try_lock(connection: &mut PgConnection, settings: &str, key: i64) -> Result<Option<i32>> {
    let sql = format!(
        "SELECT {settings}CASE WHEN pg_catalog.pg_try_advisory_lock({key}) THEN pg_catalog.pg_backend_pid() END"
    );
    let row = query::one(connection, "taking the migration lock", sql).await?;
    get(&row, row.len() - 1)
}

/// Releases the lock twice, as a configured session holds it twice; the server only warns of one too many. The first
/// column shows whether this backend held it. LOCAL, as behind a pooler the session is another client's next.
fn unlock_sql(key: i64) -> String {
    format!(
        "SET LOCAL client_min_messages = error; \
         SELECT pg_catalog.pg_advisory_unlock({key}), pg_catalog.pg_advisory_unlock({key})"
    )
}

/// Who holds the lock, as one line.
async fn holder(connection: &mut PgConnection, database: &str) -> Result<String> {
    let sql = format!(
        "SELECT {SESSION_LINE} FROM pg_catalog.pg_stat_activity a WHERE a.pid IN ({})",
        lock_holders_sql(database)
    );
    let rows = query::last(connection, "reading who holds the migration lock", sql).await?;
    match rows.first() {
        Some(row) => Ok(format!("it is held by {}", get::<String>(row, 0)?)),
        None => Ok("it was released a moment ago".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_sqlx_s() {
        // python3 -c 'import zlib; print(0x3d32ad9e * zlib.crc32(b"postgres"))'
        assert_eq!(key("postgres"), 368_907_709_894_077_238);
    }
}

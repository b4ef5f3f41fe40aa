//! Connects, and waits for a server that is not there yet.

use std::time::{Duration, Instant};

use sqlx::postgres::PgConnection;
use tokio::task::JoinHandle;
use tracing::info;

use crate::config::database::{Database, application_name};
use crate::core::retry;
use crate::error::{Error, Result, ServerError, sqlstate};
use crate::postgres::history_lock;
use crate::postgres::hosts;
use crate::postgres::query;
use crate::postgres::state::{self, DatabaseState, Scope};
use crate::postgres::unusable::Unusable;
use crate::stop::Stop;

/// How long one attempt may take: a packet filter that swallows packets must not eat the whole patience.
const ATTEMPT: Duration = Duration::from_secs(10);

/// How often a waiting run logs what it waits for.
pub(crate) const LOG_EVERY: Duration = Duration::from_secs(5);

/// Connects once.
///
/// # Errors
/// Why not, and whether it may pass.
pub(crate) async fn once(
    database: &Database,
    application_name: &str,
    patience: Duration,
) -> Result<PgConnection, Unusable> {
    hosts::connect(database, application_name, patience.min(ATTEMPT)).await
}

/// A wait that logs what it waits for, backs off, and ends at its limit or when the run is to stop.
#[derive(Debug)]
pub(crate) struct Patience {
    start: Instant,
    limit: Duration,
    tries: u32,
    logged: Option<Instant>,
}

impl Patience {
    /// Starts a wait of at most `limit`.
    pub(crate) fn new(limit: Duration) -> Self {
        Self { start: Instant::now(), limit, tries: 0, logged: None }
    }

    /// What is left of it.
    pub(crate) fn left(&self) -> Duration {
        self.limit.saturating_sub(self.start.elapsed())
    }

    /// How long it has lasted.
    pub(crate) fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// Whether it is time to log again what is waited for.
    pub(crate) fn should_log(&mut self, every: Duration) -> bool {
        let due = self.logged.is_none_or(|logged| logged.elapsed() >= every);
        if due {
            self.logged = Some(Instant::now());
        }
        due
    }

    /// Sleeps before the next try: from `first`, doubled each time, to `longest`, jittered. False when the time is up.
    pub(crate) async fn pause(&mut self, first: Duration, longest: Duration, stop: &Stop) -> Result<bool> {
        let pause = retry::exponential(first, longest, self.tries, fastrand::f64()).min(self.left());
        if pause.is_zero() {
            return Ok(false);
        }
        self.tries += 1;
        stop.sleep(pause).await?;
        Ok(true)
    }
}

/// Whether a read-only standby will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standby {
    /// It answers as well as any.
    Fine,
    /// A migration needs the primary; after a failover the standby may become it.
    Useless,
}

/// A first attempt that was begun before it is known what is to be read.
pub(crate) type Begun = JoinHandle<(Database, Result<PgConnection, Unusable>)>;

/// Begins to connect. To be called on the runtime.
pub(crate) fn begin(database: Database) -> Begun {
    tokio::spawn(async move {
        let attempt = once(&database, &application_name(None), ATTEMPT).await;
        (database, attempt)
    })
}

/// What came of the attempt that was begun, if one was; otherwise of a new one.
async fn attempt(
    begun: &mut Option<Begun>,
    database: &Database,
    name: &str,
    limit: Duration,
) -> Result<PgConnection, Unusable> {
    match begun.take() {
        Some(begun) => match begun.await {
            Ok((there, attempt)) => {
                database.answered_as(&there);
                attempt
            }
            Err(_) => once(database, name, limit).await,
        },
        None => once(database, name, limit).await,
    }
}

/// Connects and reads everything, trying again for as long as `wait` while the server is absent, starting, full,
/// refusing the connection, or a standby that is not acceptable.
pub(crate) async fn connect_and_read(
    database: &Database,
    scope: Scope<'_>,
    standby: Standby,
    wait: Duration,
    stop: &Stop,
) -> Result<(PgConnection, DatabaseState)> {
    connect_on_and_read(None, database, scope, standby, wait, stop).await
}

/// The same with a first attempt that may have been begun.
pub(crate) async fn connect_on_and_read(
    mut begun: Option<Begun>,
    database: &Database,
    scope: Scope<'_>,
    standby: Standby,
    wait: Duration,
    stop: &Stop,
) -> Result<(PgConnection, DatabaseState)> {
    let mut patience = Patience::new(wait);
    let name = application_name(None);
    loop {
        // The first attempt is made whatever the patience: `--wait-for-db 0s` means once.
        let limit = patience.left().max(Duration::from_secs(1));
        let unusable = tokio::select! {
            attempt = attempt(&mut begun, database, &name, limit) => match attempt {
                Ok(mut connection) => match state::read(&mut connection, scope).await {
                    Ok(state) if state.server.standby && standby == Standby::Useless => {
                        Unusable::passing("the server is a read-only standby".into())
                    }
                    Ok(state) => return Ok((connection, state)),
                    Err(Error::Server { source, .. }) if source.may_pass() => {
                        let reason = reason(&mut connection, &source).await;
                        query::close(connection).await;
                        Unusable::passing(reason)
                    }
                    Err(error) => return Err(error),
                },
                Err(unusable) => unusable,
            },
            reason = stop.requested() => return Err(reason.error("while connecting")),
        };
        wait_on(database, unusable, &mut patience, stop).await?;
    }
}

/// Why the database could not be read for now.
async fn reason(connection: &mut PgConnection, error: &ServerError) -> String {
    match error.sqlstate.as_deref() {
        Some(sqlstate::LOCK_NOT_AVAILABLE) => {
            history_lock::reason(connection).await.unwrap_or_else(|_| error.to_string())
        }
        _ => error.to_string(),
    }
}

/// Waits before the next attempt on a database that could not be used.
async fn wait_on(
    database: &Database,
    unusable: Unusable,
    patience: &mut Patience,
    stop: &Stop,
) -> Result<()> {
    if unusable.permanent.is_some() {
        return Err(unusable.after(database, patience.limit));
    }
    if patience.should_log(LOG_EVERY) {
        info!("waiting for {database}: {}", unusable.reason);
    }
    if patience.pause(Duration::from_millis(100), Duration::from_secs(2), stop).await? {
        return Ok(());
    }
    Err(unusable.after(database, patience.limit))
}

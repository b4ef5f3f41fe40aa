//! Checks the database for probes: one connection for all of them, and checks that are shared, short and few.
//!
//! A pod that is ready keeps its connection as long as probes come: where the server is full, a new one would be refused, and
//! the pod would lose its traffic for that. A pod that is not ready closes it after each check: many of them may wait for
//! a run that needs two.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use sqlx::Connection;
use sqlx::postgres::PgConnection;
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::time::timeout;
use tracing::{info, warn};

use crate::config::database::{Database, application_name};
use crate::config::env;
use crate::config::flags::HistoryFlags;
use crate::core::catalog::Catalog;
use crate::core::history::History;
use crate::core::requirement::{self, Why};
use crate::core::two_ways;
use crate::error::{Error, Finding};
use crate::postgres::connect;
use crate::postgres::glance;
use crate::postgres::runs::Run;
use crate::postgres::unusable::Unusable;

/// How long a good answer is reused.
const GOOD_FOR: Duration = Duration::from_secs(1);

/// How long the connection is held when no probe comes: longer than the ten seconds between two of Kubernetes.
const IDLE: Duration = Duration::from_secs(15);

/// How long the connection that is held may take to answer: a firewall that forgot it swallows packets in silence.
const HELD: Duration = Duration::from_secs(1);

/// How long a new connection may take, from the first packet to the answer. A probe gives up after five seconds.
const NEW: Duration = Duration::from_millis(2500);

/// How much of that logging in may take.
const LOG_IN: Duration = Duration::from_secs(2);

/// Watches whether the schema is as this build requires.
pub(crate) struct Watch {
    catalog: Catalog,
    database: Option<Database>,
    history: HistoryFlags,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    connection: Option<PgConnection>,
    last: Option<(Instant, Arc<Evidence>)>,
}

impl State {
    async fn close_connection(&mut self) {
        if let Some(connection) = self.connection.take() {
            let _ = timeout(HELD, connection.close()).await;
        }
    }
}

#[derive(Debug)]
pub(crate) struct Evidence {
    /// The newest version that this build requires.
    pub(crate) required: Option<i64>,
    /// The schema, or why the database does not answer.
    pub(crate) schema: Result<Schema, Silence>,
}

#[derive(Debug)]
pub(crate) struct Schema {
    pub(crate) version: Option<i64>,
    /// What this build requires and the schema lacks.
    pub(crate) missing: Vec<Missing>,
    /// The same as a sentence; none when nothing is missing.
    pub(crate) sentence: Option<String>,
    /// The last run that had something to do.
    pub(crate) last_run: Option<Run>,
    /// Files that no run applies as they are.
    pub(crate) refused: Vec<Finding>,
}

/// A migration that is not applied as it is here.
#[derive(Debug, Serialize)]
pub(crate) struct Missing {
    version: i64,
    file: String,
    state: Why,
}

/// Why the database does not answer.
#[derive(Debug)]
pub(crate) struct Silence {
    /// For HTTP clients: it names no host, user or database.
    public: String,
    private: String,
}

impl Evidence {
    /// Why the schema is not as this build requires; none when it is.
    pub(crate) fn obstacle(&self) -> Option<&str> {
        match &self.schema {
            Ok(schema) => schema.sentence.as_deref(),
            Err(silence) => Some(&silence.public),
        }
    }

    /// The same for the log.
    fn logged(&self) -> Option<&str> {
        match &self.schema {
            Ok(schema) => schema.sentence.as_deref(),
            Err(silence) => Some(&silence.private),
        }
    }
}

impl Watch {
    pub(crate) fn new(catalog: Catalog, database: Option<Database>, history: HistoryFlags) -> Self {
        Self { catalog, database, history, state: Arc::default() }
    }

    /// Checks, or shares a check: one that ends while this call waits for its turn, or a recent good one.
    pub(crate) async fn check(self: &Arc<Self>) -> Arc<Evidence> {
        let asked = Instant::now();
        let state = Arc::clone(&self.state).lock_owned().await;
        if let Some((at, seen)) = &state.last
            && (*at >= asked || (seen.obstacle().is_none() && at.elapsed() < GOOD_FOR))
        {
            return Arc::clone(seen);
        }
        // A separate task: a prober that hangs up must not cancel a check that others wait for.
        let check = tokio::spawn(Arc::clone(self).check_now(state));
        check.await.unwrap_or_else(|_| Arc::new(self.seen(Err(Silence::of("the check was cancelled")))))
    }

    /// Why this build can never be ready, once the database shows it; never resolves otherwise.
    pub(crate) async fn refusal(self: &Arc<Self>) -> Error {
        let may_be_refused = two_ways::refuse(&self.catalog, &History::default()).is_err();
        while may_be_refused && self.database.is_some() {
            match &self.check().await.schema {
                Ok(schema) if schema.refused.is_empty() => break,
                Ok(schema) => return Error::Refused(schema.refused.clone()),
                Err(_) => tokio::time::sleep(GOOD_FOR).await,
            }
        }
        std::future::pending().await
    }

    /// Closes the connection. The next check opens another one.
    pub(crate) async fn close(&self) {
        if let Ok(mut state) = timeout(HELD, self.state.lock()).await {
            state.close_connection().await;
        }
    }

    /// Closes the connection whenever no probe has come for a while. Never returns.
    pub(crate) async fn close_when_idle(&self) -> Infallible {
        loop {
            tokio::time::sleep(IDLE / 3).await;
            let mut state = self.state.lock().await;
            if state.last.as_ref().is_some_and(|(at, _)| at.elapsed() >= IDLE) {
                state.close_connection().await;
            }
        }
    }

    async fn check_now(self: Arc<Self>, mut state: OwnedMutexGuard<State>) -> Arc<Evidence> {
        let schema = match &self.database {
            Some(database) => self.ask(database, &mut state.connection).await,
            None => Err(Silence::of(&format!("no database is configured: set `{}`", env::DATABASE_URL))),
        };
        let seen = Arc::new(self.seen(schema));
        if seen.obstacle().is_some() {
            state.close_connection().await;
        }
        let before = state.last.replace((Instant::now(), Arc::clone(&seen)));
        if before.is_none_or(|(_, before)| before.logged() != seen.logged()) {
            if let Some(obstacle) = seen.logged() {
                warn!("not ready: {obstacle}");
            } else {
                info!("ready: every migration of this build is applied");
            }
        }
        seen
    }

    /// Asks on the connection that is held, and on a new one when that one is lost or silent.
    ///
    /// The connection is taken out while it is in use: one that was given up half way is not used again.
    async fn ask(&self, database: &Database, held: &mut Option<PgConnection>) -> Result<Schema, Silence> {
        if let Some(mut connection) = held.take()
            && let Ok(answer) = timeout(HELD, self.read(database, &mut connection, HELD)).await
            && !answer.as_ref().is_err_and(|refusal| refusal.lost)
        {
            *held = Some(connection);
            return answer.map_err(|refusal| refusal.silence);
        }
        let new = async {
            let mut connection = connect::once(database, &application_name(None), LOG_IN)
                .await
                .map_err(|unusable| Silence::at_the_door(database, unusable))?;
            let answer = self.read(database, &mut connection, NEW).await;
            *held = Some(connection);
            answer.map_err(|refusal| refusal.silence)
        };
        timeout(NEW, new).await.unwrap_or_else(|_| Err(Silence::at(database, "the database does not answer")))
    }

    /// The server ends each batch by itself after `limit`.
    async fn read(
        &self,
        database: &Database,
        connection: &mut PgConnection,
        limit: Duration,
    ) -> Result<Schema, Refusal> {
        let glance = glance::within(limit, glance::read(connection, self.history.wanted()))
            .await
            .map_err(|error| Refusal::of(database, &error))?;
        let unmet = requirement::unmet(&self.catalog, &glance.history);
        let missing = unmet.iter().map(|unmet| Missing {
            version: unmet.migration.version,
            file: unmet.migration.file.clone(),
            state: unmet.why,
        });
        Ok(Schema {
            version: glance.history.newest(),
            missing: missing.collect(),
            sentence: requirement::sentence(&unmet),
            last_run: glance.last_run,
            refused: match two_ways::refuse(&self.catalog, &glance.history) {
                Err(Error::Refused(findings)) => findings,
                _ => Vec::new(),
            },
        })
    }

    fn seen(&self, schema: Result<Schema, Silence>) -> Evidence {
        Evidence { required: self.catalog.newest(), schema }
    }
}

impl Silence {
    /// A reason that reveals nothing to a stranger.
    pub(crate) fn of(reason: &str) -> Self {
        Self { public: reason.to_owned(), private: reason.to_owned() }
    }

    /// The same, with the database named in the log.
    fn at(database: &Database, reason: &str) -> Self {
        Self { public: reason.to_owned(), private: format!("{database}: {reason}") }
    }

    /// No connection. The server's error for wrong credentials names the user.
    fn at_the_door(database: &Database, unusable: Unusable) -> Self {
        let Unusable { reason, refused, permanent, .. } = unusable;
        if !refused && permanent.is_none() {
            return Self::at(database, &format!("the database cannot be reached: {reason}"));
        }
        Self {
            public: "the database refuses the connection; the log has the reason".into(),
            private: permanent.map_or(format!("{database}: {reason}"), |error| error.to_string()),
        }
    }
}

/// Why a question got no answer.
struct Refusal {
    silence: Silence,
    /// Whether the connection is of no more use.
    lost: bool,
}

impl Refusal {
    fn of(database: &Database, error: &Error) -> Self {
        let hint = error.hint().map(|hint| format!("; hint: {hint}")).unwrap_or_default();
        let private = format!("{database}: {error}{hint}");
        let (public, lost) = match error {
            Error::Server { source, .. } => (error.to_string(), source.connection_lost()),
            // It names roles, schemas and the database.
            _ => ("the migration history may not be used; the log has the reason".into(), false),
        };
        Self { silence: Silence { public, private }, lost }
    }
}

//! Checks what the app finds: whether its role, with its own search path and rights, would find the schema ready.
//!
//! A run that ends with 0 while every new pod waits is useless. So the run opens the app's own connection as the pods
//! will open it, and sends the same queries.

use std::time::Duration;

use sqlx::postgres::PgConnection;
use tracing::warn;

use crate::config::database::{Database, application_name};
use crate::core::requirement;
use crate::core::sql::quote::ident;
use crate::error::{Error, Finding, FindingKind, Result};
use crate::operations::target::Target;
use crate::postgres::connect::{self, Patience};
use crate::postgres::query::{self, Limit};
use crate::postgres::state::{self, DatabaseState, Scope};

/// How long the app's connection is tried and queried: its answer is not worth a longer wait.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the app's role finds.
pub(super) enum AppReadiness {
    Ready,
    /// Its database does not answer from here, which proves nothing about where the pods run.
    Unknown(String),
    /// The schema is not ready, for this reason.
    NotReady(Error),
}

impl AppReadiness {
    /// # Errors
    /// Why the schema is not ready. A database that does not answer from here is a warning.
    pub(super) fn expect_ready(self) -> Result<()> {
        match self {
            Self::Ready => Ok(()),
            Self::Unknown(reason) => {
                warn!(
                    "what the app finds could not be checked: `DATABASE_URL` does not answer from here: {reason}"
                );
                Ok(())
            }
            Self::NotReady(error) => Err(error),
        }
    }
}

/// The app's connection, and what has to be there.
pub(super) struct App<'a> {
    pub(super) database: &'a Database,
    pub(super) target: Target<'a>,
    /// Newest version that has to be applied.
    pub(super) up_to: Option<i64>,
}

impl App<'_> {
    /// Opens a session as the app does, and reads the history in it.
    pub(super) async fn readiness(&self) -> Result<AppReadiness> {
        tokio::select! {
            seen = tokio::time::timeout(2 * PATIENCE, self.ask()) => match seen {
                Ok(readiness) => readiness,
                Err(_) => Ok(AppReadiness::Unknown("no answer in time".into())),
            },
            reason = self.target.stop.requested() => Err(reason.error("while asking what the app finds")),
        }
    }

    async fn ask(&self) -> Result<AppReadiness> {
        let mut connection = match connect::once(self.database, &application_name(None), PATIENCE).await {
            Ok(connection) => connection,
            Err(unusable) if unusable.refused || unusable.permanent.is_some() => {
                return Ok(AppReadiness::NotReady(unusable.after(self.database, Duration::ZERO)));
            }
            Err(unusable) => return Ok(AppReadiness::Unknown(unusable.reason)),
        };
        let readiness = self.ask_until_caught_up(&mut connection).await;
        query::close(connection).await;
        readiness
    }

    /// A read replica may need a moment for what was just committed.
    async fn ask_until_caught_up(&self, connection: &mut PgConnection) -> Result<AppReadiness> {
        let scope = Scope::reading(self.target.wanted, Some(self.target.catalog));
        let limit = Limit { batch: PATIENCE, lock: PATIENCE };
        let mut patience = Patience::new(PATIENCE);
        loop {
            let state = match query::within(limit, state::read(connection, scope)).await {
                Ok(state) => state,
                Err(Error::Server { source, .. }) if source.may_pass() => {
                    return Ok(AppReadiness::Unknown(source.to_string()));
                }
                Err(error) => {
                    return Ok(AppReadiness::NotReady(self.not_ready(&error.to_string(), hint_of(&error))));
                }
            };
            let Some(missing) = self.missing(&state) else { return Ok(AppReadiness::Ready) };
            let pauses = (Duration::from_millis(100), Duration::from_secs(1));
            if !state.server.standby || !patience.pause(pauses.0, pauses.1, self.target.stop).await? {
                let hint = "check that both URLs name one database, and that the role finds the same schema: \
                            `CORVEIL_HISTORY_SCHEMA` names it";
                return Ok(AppReadiness::NotReady(self.not_ready(&missing, hint.into())));
            }
        }
    }

    /// What is not applied, and where that was read; none when nothing is missing.
    fn missing(&self, state: &DatabaseState) -> Option<String> {
        let mut unmet = requirement::unmet(self.target.catalog, &state.history);
        unmet.retain(|unmet| self.up_to.is_none_or(|newest| unmet.migration.version <= newest));
        let missing = requirement::sentence(&unmet)?;
        let server = &state.server;
        let at = match &server.home.schema {
            Some(schema) if server.has_history() => {
                format!("by the history in schema {} of database `{}`", ident(schema), server.database)
            }
            _ => format!("and database `{}` has no migration history that it finds", server.database),
        };
        Some(format!("{missing}, {at}"))
    }

    fn not_ready(&self, reason: &str, hint: String) -> Error {
        Error::Findings(vec![Finding::new(
            FindingKind::AppNotReady,
            format!(
                "the app's role, `{}` at {}, does not find the schema ready, so no new pod would \
                start: {reason}",
                self.database.user(),
                self.database
            ),
            hint,
        )])
    }
}

/// The hint of an error, also where the error is a list of findings.
fn hint_of(error: &Error) -> String {
    let finding = error.findings().first().map(|finding| finding.hint.clone());
    finding.or_else(|| error.hint()).unwrap_or_else(|| "run `corveil status` as that role".into())
}

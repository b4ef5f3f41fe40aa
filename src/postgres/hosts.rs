//! Several hosts: each is tried in turn, until one answers that is as the URL asks for.

use std::time::Duration;

use sqlx::postgres::PgConnection;
use tokio::time::{Instant, timeout};

use crate::config::database::{Database, Host, State, Suitability, Wanted};
use crate::error::Error;
use crate::postgres::query::{self, get};
use crate::postgres::transport;
use crate::postgres::unusable::{Unusable, unusable};

/// Connects to the first host that will do, within `limit`. Each has its share of it, so that one which swallows packets
/// leaves time for the others.
///
/// As by libpq, a host that refuses the login ends the search: the next one would be another cluster.
///
/// # Errors
/// Why none does.
pub(crate) async fn connect(
    database: &Database,
    application_name: &str,
    limit: Duration,
) -> Result<PgConnection, Unusable> {
    let end = Instant::now() + limit;
    let mut hosts = database.hosts();
    let is_only = hosts.len() == 1;
    let (mut spare, mut reasons, mut full) = (None, Vec::new(), false);
    while let Some((index, host)) = hosts.next() {
        let left = end.saturating_duration_since(Instant::now());
        let turn = left / u32::try_from(hosts.len() + 1).unwrap_or(u32::MAX);
        let attempt = timeout(turn, log_in(database, host, application_name)).await;
        let attempt =
            attempt.unwrap_or_else(|_| Err(Unusable::passing("no answer to the connection attempt".into())));
        let reason = match attempt {
            Ok((connection, Suitability::Good)) => {
                database.answered(index);
                return Ok(connection);
            }
            Ok((connection, Suitability::Spare)) => {
                spare.get_or_insert((index, connection));
                continue;
            }
            Ok((connection, Suitability::Bad(why))) => {
                query::close(connection).await;
                why.to_owned()
            }
            Err(unusable) if is_only || unusable.refused || unusable.permanent.is_some() => {
                return Err(unusable.on(host, is_only));
            }
            Err(unusable) => {
                full |= unusable.full;
                unusable.reason
            }
        };
        reasons.push(if is_only { reason } else { format!("{}: {reason}", host.shown()) });
    }
    match spare {
        Some((index, connection)) => {
            database.answered(index);
            Ok(connection)
        }
        None => Err(Unusable { full, ..Unusable::passing(reasons.join("; ")) }),
    }
}

/// Connects to a host, and asks what it is where that matters.
async fn log_in(
    database: &Database,
    host: &Host,
    application_name: &str,
) -> Result<(PgConnection, Suitability), Unusable> {
    let connection = transport::connect(host, application_name).await;
    let mut connection = connection.map_err(|error| unusable(database, &error))?;
    let Some(wanted) = database.wanted() else { return Ok((connection, Suitability::Good)) };
    match suitability(&mut connection, wanted).await {
        Ok(found) => Ok((connection, found)),
        Err(error) => Err(Unusable::passing(error.to_string())),
    }
}

async fn suitability(connection: &mut PgConnection, wanted: Wanted) -> Result<Suitability, Error> {
    let sql = "SELECT pg_is_in_recovery(), current_setting('default_transaction_read_only') = 'on'";
    let row = query::one(connection, "asking whether the server can be written to", sql.into()).await?;
    Ok(wanted.suitability(State { standby: get(&row, 0)?, read_only: get(&row, 1)? }))
}

//! A connection URL, read as its author meant it, or refused.

use std::str::FromStr;

use sqlx::postgres::PgConnectOptions;

use super::parameters::Parameters;
use super::tls;
use crate::config::env;
use crate::config::trust::Trust;
use crate::error::{Error, Result};

/// Reads a connection URL. `variable` names where it came from, for the error.
///
/// # Errors
/// [`Error::Config`] for a text that is no PostgreSQL URL, or asks for what would be ignored; no value is repeated, as it
/// may be a password.
pub(super) fn options(variable: &str, url: &str) -> Result<(PgConnectOptions, Trust)> {
    let wrong = |reason: &str| Error::Config {
        message: format!("`{variable}` is not a PostgreSQL connection URL: {reason}"),
        hint: format!("set `{variable}` to `postgres://USER:PASSWORD@HOST:5432/DATABASE`"),
    };
    if url.trim().is_empty() {
        return Err(wrong("it is set, but empty"));
    }
    if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
        return Err(wrong("it does not start with `postgres://`"));
    }
    // The first `/`, `?` or `#` ends the host. One in the password would make the rest of it a host or a database,
    // which are shown.
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    if rest.split_once(['/', '?', '#']).is_some_and(|(_, after)| after.contains('@')) {
        return Err(wrong("in a password, `/` is written `%2F`, `?` `%3F`, `#` `%23` and `@` `%40`"));
    }
    // To sqlx, what follows is a fragment, which it drops; to libpq it is a character as any other.
    if url.contains('#') {
        return Err(wrong("`#` is written `%23`"));
    }
    let query = url.split_once('?').map_or("", |(_, query)| query);
    let parameters = Parameters::parse(variable, query, env::read)?;
    let given =
        tls::Given { variable, parameters: &parameters, environment: env::read, own_root: tls::own_root() };
    // Before sqlx reads the URL: it would say no more of a wrong `sslmode` than that something is wrong.
    let mode = given.mode()?;
    // sqlx's own words may repeat parts of the text.
    let options = PgConnectOptions::from_str(url).map_err(|_| wrong("its parts cannot be told apart"))?;
    given.apply(options, mode)
}

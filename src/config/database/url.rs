//! A connection URL, read as libpq reads it, or refused.

use std::path::PathBuf;
use std::str::FromStr;

use sqlx::postgres::{PgConnectOptions, PgSslMode};

use super::hosts::{Place, Wanted, places};
use super::parameters::{Parameters, is_parameter};
use super::passfile::Passfile;
use super::{tls, uri};
use crate::config::secret;
use crate::config::trust::Trust;
use crate::error::{Error, Result};

/// What a URL asks for.
pub(super) struct Asked {
    /// Each host, with the options to connect to it.
    pub(super) hosts: Vec<(Place, PgConnectOptions)>,
    pub(super) trust: Trust,
    /// Which servers are acceptable; none where neither the URL nor the environment restricts it.
    pub(super) wanted: Option<Wanted>,
}

/// Where a URL is read.
pub(super) struct Surroundings<E> {
    pub(super) environment: E,
    pub(super) home: Option<PathBuf>,
}

/// Reads a connection URL. `variable` names where it came from, for the error.
///
/// # Errors
/// [`Error::Config`] for a text that is no PostgreSQL URL, or asks for what would be ignored; no value is repeated, as it
/// may be a password.
pub(super) fn read<E>(variable: &str, url: &str, surroundings: &Surroundings<E>) -> Result<Asked>
where
    E: Fn(&str) -> Option<String>,
{
    let wrong = |reason: &str| {
        Error::config(
            format!("`{variable}` is not a PostgreSQL connection URL: {reason}"),
            format!("set `{variable}` to `postgres://USER:PASSWORD@HOST:5432/DATABASE`"),
        )
    };
    if url.trim().is_empty() {
        return Err(wrong("it is set, but empty"));
    }
    let environment = &surroundings.environment;
    let uri = uri::split(url, is_parameter).map_err(wrong)?;
    let parameters = Parameters::parse(variable, uri.query, environment)?;
    let given = tls::Given {
        variable,
        parameters: &parameters,
        environment,
        own_root: tls::own_root(surroundings.home.as_ref()),
    };
    let mode = given.mode()?;
    let places = places(&uri.hosts, &parameters, environment).map_err(wrong)?;
    let some = |name: &str| parameters.get(name).filter(|value| !value.is_empty()).map(ToOwned::to_owned);
    let variable_of = |name: &str| environment(name).filter(|value| !value.is_empty());
    let mut options = plain(&parameters).map_err(|()| wrong("it cannot be split into its parts"))?;
    if let Some(user) = some("user").or(uri.user) {
        options = options.username(&user);
    }
    if let Some(database) = some("dbname").or(uri.database) {
        options = options.database(&database);
    }
    let password = some("password").or(uri.password).or_else(|| variable_of("PGPASSWORD"));
    let passfile = match password {
        Some(_) => None,
        None => Passfile::open(some("passfile").as_deref(), environment, surroundings.home.clone()),
    };
    let mut asked = Asked { hosts: Vec::new(), trust: Trust::Unchecked, wanted: None };
    for place in places {
        let database = options.get_database().unwrap_or(options.get_username());
        let password = match (&password, &passfile) {
            (Some(password), _) => Some(password.clone()),
            (None, Some(file)) => file.password(&place.name, place.port, database, options.get_username()),
            (None, None) => None,
        };
        if let (Some(password), Some(_)) = (&password, &passfile) {
            secret::learn_password(password);
        }
        let address = place.address.as_ref().unwrap_or(&place.name);
        let options = options.clone().port(place.port).password(password.as_deref().unwrap_or_default());
        let options = if address.starts_with('/') { options.socket(address) } else { options.host(address) };
        let (options, trust) = given.apply(options, mode)?;
        if *address != place.name && matches!(options.get_ssl_mode(), PgSslMode::VerifyFull) {
            return Err(Error::config(
                format!(
                    "`{variable}` has `hostaddr` and `sslmode=verify-full`, and Corveil would compare the \
                     certificate with the address instead of the name"
                ),
                "leave `hostaddr` out, or write `sslmode=verify-ca` with `sslrootcert`",
            ));
        }
        if asked.trust == Trust::Unchecked {
            asked.trust = trust;
        }
        asked.hosts.push((place, options));
    }
    let named = |parameter, variable: &'static str| some(parameter).or_else(|| variable_of(variable));
    if let Some(word) = named("target_session_attrs", "PGTARGETSESSIONATTRS") {
        let wanted = Wanted::from_word(&word);
        asked.wanted =
            Some(wanted.ok_or_else(|| wrong("a value of `target_session_attrs` that is not known"))?);
    }
    match named("load_balance_hosts", "PGLOADBALANCEHOSTS").as_deref() {
        None | Some("disable") => {}
        Some("random") => fastrand::shuffle(&mut asked.hosts),
        Some(_) => return Err(wrong("a value of `load_balance_hosts` that is not known")),
    }
    Ok(asked)
}

/// Options with what sqlx takes from nothing but a URL. The password keeps it from reading a password file.
fn plain(parameters: &Parameters) -> Result<PgConnectOptions, ()> {
    let url = format!("postgres://host/?password=&{}", parameters.for_sqlx());
    // sqlx's error may repeat parts of the text.
    PgConnectOptions::from_str(&url).map_err(|_| ())
}

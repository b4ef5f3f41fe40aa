//! Where a database is and how to log in, with the password kept out of everything that is printed.

use std::fmt;
use std::str::FromStr;

use sqlx::ConnectOptions;
use sqlx::postgres::PgConnectOptions;

use crate::error::{Error, Result};

/// Longest name that the server keeps of an application: NAMEDATALEN - 1 bytes.
const NAME_BYTES: usize = 63;

/// A database to connect to.
#[derive(Clone)]
pub struct Database {
    options: Box<PgConnectOptions>,
    shown: String,
    single_connection: bool,
}

impl Database {
    /// Reads a connection URL. `variable` names where it came from, for the error.
    ///
    /// # Errors
    /// [`Error::Config`] for a text that is no PostgreSQL URL; it never repeats the text, which may hold a password.
    pub fn from_url(variable: &str, url: &str) -> Result<Self> {
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
        // sqlx's own words may repeat parts of the text.
        let options = PgConnectOptions::from_str(url).map_err(|_| wrong("its parts cannot be told apart"))?;
        Ok(Self::new(options, false))
    }

    /// A server that accepts one connection at a time.
    #[must_use]
    pub fn single_connection(options: PgConnectOptions) -> Self {
        Self::new(options, true)
    }

    fn new(options: PgConnectOptions, single_connection: bool) -> Self {
        let host = match options.get_socket() {
            Some(socket) => socket.display().to_string(),
            None => format!("{}:{}", options.get_host(), options.get_port()),
        };
        let database = options.get_database().unwrap_or(options.get_username());
        let shown = format!("postgres://{}@{host}/{database}", options.get_username());
        // PgBouncer refuses startup parameters that it does not know (08P01), and statements hold secrets as often as
        // not, so they are never logged.
        let options = options.extra_float_digits(None).disable_statement_logging();
        Self { options: Box::new(options), shown, single_connection }
    }

    /// Another database of the same server, in which this is where names without a schema are looked up.
    #[must_use]
    pub fn in_database(&self, name: &str, search_path: &str) -> Self {
        let options = (*self.options).clone().database(name).options([("search_path", search_path)]);
        Self::new(options, self.single_connection)
    }

    /// The user who logs in.
    #[must_use]
    pub fn user(&self) -> &str {
        self.options.get_username()
    }

    /// Whether the server accepts only one connection at a time.
    #[must_use]
    pub fn is_single_connection(&self) -> bool {
        self.single_connection
    }

    /// The options to connect with, under the name that the server shows for the session.
    #[must_use]
    pub fn options(&self, application_name: &str) -> PgConnectOptions {
        (*self.options).clone().application_name(application_name)
    }
}

/// The URL without its password.
impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Database").field(&self.shown).finish()
    }
}

/// What `pg_stat_activity` shows for a session: the version, the pod or host, and the file being applied.
///
/// At most 63 bytes, of printable ASCII, as the server would cut and replace it anyway. The file's name is what a
/// person on call looks for, so the host gives way first.
#[must_use]
pub fn application_name(file: Option<&str>) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let name = match file {
        Some(file) => {
            let host = crate::config::host::name();
            let room = NAME_BYTES.saturating_sub(format!("corveil/{version}  {file}").len());
            format!("corveil/{version} {} {file}", &host[..host.len().min(room)])
        }
        None => format!("corveil/{version} {}", crate::config::host::name()),
    };
    let mut name: String = name.chars().map(|c| if matches!(c, ' '..='~') { c } else { '?' }).collect();
    name.truncate(NAME_BYTES);
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_is_in_nothing_that_is_printed() {
        let database =
            Database::from_url("DATABASE_URL", "postgres://app:s3cr3t@db.example:6432/app?sslmode=disable")
                .unwrap();
        assert_eq!(database.to_string(), "postgres://app@db.example:6432/app");
        assert!(!format!("{database:?}").contains("s3cr3t"));
    }

    #[test]
    fn a_wrong_url_is_named_by_its_variable_and_not_repeated() {
        for url in [
            "",
            "  ",
            "mysql://u:s3cr3t@h/d",
            "postgres://u:s3cr3t@h:port/d",
            "postgres://u:/s3cr3t@h/d",
            "postgres://u:12/s3cr3t@h/d",
            "postgres://u:a#s3cr3t@h/d",
            "postgres://u:p@h/d?sslmode=s3cr3t",
            "s3cr3t",
        ] {
            let error = Database::from_url("DATABASE_URL", url).unwrap_err();
            assert!(error.to_string().contains("`DATABASE_URL`"), "{error}");
            assert!(!format!("{error} {error:?}").contains("s3cr3t"), "{error}");
        }
    }

    #[test]
    fn an_application_name_fits_and_keeps_the_file() {
        let name = application_name(Some("20240101000000_add_a_rather_long_name.sql"));
        assert!(name.len() <= NAME_BYTES && name.ends_with("_name.sql"), "{name}");
    }
}

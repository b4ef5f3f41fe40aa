//! Where a database is and how to log in, with the password kept out of everything that is printed.

mod parameters;
mod tls;
mod url;

use std::fmt;
use std::net::IpAddr;

use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgSslMode};

use crate::config::trust::Trust;
use crate::error::Result;

/// Longest name that the server keeps of an application: NAMEDATALEN - 1 bytes.
const NAME_BYTES: usize = 63;

/// What becomes of a password on its way to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnTheWay {
    /// Nobody else can read it: there is none, it stays on this machine, or the connection is always encrypted.
    Safe,
    /// It is encrypted if the server has TLS, or says so.
    Negotiated,
    /// Anyone on the way can read it.
    Readable,
}

/// A database to connect to.
#[derive(Clone)]
pub struct Database {
    options: Box<PgConnectOptions>,
    shown: String,
    single_connection: bool,
    trust: Trust,
}

impl Database {
    /// Reads a connection URL. `variable` names where it came from, for the error.
    ///
    /// # Errors
    /// [`crate::error::Error::Config`] for a text that is no PostgreSQL URL, or asks for what would be ignored.
    pub fn from_url(variable: &str, text: &str) -> Result<Self> {
        let (options, trust) = url::options(variable, text)?;
        Ok(Self { trust, ..Self::new(options, false) })
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
        Self { options: Box::new(options), shown, single_connection, trust: Trust::Unchecked }
    }

    /// Another database of the same server, in which this is where names without a schema are looked up.
    #[must_use]
    pub fn in_database(&self, name: &str, search_path: &str) -> Self {
        let options = (*self.options).clone().database(name).options([("search_path", search_path)]);
        Self { trust: self.trust, ..Self::new(options, self.single_connection) }
    }

    /// What becomes of the password on its way.
    #[must_use]
    pub fn password_on_the_way(&self) -> OnTheWay {
        if self.is_local() || !self.has_password() {
            return OnTheWay::Safe;
        }
        match self.options.get_ssl_mode() {
            // sqlx never has TLS with `allow`.
            PgSslMode::Disable | PgSslMode::Allow => OnTheWay::Readable,
            PgSslMode::Prefer => OnTheWay::Negotiated,
            PgSslMode::Require | PgSslMode::VerifyCa | PgSslMode::VerifyFull => OnTheWay::Safe,
        }
    }

    /// Whose certificates make the server the right one.
    #[must_use]
    pub fn trust(&self) -> Trust {
        self.trust
    }

    /// Whether the server is on this machine.
    fn is_local(&self) -> bool {
        let host = self.options.get_host().trim_start_matches('[').trim_end_matches(']');
        let address = host.parse().ok().map(|address: IpAddr| address.to_canonical());
        self.options.get_socket().is_some()
            || host.starts_with('/')
            || host.eq_ignore_ascii_case("localhost")
            || host.to_ascii_lowercase().ends_with(".localhost")
            || address.is_some_and(|address| address.is_loopback())
    }

    /// Whether there is a password to send: in the URL, in `PGPASSWORD` or in a password file. sqlx shows it nowhere but in
    /// a URL, which it cannot make for every host and user.
    fn has_password(&self) -> bool {
        let plain = (*self.options).clone().host("h").username("u").database("d");
        plain.to_url_lossy().password().is_some_and(|password| !password.is_empty())
    }

    /// The host, with its port.
    #[must_use]
    pub fn host(&self) -> String {
        format!("{}:{}", self.options.get_host(), self.options.get_port())
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
            "postgres://u:p@h/d?search_path=s3cr3t",
            "postgres://u:p@h/d?unknown=s3cr3t",
            "postgres://u:p@h/d?channel_binding=require&password=s3cr3t",
            "postgres://u:p@h/d?application_name=x#s3cr3t",
        ] {
            let error = Database::from_url("DATABASE_URL", url).unwrap_err();
            assert!(error.to_string().contains("`DATABASE_URL`"), "{error}");
            assert!(!format!("{error} {error:?}").contains("s3cr3t"), "{error}");
        }
    }

    #[test]
    fn a_password_is_readable_where_it_leaves_the_machine_unencrypted() {
        for (url, expected) in [
            ("postgres://u:p@db.example/d", OnTheWay::Negotiated),
            ("postgres://u:p@db.example/d?sslmode=disable", OnTheWay::Readable),
            ("postgres://u:p@db.example/d?sslmode=allow", OnTheWay::Readable),
            ("postgres://u:p@db.example/d?sslmode=require", OnTheWay::Safe),
            ("postgres://u@db.example/d?password=p&sslmode=disable", OnTheWay::Readable),
            ("postgres://u@db.example/d?sslmode=disable", OnTheWay::Safe),
            ("postgres://u:p@10.0.0.1/d", OnTheWay::Negotiated),
            ("postgres://u:p@[fd00::1]/d", OnTheWay::Negotiated),
            ("postgres://u:p@127.0.0.2/d?sslmode=disable", OnTheWay::Safe),
            ("postgres://u:p@[::1]/d?sslmode=disable", OnTheWay::Safe),
            ("postgres://u:p@LOCALHOST/d", OnTheWay::Safe),
            ("postgres://u:p@h/d?host=/var/run/postgresql", OnTheWay::Safe),
            ("postgres://u:p@%2Fvar%2Frun/d", OnTheWay::Safe),
            ("postgres://us%40er:p@db.example/d%2Fe?sslmode=disable", OnTheWay::Readable),
        ] {
            assert_eq!(Database::from_url("X", url).unwrap().password_on_the_way(), expected, "{url}");
        }
    }

    #[test]
    fn an_application_name_fits_and_keeps_the_file() {
        let name = application_name(Some("20240101000000_add_a_rather_long_name.sql"));
        assert!(name.len() <= NAME_BYTES && name.ends_with("_name.sql"), "{name}");
    }
}

//! One of the hosts that a database may be on, and how to log in there.

use std::net::IpAddr;

use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgSslMode};

/// What becomes of a password on its way to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnTheWay {
    /// No one else can read it: there is none, it stays on this machine, or the connection is always encrypted.
    Safe,
    /// It is encrypted if the server offers TLS. A server that claims to have none gets it readable.
    Negotiated,
    /// Anyone on the way can read it.
    Readable,
}

/// Where a server may be.
#[derive(Clone)]
pub(crate) struct Host {
    options: Box<PgConnectOptions>,
    shown: String,
}

impl Host {
    /// `name` is how the URL calls it: a name, an address, or the folder of a socket.
    pub(super) fn new(name: &str, port: u16, options: PgConnectOptions) -> Self {
        let shown = match name {
            socket if socket.starts_with('/') => socket.to_owned(),
            address if address.contains(':') => format!("[{address}]:{port}"),
            name => format!("{name}:{port}"),
        };
        // PgBouncer refuses startup parameters that it does not know (08P01), and statements hold secrets as often as
        // not, so they are never logged.
        let options = options.extra_float_digits(None).disable_statement_logging();
        Self { options: Box::new(options), shown }
    }

    pub(super) fn in_database(&self, name: &str, settings: &[(&str, &str)]) -> Self {
        let options = (*self.options).clone().database(name).options(settings.iter().copied());
        Self { options: Box::new(options), shown: self.shown.clone() }
    }

    pub(super) fn plain_options(&self) -> &PgConnectOptions {
        &self.options
    }

    /// The host, with its port, or the folder of its socket.
    pub(crate) fn shown(&self) -> &str {
        &self.shown
    }

    /// The user who logs in.
    pub(crate) fn user(&self) -> &str {
        self.options.get_username()
    }

    /// The options to connect with, under the name that the server shows for the session.
    pub(crate) fn options(&self, application_name: &str) -> PgConnectOptions {
        (*self.options).clone().application_name(application_name)
    }

    /// What becomes of the password on its way.
    pub(crate) fn password_on_the_way(&self) -> OnTheWay {
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

    /// Whether the server is on this machine.
    fn is_local(&self) -> bool {
        let host = self.options.get_host();
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::database::Database;

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
            let database = Database::from_url("X", url).unwrap();
            assert_eq!(database.host().password_on_the_way(), expected, "{url}");
        }
    }
}

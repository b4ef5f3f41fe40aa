//! Why a database could not be used: what may pass, what the configuration has to change, and the error to report.

use std::io::ErrorKind;
use std::time::Duration;

use crate::config::database::{Database, Host};
use crate::error::Error;
use crate::error::sqlstate;
use crate::postgres::query::server_error;
use crate::postgres::transport::NO_TLS;

#[derive(Debug)]
pub(crate) struct Unusable {
    pub(crate) reason: String,
    /// Whether the server answered and refused credentials or database name: then waiting longer seldom helps.
    pub(crate) refused: bool,
    /// Whether the server, or a pooler before it, has no connection to spare.
    pub(crate) full: bool,
    /// Whether waiting cannot help at all.
    pub(crate) permanent: Option<Error>,
}

impl Unusable {
    /// A reason that may pass.
    pub(crate) fn passing(reason: String) -> Self {
        Self { reason, refused: false, full: false, permanent: None }
    }

    /// The same, naming the host where there are several.
    pub(crate) fn on(self, host: &Host, is_only: bool) -> Self {
        if is_only { self } else { Self { reason: format!("{}: {}", host.shown(), self.reason), ..self } }
    }

    /// The error to report once it is not tried again.
    pub(crate) fn after(self, database: &Database, waited: Duration) -> Error {
        let Self { reason, refused, permanent, .. } = self;
        permanent.unwrap_or_else(|| Error::Unreachable {
            database: database.to_string(),
            waited,
            reason,
            refused,
        })
    }
}

pub(crate) fn unusable(database: &Database, error: &sqlx::Error) -> Unusable {
    let source = server_error(error);
    let reason = match error {
        sqlx::Error::Io(e) => e.to_string(),
        _ => source.to_string(),
    };
    let config = |message: String, hint: &str| Some(Error::config(message, hint));
    let permanent = match (error, source.sqlstate.as_deref()) {
        (sqlx::Error::Configuration(_), _) => config(
            format!("cannot connect to {database} as its URL asks: {reason}"),
            "correct the URL in `MIGRATE_DATABASE_URL` or `DATABASE_URL`",
        ),
        // rustls has what it refuses in an error of the socket.
        (sqlx::Error::Io(e), _) if e.kind() == ErrorKind::InvalidData => {
            tls(&reason).and_then(|(what, hint)| {
                config(format!("the TLS connection to {database} is refused: {what}: {reason}"), hint)
            })
        }
        (sqlx::Error::Tls(_), _) if reason.contains(NO_TLS) => config(
            format!("{database} has no TLS, which `sslmode` asks for: {reason}"),
            "switch `ssl` on in the server; only in a network that you trust, set `sslmode=prefer`",
        ),
        (sqlx::Error::Tls(_), _) => config(
            format!("the TLS connection to {database} cannot be made: {reason}"),
            "check the files that `sslrootcert`, `sslcert` and `sslkey` name, and that certificate and key belong together",
        ),
        // A startup parameter that a pooler does not know, such as those of PGOPTIONS.
        (_, Some(sqlstate::PROTOCOL_VIOLATION)) if reason.contains("startup parameter") => config(
            format!("{database} does not speak PostgreSQL's protocol as a server does: {reason}"),
            "set `MIGRATE_DATABASE_URL` to a direct connection to the server, and unset `PGOPTIONS`",
        ),
        // While a session starts nothing but its options can be misspelt: of the settings of a role or database the server
        // only warns.
        (
            _,
            Some(
                sqlstate::UNDEFINED_OBJECT
                | sqlstate::INVALID_PARAMETER_VALUE
                | sqlstate::SYNTAX_ERROR
                | sqlstate::INVALID_NAME
                | sqlstate::CANT_CHANGE_RUNTIME_PARAM,
            ),
        ) => config(
            format!("{database} refuses a setting of the session: {reason}"),
            "correct `options` in the URL, or `PGOPTIONS` in the environment",
        ),
        _ => None,
    };
    // 28000 and 28P01 are refused credentials, 3D000 an unknown database, 42501 no CONNECT right, 08P01 is how PgBouncer
    // reports most of its errors.
    let refused = matches!(
        source.sqlstate.as_deref(),
        Some(
            sqlstate::INVALID_AUTHORIZATION_SPECIFICATION
                | sqlstate::INVALID_PASSWORD
                | sqlstate::INVALID_CATALOG_NAME
                | sqlstate::INSUFFICIENT_PRIVILEGE
                | sqlstate::PROTOCOL_VIOLATION
        )
    );
    // PgBouncer reports it as a protocol violation, where its own `max_client_conn` is reached.
    let full = source.sqlstate.as_deref() == Some(sqlstate::TOO_MANY_CONNECTIONS)
        || source.message.contains("no more connections allowed");
    Unusable { reason, refused, full, permanent }
}

/// What is wrong with the certificates or the versions of a TLS connection, and the next step; none for what may be a
/// fault on the way. rustls's [words](https://docs.rs/rustls/0.23/rustls/enum.Error.html) are all that comes through sqlx.
fn tls(reason: &str) -> Option<(&'static str, &'static str)> {
    let peer = reason.strip_prefix("invalid peer certificate: ");
    let alert = reason.strip_prefix("received fatal alert: ");
    Some(match (peer, alert) {
        // The latter is by an authority of the same name with another key.
        (Some(why), _) if why.starts_with("UnknownIssuer") || why.starts_with("BadSignature") => (
            "no authority that is trusted here vouches for the server's certificate",
            "name the file with the certificate of the server's authority in `sslrootcert`",
        ),
        (Some(why), _) if why.contains("not valid for name") => (
            "the server's certificate is for another name",
            "write a host into the URL that the certificate names, or set `sslmode=verify-ca`, which compares no names",
        ),
        (Some(why), _)
            if why.contains("expired") || why.contains("Expired") || why.contains("not valid yet") =>
        {
            (
                "the server's certificate is not valid now",
                "renew the server's certificate, and check the clocks of both machines",
            )
        }
        (Some(_), _) => (
            "the server's certificate is not trusted",
            "check the server's certificate, and the authority in `sslrootcert`",
        ),
        (_, Some("CertificateRequired" | "NoCertificate")) => (
            "the server asks for a client certificate",
            "name the client's certificate in `sslcert` and its key in `sslkey`",
        ),
        (
            _,
            Some(
                "BadCertificate"
                | "UnsupportedCertificate"
                | "CertificateRevoked"
                | "CertificateExpired"
                | "CertificateUnknown"
                | "UnknownCA"
                | "AccessDenied"
                | "DecryptError",
            ),
        ) => (
            "the server does not accept the client certificate",
            "name a certificate in `sslcert` that the server's `ssl_ca_file` vouches for, with its key in `sslkey`",
        ),
        (_, Some("ProtocolVersion" | "InsufficientSecurity" | "HandshakeFailure")) => NOTHING_IN_COMMON,
        _ if reason.starts_with("peer is incompatible") => NOTHING_IN_COMMON,
        _ if reason.starts_with("peer sent no certificates") => {
            ("the server has no certificate", "give the server one: `ssl_cert_file` and `ssl_key_file`")
        }
        _ => return None,
    })
}

const NOTHING_IN_COMMON: (&str, &str) = (
    "server and client have no version of TLS and no cipher in common",
    "let the server have TLS 1.2 or 1.3: `ssl_min_protocol_version`, `ssl_max_protocol_version` and `ssl_ciphers`",
);

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::exit::ExitCode;

    fn seen(error: &sqlx::Error) -> (ExitCode, String) {
        let database = Database::from_url("X", "postgres://u@h/d").unwrap();
        let error = unusable(&database, error).after(&database, Duration::ZERO);
        (error.exit_code(), format!("{error}; {}", error.hint().unwrap()))
    }

    #[test]
    fn wrong_certificates_are_the_configurations_fault_and_a_fault_on_the_way_is_not() {
        let of_tls =
            |reason: &str| seen(&sqlx::Error::Io(io::Error::new(ErrorKind::InvalidData, reason.to_owned())));
        for (reason, part) in [
            ("invalid peer certificate: UnknownIssuer", "in `sslrootcert`"),
            (
                "invalid peer certificate: certificate not valid for name \"h\"; certificate is only valid for x",
                "another name",
            ),
            ("invalid peer certificate: certificate expired: verification time 1", "renew"),
            ("received fatal alert: UnknownCA", "`ssl_ca_file`"),
            ("received fatal alert: CertificateRequired", "`sslcert`"),
            ("received fatal alert: ProtocolVersion", "TLS 1.2"),
        ] {
            let (code, text) = of_tls(reason);
            assert_eq!(code, ExitCode::Usage, "{reason}");
            assert!(text.contains(part) && text.contains(reason), "{text}");
        }
        assert_eq!(seen(&sqlx::Error::Tls(NO_TLS.into())).0, ExitCode::Usage);
        for reason in ["received corrupt message of type Handshake", "received fatal alert: InternalError"] {
            assert_eq!(of_tls(reason).0, ExitCode::TryAgain, "{reason}");
        }
        assert_eq!(seen(&sqlx::Error::Io(ErrorKind::ConnectionReset.into())).0, ExitCode::TryAgain);
    }
}

//! Why a database could not be used: what may pass, what the configuration has to change, and what it says to people.

use std::time::Duration;

use crate::config::database::Database;
use crate::error::Error;
use crate::postgres::query::server_error;

/// Why an attempt failed.
#[derive(Debug)]
pub struct Unusable {
    /// The reason, for people.
    pub reason: String,
    /// Whether the server answered and refused credentials or database name: then waiting longer seldom helps.
    pub refused: bool,
    /// Whether waiting cannot help at all.
    pub permanent: Option<Error>,
}

impl Unusable {
    /// A reason that may pass.
    #[must_use]
    pub fn passing(reason: String) -> Self {
        Self { reason, refused: false, permanent: None }
    }

    /// What there is to say once it is not tried again.
    #[must_use]
    pub fn after(self, database: &Database, waited: Duration) -> Error {
        let Self { reason, refused, permanent } = self;
        permanent.unwrap_or_else(|| Error::Unreachable {
            database: database.to_string(),
            waited,
            reason,
            refused,
        })
    }
}

/// Why connecting failed.
#[must_use]
pub fn unusable(database: &Database, error: &sqlx::Error) -> Unusable {
    let source = server_error(error);
    // A certificate that is not accepted: rustls has it in an error of the socket.
    let is_untrusted = matches!(error, sqlx::Error::Io(e) if e.kind() == std::io::ErrorKind::InvalidData);
    let reason = match error {
        sqlx::Error::Io(e) if is_untrusted => format!("the server is not trusted: {e}"),
        sqlx::Error::Io(e) => e.to_string(),
        _ => source.to_string(),
    };
    let permanent = match (error, source.sqlstate.as_deref()) {
        (sqlx::Error::Configuration(_), _) => Some(Error::Config {
            message: format!("{database} cannot be connected to as its URL says: {reason}"),
            hint: "correct the URL in `MIGRATE_DATABASE_URL` or `DATABASE_URL`".into(),
        }),
        // A startup parameter that a pooler does not know, such as those of PGOPTIONS.
        (_, Some("08P01")) if reason.contains("startup parameter") => Some(Error::Config {
            message: format!("{database} does not speak PostgreSQL's protocol as a server does: {reason}"),
            hint: "set `MIGRATE_DATABASE_URL` to a direct connection to the server, and unset `PGOPTIONS`"
                .into(),
        }),
        _ => None,
    };
    // 28000 and 28P01 are refused credentials, 3D000 an unknown database, 42501 no CONNECT right, 08P01 is how PgBouncer
    // says most of what it has to say.
    let refused = matches!(source.sqlstate.as_deref(), Some("28000" | "28P01" | "3D000" | "42501" | "08P01"))
        || matches!(error, sqlx::Error::Tls(_))
        || is_untrusted;
    Unusable { reason, refused, permanent }
}

//! Only the authorities that a URL names are trusted, as by libpq.
//!
//! sqlx adds those of the system to them. With `sslmode=verify-ca`, which does not compare names, a certificate of any of
//! these for any server would do. sqlx reads from variables where the system's are, so the process is restarted with
//! others.

use crate::config::database::Database;
use crate::config::databases::Databases;
use crate::config::{env, restart};

/// The system's authorities as a file.
pub(super) const SSL_CERT_FILE: &str = "SSL_CERT_FILE";
/// The system's authorities as a folder.
pub(super) const SSL_CERT_DIR: &str = "SSL_CERT_DIR";
/// A file without a certificate.
pub(super) const NONE: &str = "/dev/null";

/// Whose certificates make a server the right one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trust {
    Unchecked,
    System,
    /// Those of the file that the URL names.
    Named,
}

/// Takes the system's authorities out of the process where every server that is checked has its own.
///
/// Where one server is checked against the system's, they stay for all: sqlx has one list for a process. A wrong URL is reported
/// by what uses it.
pub(crate) fn only_named(databases: &Databases) {
    let trust: Vec<_> = databases.all().map(Database::trust).collect();
    let is_done = env::read(SSL_CERT_FILE).as_deref() == Some(NONE) && env::read(SSL_CERT_DIR).is_none();
    if is_done || !trust.contains(&Trust::Named) || trust.contains(&Trust::System) {
        return;
    }
    let error = restart::with(&[(SSL_CERT_FILE, Some(NONE)), (SSL_CERT_DIR, None)]);
    tracing::warn!(
        "the authorities of the system are trusted in addition to those of `sslrootcert`: the program cannot start itself \
         again without them: {error}"
    );
}

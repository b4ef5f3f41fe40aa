//! The way to the server: encrypted where it can be, and a warning where a password is not.

use std::sync::{Mutex, PoisonError};

use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnection, PgSslMode};
use tracing::warn;

use crate::config::database::{Host, OnTheWay};

/// sqlx's error for a server that has no TLS.
pub(super) const NO_TLS: &str = "server does not support TLS";

/// Hosts for which a run has logged the warning.
static WARNED: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Connects. A machine on the way may claim that the server has no TLS, and gets the password then: a warning is logged before
/// it is sent, once for each host.
///
/// # Errors
/// Why not.
pub(crate) async fn connect(host: &Host, application_name: &str) -> sqlx::Result<PgConnection> {
    let options = host.options(application_name);
    match host.password_on_the_way() {
        OnTheWay::Readable => warn_once(host, "as its `sslmode` allows"),
        OnTheWay::Negotiated if !is_warned_of(host) => {
            match options.clone().ssl_mode(PgSslMode::Require).connect().await {
                Err(sqlx::Error::Tls(error)) if error.to_string() == NO_TLS => {}
                answer => return answer,
            }
            warn_once(host, "as the server answers that it has no TLS");
        }
        OnTheWay::Negotiated | OnTheWay::Safe => {}
    }
    options.connect().await
}

fn is_warned_of(host: &Host) -> bool {
    WARNED.lock().unwrap_or_else(PoisonError::into_inner).iter().any(|warned| warned == host.shown())
}

fn warn_once(host: &Host, why: &str) {
    if is_warned_of(host) {
        return;
    }
    warn!(
        "the password of `{}` goes to `{}` unencrypted, {why}: anyone on the way can read it; \
         `sslmode=verify-full` in the URL prevents that",
        host.user(),
        host.shown()
    );
    WARNED.lock().unwrap_or_else(PoisonError::into_inner).push(host.shown().to_owned());
}

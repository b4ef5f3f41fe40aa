//! The secrets that this process was given, kept out of everything that is printed or stored.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::env::{args_os, vars_os};
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use crate::config::database::Database;
use crate::core::secrets::{self, Secret};
use crate::error::Result;

/// libpq's variable for a password.
const PGPASSWORD: &str = "PGPASSWORD";

/// Every secret that is known. One list for the process: what prints a text cannot know where its parts come from.
static KNOWN: LazyLock<Mutex<Arc<BTreeSet<Secret>>>> = LazyLock::new(|| Mutex::new(Arc::new(given())));

/// The text without any secret, for code that prints or stores a text with parts from elsewhere.
pub(crate) fn hidden(text: &str) -> String {
    // Nothing is done while they are locked: a panic in it could not be printed.
    let known = Arc::clone(&KNOWN.lock().unwrap_or_else(PoisonError::into_inner));
    secrets::hide(text, known.iter()).into_owned()
}

/// Learns the secrets that a file sets. The server's messages repeat them without the statement that shows what they are.
pub(crate) fn learn(sql: &str) {
    let new = secrets::of(sql);
    if !new.is_empty() {
        Arc::make_mut(&mut KNOWN.lock().unwrap_or_else(PoisonError::into_inner)).extend(new);
    }
}

/// Learns a password that is in neither a file of SQL nor the environment.
pub(crate) fn learn_password(password: &str) {
    if !password.is_empty() {
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::make_mut(&mut known).insert(Secret::whole(password));
    }
}

/// The secrets of the command line and of the environment, whichever flag or variable they were put into.
fn given() -> BTreeSet<Secret> {
    let mut given = BTreeSet::new();
    let values = args_os().skip(1).chain(vars_os().map(|(_, value)| value));
    for value in values {
        let value = value.to_string_lossy();
        given.extend(secrets::of(&value));
        // Where the query of a URL has an `@`, the password seems to end only there.
        given.extend(value.split_once('?').map(|(before, _)| secrets::of(before)).unwrap_or_default());
    }
    if let Some(password) = crate::config::env::read(PGPASSWORD) {
        given.insert(Secret::whole(&password));
    }
    given
}

/// The text of a URL that may hold a password. It is read only when it is used, because a parser of flags repeats what it
/// cannot read.
#[derive(Clone)]
pub(crate) struct SecretUrl(String);

impl SecretUrl {
    /// The database that it names. `variable` names where it came from, for the error.
    pub(crate) fn database(&self, variable: &str) -> Result<Database> {
        Database::from_url(variable, &self.0)
    }
}

impl FromStr for SecretUrl {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretUrl(…)")
    }
}

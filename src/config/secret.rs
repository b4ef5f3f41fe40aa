//! A URL given as a flag, kept out of everything that is printed.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

use crate::config::database::Database;
use crate::error::Result;

/// The text of a URL that may hold a password. It is read only when it is used, because a parser of flags repeats what it
/// cannot read.
#[derive(Clone)]
pub struct SecretUrl(String);

impl SecretUrl {
    /// The database that it names. `variable` names where it came from, for the error.
    ///
    /// # Errors
    /// As [`Database::from_url`].
    pub fn database(&self, variable: &str) -> Result<Database> {
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

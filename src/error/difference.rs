//! One difference between a live database and the expected schema, and the SQL that fixes it.

use std::fmt;

use serde::Serialize;

/// One difference between a live database and the expected schema.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Its ID for `--accept`: the same whenever the same thing differs, and safe in a shell.
    pub id: String,
    /// The qualified name of the object.
    pub(crate) object: String,
    /// What differs, in one line.
    pub(crate) message: String,
    /// The statements that fix the difference in the live database; empty where they could drop what is in use.
    pub sql: String,
    /// The later migration file that makes this change, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) created_by: Option<String>,
}

impl Difference {
    /// Whether the live database has an object that no migration creates.
    pub(crate) fn is_extra(&self) -> bool {
        self.id.ends_with("-extra")
    }

    /// Removes the SQL, and adds the reason to the message.
    pub(crate) fn withhold(&mut self, why: &str) {
        self.sql.clear();
        self.message = format!("{}; {why}", self.message);
    }
}

impl fmt::Display for Difference {
    /// One line, unless the SQL has more.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.id, self.message)?;
        if self.sql.is_empty() { Ok(()) } else { write!(f, ": {}", self.sql.replace('\n', "\n    ")) }
    }
}

//! One thing in which a live database is not what it should be, and the SQL that mends it.

use std::fmt;

use serde::Serialize;

/// One thing in which a live database is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// What it is called in `--accept`: the same whenever the same thing differs, and safe in a shell.
    pub id: String,
    /// The qualified name of the object.
    pub object: String,
    /// What differs, in one line.
    pub message: String,
    /// The statements that make the live database as it should be.
    pub sql: String,
}

impl fmt::Display for Difference {
    /// One line, unless the SQL has more.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.id, self.message, self.sql.replace('\n', "\n    "))
    }
}

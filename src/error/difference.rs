//! One thing in which a live database is not what it should be, and the SQL that mends it.

use std::fmt;

use serde::Serialize;

/// One thing in which a live database is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// What it is called in `--accept`: the same whenever the same thing differs, and safe in a shell.
    pub id: String,
    /// The qualified name of the object.
    pub(crate) object: String,
    /// What differs, in one line.
    pub(crate) message: String,
    /// The statements that make the live database as it should be; empty where they could drop what is in use.
    pub sql: String,
    /// The file that makes it so, where that is one after those compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) made_by: Option<String>,
}

impl Difference {
    /// Whether it is something that the live database has and the files do not make.
    pub(crate) fn is_extra(&self) -> bool {
        self.id.ends_with("-extra")
    }

    /// Takes back the SQL, and says why.
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

//! A schema that is not what the files up to a version make.

use std::fmt;

use serde::Serialize;

use super::Difference;

/// A schema that is not what the files up to a version make.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Differs {
    pub(crate) version: i64,
    /// Its file, the last of those that make the schema.
    pub(crate) file: String,
    /// What is different and was not accepted.
    pub(crate) differences: Vec<Difference>,
    #[serde(skip)]
    pub(crate) hint: String,
}

impl fmt::Display for Differs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, differences, .. } = self;
        write!(f, "the schema differs from what the migrations up to `{file}` create: ")?;
        match &differences[..] {
            [only] => write!(f, "{only}"),
            several => write!(f, "{} differences", several.len()),
        }
    }
}

//! A schema that differs from what the migrations up to a version create.

use std::fmt;

use serde::Serialize;

use super::Difference;

/// A schema that differs from what the migrations up to a version create.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Differs {
    pub(crate) version: i64,
    /// Its file, the last one that is compared.
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

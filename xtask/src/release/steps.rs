//! What is said while a release is made: each step as it begins and ends, and in the end how far the registry got.

use std::fmt;
use std::io::{Write, stderr};
use std::time::Instant;

use anyhow::Result;

/// How many steps there are.
const COUNT: usize = 13;

#[derive(Default)]
pub(super) struct Steps {
    begun: usize,
}

impl Steps {
    /// Does it, and says so before and after.
    pub(super) fn step<T>(&mut self, what: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        self.begun += 1;
        let number = self.begun;
        let start = Instant::now();
        writeln!(stderr(), "[{number:2}/{COUNT}] {what}")?;
        let done = work()?;
        writeln!(stderr(), "[{number:2}/{COUNT}] done in {:.1} s", start.elapsed().as_secs_f64())?;
        Ok(done)
    }

    /// A step that has nothing to do.
    pub(super) fn skip(&mut self, what: &str, why: &str) -> Result<()> {
        self.begun += 1;
        let number = self.begun;
        Ok(writeln!(stderr(), "[{number:2}/{COUNT}] {what}: {why}")?)
    }
}

/// What the registry has of the version.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Reached {
    pub(super) image: Option<String>,
    pub(super) chart: Option<String>,
}

impl fmt::Display for Reached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self { image: None, chart: None } => write!(f, "nothing was pushed"),
            Self { image: Some(image), chart: None } => write!(f, "the registry has `{image}`, and no chart"),
            Self { image: None, chart: Some(chart) } => write!(f, "the registry has `{chart}`, and no image"),
            Self { image: Some(image), chart: Some(chart) } => {
                write!(f, "the registry has `{image}` and `{chart}`")
            }
        }
    }
}

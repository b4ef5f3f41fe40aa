//! Reports the progress of a release: each step at its begin and end, and what the registry has at the end.

use std::fmt;
use std::io::{Write, stderr};
use std::time::Instant;

use anyhow::Result;

/// The number of steps.
const COUNT: usize = 13;

#[derive(Default)]
pub(super) struct Steps {
    begun: usize,
}

impl Steps {
    /// Runs a step, and reports its begin and end.
    pub(super) fn step<T>(&mut self, what: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        self.begun += 1;
        let number = self.begun;
        let start = Instant::now();
        writeln!(stderr(), "[{number:2}/{COUNT}] {what}")?;
        let done = work()?;
        writeln!(stderr(), "[{number:2}/{COUNT}] done in {:.1} s", start.elapsed().as_secs_f64())?;
        Ok(done)
    }

    /// Reports a step that has nothing to do.
    pub(super) fn skip(&mut self, what: &str, why: &str) -> Result<()> {
        self.begun += 1;
        let number = self.begun;
        Ok(writeln!(stderr(), "[{number:2}/{COUNT}] {what}: {why}")?)
    }
}

/// What the registry has confirmed to have of the version.
#[derive(Debug, Default)]
pub(super) struct Reached {
    pub(super) image: Option<String>,
    pub(super) chart: Option<String>,
    /// A push that the registry has not confirmed.
    begun: Option<String>,
}

impl Reached {
    /// Pushes something, and returns its reference once the registry has it.
    pub(super) fn push(&mut self, reference: String, push: impl FnOnce() -> Result<()>) -> Result<String> {
        self.begun = Some(reference);
        push()?;
        Ok(self.begun.take().unwrap_or_default())
    }
}

impl fmt::Display for Reached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let there: Vec<_> = [&self.image, &self.chart].into_iter().flatten().collect();
        match &*there {
            [] if self.begun.is_none() => write!(f, "nothing was pushed")?,
            [] => write!(f, "the registry has nothing of this version")?,
            [one] => write!(f, "the registry has `{one}`")?,
            several => write!(f, "the registry has `{}` and `{}`", several[0], several[1])?,
        }
        match &self.begun {
            Some(begun) => write!(f, ", and maybe `{begun}`, whose push failed"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use anyhow::bail;

    use super::*;

    #[test]
    fn what_the_registry_has_is_reported_as_far_as_it_is_known() {
        let mut reached = Reached::default();
        assert_eq!(reached.to_string(), "nothing was pushed");
        reached.push("a:1".to_owned(), || bail!("no answer")).expect_err("it fails");
        assert_eq!(
            reached.to_string(),
            "the registry has nothing of this version, and maybe `a:1`, whose push failed"
        );
        reached.image = reached.push("a:1".to_owned(), || Ok(())).ok();
        assert_eq!(reached.to_string(), "the registry has `a:1`");
        reached.chart = Some("b:1".to_owned());
        assert_eq!(reached.to_string(), "the registry has `a:1` and `b:1`");
    }
}

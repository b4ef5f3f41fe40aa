//! Waits for a condition in the cluster.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How often a condition is checked. Each check starts a process, and the machine runs other scenarios too.
const EVERY: Duration = Duration::from_millis(800);

/// Calls `check` until it returns something, and returns that.
///
/// # Errors
/// The error of `check`, or that it returned nothing within `bound`: `what` completes the sentence "waited 30 s for …".
pub(crate) fn until<T>(
    what: &str,
    bound: Duration,
    mut check: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let start = Instant::now();
    loop {
        if let Some(found) = check()? {
            return Ok(found);
        }
        if start.elapsed() > bound {
            bail!("waited {} s for {what}", bound.as_secs());
        }
        thread::sleep(EVERY);
    }
}

//! Waiting for what a cluster does in its own time.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How often a condition is looked at. A look is a process, and the machine has other scenarios to run.
const EVERY: Duration = Duration::from_millis(800);

/// What `look` finds, as soon as it finds anything.
///
/// # Errors
/// What `look` says, or that nothing was found within `bound`: `what` completes the sentence "waited 30 s for …".
pub(crate) fn until<T>(
    what: &str,
    bound: Duration,
    mut look: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let start = Instant::now();
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        if start.elapsed() > bound {
            bail!("waited {} s for {what}", bound.as_secs());
        }
        thread::sleep(EVERY);
    }
}

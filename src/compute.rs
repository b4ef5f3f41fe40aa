//! Runs work for the processor on a separate thread, so that a signal and the deadline are noticed meanwhile.
//!
//! The runtime has one thread, and what keeps it busy keeps it from everything else. The runtime's own blocking threads are not used,
//! as it panics where the system has none left.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use tokio::sync::oneshot;

use crate::error::Result;
use crate::stop::Stop;

#[derive(Debug)]
pub(crate) struct Begun<T>(oneshot::Receiver<T>);

/// Begins work on another thread; on this one where the system has no other.
pub(crate) fn begin<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Begun<T> {
    let (sender, receiver) = oneshot::channel();
    // A thread that cannot be started drops what it was to do.
    let work = Arc::new(Mutex::new(Some((work, sender))));
    let run = {
        let work = Arc::clone(&work);
        move || {
            let taken = work.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some((work, sender)) = taken {
                // The receiver is gone when the work was given up.
                let _ = sender.send(work());
            }
        }
    };
    if thread::Builder::new().name("compute".into()).spawn(run.clone()).is_err() {
        run();
    }
    Begun(receiver)
}

impl<T> Begun<T> {
    /// Waits for it. Where the run is to stop, it is given up and ends with the process.
    ///
    /// # Errors
    /// [`crate::error::Error::Interrupted`] when the run is to stop; `what` describes what it was doing.
    pub(crate) async fn end(self, stop: &Stop, what: &str) -> Result<T> {
        tokio::select! {
            // A thread that panics ends the process.
            Ok(done) = self.0 => Ok(done),
            reason = stop.requested() => Err(reason.error(what)),
        }
    }
}

/// Does work on another thread.
pub(crate) async fn apart<T: Send + 'static>(
    stop: &Stop,
    what: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T> {
    begin(work).end(stop, what).await
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[tokio::test]
    async fn what_is_not_done_by_the_deadline_is_given_up() {
        let stop = Stop::listen(Instant::now(), Some(Duration::from_millis(50))).unwrap();
        let (never, hangs) = std::sync::mpsc::channel::<()>();
        let error = apart(&stop, "while testing", move || hangs.recv()).await.unwrap_err();
        assert_eq!(error.to_string(), "stopped by its deadline of 50ms while testing");
        drop(never);
    }

    #[tokio::test]
    async fn work_is_done_while_the_runtime_does_something_else() {
        let stop = Stop::listen(Instant::now(), None).unwrap();
        let begun = begin(|| 6 * 7);
        tokio::task::yield_now().await;
        assert_eq!(begun.end(&stop, "").await.unwrap(), 42);
    }
}

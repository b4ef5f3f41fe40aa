//! What ends a run from outside: a signal, or the deadline of the process.

use std::time::{Duration, Instant};

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::error::{Error, Result};

/// How long an orderly end may take: Kubernetes sends SIGKILL after a grace period, and the end is promised within five seconds.
const OVERDUE: Duration = Duration::from_millis(4500);

/// Why a run is to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    Signal(&'static str),
    /// `--deadline` has passed.
    Deadline(Duration),
}

impl Reason {
    /// The reason as a sentence's beginning.
    pub(crate) fn sentence(self) -> String {
        match self {
            Self::Signal(name) => format!("stopped by {name}"),
            Self::Deadline(deadline) => {
                format!("stopped by its deadline of {}", humantime::format_duration(deadline))
            }
        }
    }

    /// The error of a run that stops; `what` describes what it was doing.
    pub(crate) fn error(self, what: &str) -> Error {
        Error::Interrupted {
            message: format!("{} {what}", self.sentence()),
            hint: match self {
                Self::Signal(_) => "run the command again; nothing is applied twice".into(),
                Self::Deadline(_) => {
                    "run the command again, or raise `--deadline`; nothing is applied twice".into()
                }
            },
        }
    }
}

/// Notifies every waiting task that the run is to stop.
#[derive(Debug, Clone)]
pub struct Stop {
    requested: watch::Receiver<Option<Reason>>,
}

impl Stop {
    /// Listens to SIGTERM and SIGINT, and to the deadline, counted from `started`.
    ///
    /// # Errors
    /// [`Error::Config`] when the process may not handle signals.
    pub fn listen(started: Instant, deadline: Option<Duration>) -> Result<Self> {
        let handler = |kind| {
            signal(kind).map_err(|e| {
                Error::config(
                    format!("signals cannot be handled: {e}"),
                    "run corveil where a process may handle SIGTERM",
                )
            })
        };
        let (mut terminate, mut interrupt) =
            (handler(SignalKind::terminate())?, handler(SignalKind::interrupt())?);
        let (sender, requested) = watch::channel(None);
        tokio::spawn(async move {
            let over = async {
                match deadline {
                    Some(deadline) => {
                        tokio::time::sleep(deadline.saturating_sub(started.elapsed())).await;
                        Reason::Deadline(deadline)
                    }
                    None => std::future::pending().await,
                }
            };
            let reason = tokio::select! {
                _ = terminate.recv() => Reason::Signal("SIGTERM"),
                _ = interrupt.recv() => Reason::Signal("SIGINT"),
                reason = over => reason,
            };
            let _ = sender.send(Some(reason));
            // Keeps the channel open: a receiver would take its end for a request.
            sender.closed().await;
        });
        Ok(Self { requested })
    }

    /// Why the run is to stop, if it is.
    pub(crate) fn now(&self) -> Option<Reason> {
        *self.requested.borrow()
    }

    /// Resolves when the run is to stop.
    pub(crate) async fn requested(&self) -> Reason {
        let mut requested = self.requested.clone();
        match requested.wait_for(Option::is_some).await.map(|reason| *reason) {
            Ok(Some(reason)) => reason,
            _ => std::future::pending().await,
        }
    }

    /// Resolves when the run was to stop and did not: the server does not even answer a cancellation, or the gate waits
    /// for an answer to one of Corveil's own queries.
    pub(crate) async fn overdue(&self) -> Error {
        let reason = self.requested().await;
        tokio::time::sleep(OVERDUE).await;
        reason.error("while the server did not answer; what it was doing ends with the connection")
    }

    /// Sleeps, unless the run is to stop.
    pub(crate) async fn sleep(&self, time: Duration) -> Result<()> {
        tokio::select! {
            () = tokio::time::sleep(time) => Ok(()),
            reason = self.requested() => Err(reason.error("while waiting for the next try; nothing was under way")),
        }
    }
}

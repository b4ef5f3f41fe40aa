//! The bounds of a run, each inside the next, so that the innermost ends it and can still report why.
//!
//! wait for the database + wait for the lock < `--deadline` < `activeDeadlineSeconds` < the engine's timeout
//!
//! - A Job that is ended by its own `activeDeadlineSeconds` loses its pod, and the log with it: Helm prints
//!   `DeadlineExceeded` and nothing else (seen). So `--deadline` comes [`MARGIN`] earlier.
//! - On its own timeout Helm leaves the Job running (seen), and Argo CD has none. So `activeDeadlineSeconds` comes first.
//! - The sum is that of one attempt. With `backoffLimit: 1` there may be two, and the second may be cut short by the
//!   deadline: it has logged the same cause by then.

use std::time::Duration;

/// How long before the Job's own deadline the program ends by itself: time to cancel the statement on the server, to write
/// the log and the termination message, and for the node to collect both.
pub const MARGIN: Duration = Duration::from_secs(20);

/// Helm's default `--timeout`, for each hook.
pub const ENGINE_TIMEOUT: Duration = Duration::from_mins(5);

/// What bounds an attempt, and the Job around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// `--wait-for-db`
    pub wait_for_db: Duration,
    /// `--lock-wait`
    pub lock_wait: Duration,
    /// The Job's `activeDeadlineSeconds`
    pub active_deadline: Duration,
}

impl Bounds {
    /// The chart's.
    pub const DEFAULT: Self = Self {
        wait_for_db: Duration::from_mins(1),
        lock_wait: Duration::from_mins(2),
        active_deadline: Duration::from_secs(270),
    };

    /// `--deadline`
    #[must_use]
    pub const fn deadline(&self) -> Duration {
        self.active_deadline.saturating_sub(MARGIN)
    }

    /// Whether both waits of one attempt end before the deadline does.
    #[must_use]
    pub fn are_ordered(&self) -> bool {
        self.wait_for_db + self.lock_wait < self.deadline()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bound_is_inside_the_next() {
        let bounds = Bounds::DEFAULT;
        assert!(bounds.wait_for_db < bounds.lock_wait);
        assert!(bounds.are_ordered());
        assert!(bounds.deadline() < bounds.active_deadline);
        assert!(bounds.active_deadline < ENGINE_TIMEOUT);
    }

    #[test]
    fn a_deadline_that_leaves_no_time_to_migrate_is_out_of_order() {
        let with = |seconds| Bounds { active_deadline: Duration::from_secs(seconds), ..Bounds::DEFAULT };
        assert!(!with(0).are_ordered());
        assert!(!with(200).are_ordered());
        assert!(with(201).are_ordered());
    }
}

//! How long to wait before a file is tried again.
//!
//! | try | wait before it |
//! |---|---|
//! | 2 | 0.25 to 0.5 s |
//! | 3 | 0.5 to 1 s |
//! | 4 | 1 to 2 s |
//! | 5 | 2 to 4 s |
//! | 6 and later | 2.5 to 5 s |
//!
//! Exponential back-off with "equal jitter" after Marc Brooker, *Exponential Backoff And Jitter* (AWS Architecture
//! Blog, 2015): half of the wait is fixed, so that a queue of readers behind the blocked statement drains, half is
//! random, so that several runners do not collide again. Ten retries of a file with the default lock timeout of 2 s last
//! about a minute, the length of a long transaction in a healthy application; GitLab's `with_lock_retries`, which has
//! served the same purpose since 2019, gives up its short timeouts after about as long.

use std::time::Duration;

/// Retries of a file unless a flag or a directive sets another number.
pub const DEFAULT_RETRIES: u32 = 10;

const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(5);

/// The wait before try number `attempt + 1`, where `attempt` tries have failed; `jitter` is a random number from
/// 0 to 1.
pub(crate) fn delay(attempt: u32, jitter: f64) -> Duration {
    exponential(FIRST, LONGEST, attempt.saturating_sub(1), jitter)
}

/// `first` doubled `doublings` times, at most `longest`, the upper half of it random.
pub(crate) fn exponential(first: Duration, longest: Duration, doublings: u32, jitter: f64) -> Duration {
    let full = first.saturating_mul(1_u32.checked_shl(doublings.min(20)).unwrap_or(u32::MAX)).min(longest);
    full.mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_those_of_the_table() {
        for (attempt, least, most) in [
            (1, 250, 500),
            (2, 500, 1000),
            (3, 1000, 2000),
            (4, 2000, 4000),
            (5, 2500, 5000),
            (99, 2500, 5000),
        ] {
            assert_eq!(delay(attempt, 0.0), Duration::from_millis(least));
            assert_eq!(delay(attempt, 1.0), Duration::from_millis(most));
        }
    }
}

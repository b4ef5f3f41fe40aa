//! Waiting for a condition. Tests never sleep for "long enough".

use std::time::{Duration, Instant};

/// Asks `condition` again and again until it holds; `what` finishes the sentence "timed out waiting until …".
#[track_caller]
pub(crate) fn wait_until(
    what: &str,
    deadline: Duration,
    condition: impl AsyncFnMut() -> bool,
) -> impl Future<Output = ()> {
    let caller = std::panic::Location::caller();
    poll(format!("timed out after {deadline:?} waiting until {what} (at {caller})"), deadline, condition)
}

async fn poll(failure: String, deadline: Duration, mut condition: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + deadline;
    while !condition().await {
        assert!(Instant::now() < end, "{failure}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

//! Waiting for conditions.

use std::future::Future;
use std::time::{Duration, Instant};

/// Waits until `condition` holds; fails after a minute with `what`.
#[track_caller]
pub fn until<F: Future<Output = bool>>(
    what: &str,
    mut condition: impl FnMut() -> F,
) -> impl Future<Output = ()> {
    let caller = std::panic::Location::caller();
    async move {
        let began = Instant::now();
        while !condition().await {
            assert!(began.elapsed() < Duration::from_secs(60), "{caller}: waited in vain: {what}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

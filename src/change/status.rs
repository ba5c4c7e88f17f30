//! How a subscription is doing.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use crate::consumer::GroupState;
use crate::time::since_micros;

/// A subscription's figures since it was started in this process.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SubscriptionStatus {
    /// The subscription.
    pub name: String,
    /// What it is at.
    pub state: GroupState,
    /// Changes handled.
    pub handled: u64,
    /// Changes that were not asked for, by operation or filter.
    pub filtered: u64,
    /// Attempts that failed and were repeated.
    pub retries: u64,
    /// Changes that were poison and passed over.
    pub skipped: u64,
    /// Changes read and not done yet.
    pub in_flight: usize,
    /// Everything written before this time is done, in all tables, µs since 1970; `None`
    /// before the first read.
    pub watermark: Option<i64>,
    /// How far the watermark is behind now: never less than the safety interval.
    pub lag: Option<Duration>,
}

/// The counters behind a [`SubscriptionStatus`].
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) handled: AtomicU64,
    pub(crate) filtered: AtomicU64,
    pub(crate) retries: AtomicU64,
    pub(crate) skipped: AtomicU64,
    state: Mutex<Option<GroupState>>,
}

impl Counters {
    pub(crate) fn add(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn set_state(&self, state: GroupState) {
        *self.state.lock() = Some(state);
    }

    pub(crate) fn status(
        &self,
        name: &str,
        in_flight: usize,
        watermark: Option<i64>,
    ) -> SubscriptionStatus {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        SubscriptionStatus {
            name: name.to_owned(),
            state: self.state.lock().clone().unwrap_or(GroupState::Running),
            handled: read(&self.handled),
            filtered: read(&self.filtered),
            retries: read(&self.retries),
            skipped: read(&self.skipped),
            in_flight,
            watermark,
            lag: watermark.map(since_micros),
        }
    }
}

//! How a group is doing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use crate::consumer::dead_letters::Parked;
use crate::consumer::run::GroupContext;
use crate::consumer::supervise::Group;

/// What a group is at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupState {
    /// Handling what `event_store` holds, before the log is followed.
    Replaying,
    /// Reading and handling.
    Running,
    /// Something failed; the group begins again at its checkpoint.
    Restarting {
        /// What failed.
        reason: String,
    },
    /// It stands before an event that it cannot handle.
    Halted {
        /// Which, and why.
        reason: String,
    },
    /// Other runners have its slices; this one stands by.
    Standby,
    /// An operator paused it.
    Paused,
    /// Stopped on request.
    Stopped,
}

/// A group's figures since it was started in this process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupStatus {
    /// The group.
    pub name: String,
    /// What it is at.
    pub state: GroupState,
    /// Events handled.
    pub handled: u64,
    /// Events that came again and were dropped.
    pub duplicates: u64,
    /// Events that the log did not show in time, found in `event_store`.
    pub repaired: u64,
    /// Events that the tail should have shown and did not: the sweep brought them.
    pub late: u64,
    /// Events that the tail showed and the group could not take: they come a little later.
    pub hints_lost: u64,
    /// Whether events come by the tail, within milliseconds, and not by the sweep alone.
    pub following: bool,
    /// Attempts that failed and were repeated.
    pub retries: u64,
    /// Events that went to the dead letters: those that failed and those behind them.
    pub dead_letters: u64,
    /// Dead letters that were retried and then worked.
    pub letters_retried: u64,
    /// Aggregates that wait behind a dead letter.
    pub parked: usize,
    /// Events read and not done yet.
    pub in_flight: usize,
    /// Everything written before this time is done, µs since 1970; `None` before the first read.
    pub watermark: Option<i64>,
    /// How far the watermark is behind now: never less than the safety interval.
    pub lag: Option<Duration>,
}

impl GroupState {
    /// Its name, and why it is so.
    pub(crate) fn parts(&self) -> (&'static str, Option<&str>) {
        match self {
            GroupState::Running => ("running", None),
            GroupState::Replaying => ("replaying", None),
            GroupState::Restarting { reason } => ("restarting", Some(reason)),
            GroupState::Halted { reason } => ("halted", Some(reason)),
            GroupState::Standby => ("standby", None),
            GroupState::Paused => ("paused", None),
            GroupState::Stopped => ("stopped", None),
        }
    }
}

impl GroupContext {
    /// How the slice is doing.
    pub(crate) fn status(&self) -> GroupStatus {
        let progress = Arc::clone(&self.progress.lock());
        let watermark = progress.watermark().map(|millis| millis * 1000);
        self.counters.status(&self.name, progress.in_flight(), watermark)
    }
}

impl Group {
    /// How the slices that run here are doing together; the counters are those of all that
    /// ever ran here.
    pub(crate) fn status(&self) -> GroupStatus {
        let contexts: Vec<_> = self.contexts.lock().values().cloned().collect();
        let counters: Vec<_> = self.counters.lock().values().cloned().collect();
        let statuses: Vec<_> = contexts.iter().map(|context| context.status()).collect();
        let mut total = Counters::default().status(&self.name, 0, None);
        for counters in &counters {
            let slice = counters.status(&self.name, 0, None);
            total.handled += slice.handled;
            total.duplicates += slice.duplicates;
            total.repaired += slice.repaired;
            total.late += slice.late;
            total.hints_lost += slice.hints_lost;
            total.retries += slice.retries;
            total.dead_letters += slice.dead_letters;
            total.letters_retried += slice.letters_retried;
        }
        total.in_flight = statuses.iter().map(|s| s.in_flight).sum();
        total.parked = statuses.iter().map(|s| s.parked).sum();
        total.following = !statuses.is_empty() && statuses.iter().all(|s| s.following);
        if statuses.iter().all(|s| s.watermark.is_some()) {
            total.watermark = statuses.iter().filter_map(|s| s.watermark).min();
            total.lag = statuses.iter().filter_map(|s| s.lag).max();
        }
        let troubled = statuses.iter().find(|s| s.state != GroupState::Running);
        let state = self.state.lock().clone();
        total.state =
            state.or_else(|| troubled.map(|s| s.state.clone())).unwrap_or(GroupState::Running);
        total
    }
}

/// The counters behind a [`GroupStatus`].
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) handled: AtomicU64,
    pub(crate) duplicates: AtomicU64,
    pub(crate) repaired: AtomicU64,
    pub(crate) late: AtomicU64,
    pub(crate) hints_lost: AtomicU64,
    pub(crate) following: AtomicBool,
    pub(crate) retries: AtomicU64,
    pub(crate) dead_letters: AtomicU64,
    pub(crate) letters_retried: AtomicU64,
    /// Of the current run.
    pub(crate) parked: Mutex<Arc<Parked>>,
    pub(crate) state: Mutex<Option<GroupState>>,
}

impl Counters {
    pub(crate) fn add(counter: &AtomicU64, n: u64) {
        counter.fetch_add(n, Ordering::Relaxed);
    }

    pub(crate) fn set_state(&self, state: GroupState) {
        *self.state.lock() = Some(state);
    }

    pub(crate) fn status(
        &self,
        name: &str,
        in_flight: usize,
        watermark: Option<i64>,
    ) -> GroupStatus {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        GroupStatus {
            name: name.to_owned(),
            state: self.state.lock().clone().unwrap_or(GroupState::Running),
            handled: read(&self.handled),
            duplicates: read(&self.duplicates),
            repaired: read(&self.repaired),
            late: read(&self.late),
            hints_lost: read(&self.hints_lost),
            following: self.following.load(Ordering::Relaxed),
            retries: read(&self.retries),
            dead_letters: read(&self.dead_letters),
            letters_retried: read(&self.letters_retried),
            parked: self.parked.lock().count(),
            in_flight,
            watermark,
            lag: watermark.map(crate::time::since_micros),
        }
    }
}

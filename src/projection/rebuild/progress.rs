//! How far a rebuild is.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use serde::Serialize;
use tokio::time::Instant;

use crate::projection::rebuild::SkippedEvent;

/// What a rebuild is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum RebuildPhase {
    /// Tables are made, emptied, or marked.
    Preparing,
    /// Events are scanned and written.
    Replaying,
    /// The log is followed until the new version is level.
    Following,
    /// Events are scanned and written once more, into tables to compare with.
    ReplayingToCompare,
    /// Rows are compared.
    Comparing,
    /// Queries and the live group go to the new version.
    Switching,
}

/// How far a rebuild is; told several times a second.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RebuildProgress {
    /// What it is at.
    pub phase: RebuildPhase,
    /// Events read and written in this phase, those of an interrupted run included; rows
    /// compared while comparing.
    pub events: u64,
    /// Rows put and deleted.
    pub writes: u64,
    /// Events that could not be handled and were skipped.
    pub skipped: u64,
    /// Part of the token ring that is done in this phase, 0 to 1.
    pub ring: f64,
    /// Events per second lately; 0 before the first.
    pub rate: f64,
    /// How long this phase has taken, in this run.
    pub elapsed: Duration,
    /// How long it may still take, if the rest of the ring is like what this run has done.
    pub remaining: Option<Duration>,
}

/// At most this many skipped events are kept by position; all are counted.
pub(super) const SKIPPED_KEPT: usize = 1000;

/// The counters of a phase, and what was skipped.
#[derive(Debug, Default)]
pub(super) struct Totals {
    pub(super) events: AtomicU64,
    pub(super) writes: AtomicU64,
    pub(super) skipped: AtomicU64,
    /// Parts of the ring that are done, of [`Totals::RING`].
    pub(super) ring: AtomicU64,
    pub(super) skipped_events: Mutex<Vec<SkippedEvent>>,
}

impl Totals {
    /// The whole ring.
    pub(super) const RING: u64 = 1 << 32;

    pub(super) fn add(counter: &AtomicU64, n: u64) {
        counter.fetch_add(n, Ordering::Relaxed);
    }

    pub(super) fn skip(&self, event: SkippedEvent) {
        Self::add(&self.skipped, 1);
        let mut kept = self.skipped_events.lock();
        if kept.len() < SKIPPED_KEPT {
            kept.push(event);
        }
    }

    fn ring(&self) -> f64 {
        self.ring.load(Ordering::Relaxed) as f64 / Self::RING as f64
    }
}

/// Makes [`RebuildProgress`] of [`Totals`].
#[derive(Debug)]
pub(super) struct Meter {
    phase: RebuildPhase,
    began: Instant,
    /// Where this run began in the ring.
    ring_before: f64,
    sampled: (Instant, u64),
    rate: f64,
}

impl Meter {
    pub(super) fn new(phase: RebuildPhase, totals: &Totals) -> Self {
        let now = Instant::now();
        let events = totals.events.load(Ordering::Relaxed);
        Self { phase, began: now, ring_before: totals.ring(), sampled: (now, events), rate: 0.0 }
    }

    pub(super) fn progress(&mut self, totals: &Totals) -> RebuildProgress {
        let events = totals.events.load(Ordering::Relaxed);
        let seconds = self.sampled.0.elapsed().as_secs_f64();
        // Shorter stretches say little.
        if seconds >= 0.2 {
            let now = events.saturating_sub(self.sampled.1) as f64 / seconds;
            self.rate = if self.rate == 0.0 { now } else { self.rate * 0.7 + now * 0.3 };
            self.sampled = (Instant::now(), events);
        }
        let ring = totals.ring().min(1.0);
        let elapsed = self.began.elapsed();
        let remaining = remaining(elapsed, ring - self.ring_before, 1.0 - ring);
        RebuildProgress {
            phase: self.phase,
            events,
            writes: totals.writes.load(Ordering::Relaxed),
            skipped: totals.skipped.load(Ordering::Relaxed),
            ring,
            rate: self.rate,
            elapsed,
            remaining,
        }
    }
}

/// How long `rest` of the ring takes if it is like the part that has been done.
fn remaining(elapsed: Duration, done: f64, rest: f64) -> Option<Duration> {
    (done > 0.0).then(|| elapsed.mul_f64((rest / done).clamp(0.0, 1e6)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_is_estimated_from_this_runs_part_of_the_ring() {
        let ten = Duration::from_secs(10);
        assert_eq!(remaining(ten, 0.0, 0.5), None);
        assert_eq!(remaining(ten, 0.25, 0.25), Some(ten));
        assert_eq!(remaining(ten, 0.25, 0.0), Some(Duration::ZERO));
    }

    #[test]
    fn progress_counts_what_an_interrupted_run_has_done() {
        let totals = Totals::default();
        Totals::add(&totals.ring, Totals::RING / 2);
        Totals::add(&totals.events, 500);
        let mut meter = Meter::new(RebuildPhase::Replaying, &totals);
        Totals::add(&totals.ring, Totals::RING / 4);
        Totals::add(&totals.events, 250);
        let progress = meter.progress(&totals);
        assert_eq!(progress.events, 750);
        assert!((progress.ring - 0.75).abs() < 1e-9, "{progress:?}");
        assert!(progress.remaining.is_some_and(|left| left <= progress.elapsed));
    }
}

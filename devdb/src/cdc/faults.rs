//! Log rows that come late or twice, on demand.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Faults of log rows. Shared by a node and its tests.
///
/// *Late* stands for a replica, or a coordinator's batch, that is slow: a base write is
/// acknowledged and seen, its log rows are seen later although their `cdc$time` is old.
/// *Twice* stands for a coordinator that repeats a write: each attempt makes log rows of
/// its own, with another `cdc$time` of the same microsecond.
#[derive(Debug, Default)]
pub struct LogFaults {
    late_every: AtomicU64,
    late_micros: AtomicU64,
    late_seen: AtomicU64,
    twice_every: AtomicU64,
    twice_seen: AtomicU64,
}

impl LogFaults {
    /// The log rows of every n-th write to a partition are seen only after `delay`; 1: of
    /// every write; 0: of none.
    pub fn late(&self, every: u64, delay: Duration) {
        self.late_micros
            .store(u64::try_from(delay.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
        self.late_every.store(every, Ordering::Relaxed);
    }

    /// The log rows of every n-th write to a partition are written twice; 0: of none.
    pub fn twice(&self, every: u64) {
        self.twice_every.store(every, Ordering::Relaxed);
    }

    /// No faults.
    pub fn clear(&self) {
        self.late_every.store(0, Ordering::Relaxed);
        self.twice_every.store(0, Ordering::Relaxed);
    }

    fn hits(every: &AtomicU64, seen: &AtomicU64) -> bool {
        let every = every.load(Ordering::Relaxed);
        every > 0 && (seen.fetch_add(1, Ordering::Relaxed) + 1).is_multiple_of(every)
    }

    pub(super) fn delay(&self) -> Option<Duration> {
        Self::hits(&self.late_every, &self.late_seen)
            .then(|| Duration::from_micros(self.late_micros.load(Ordering::Relaxed)))
    }

    pub(super) fn is_twice(&self) -> bool {
        Self::hits(&self.twice_every, &self.twice_seen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_third_is_hit() {
        let faults = LogFaults::default();
        assert_eq!(faults.delay(), None);
        faults.late(3, Duration::from_millis(5));
        let hits: Vec<bool> = (0..6).map(|_| faults.delay().is_some()).collect();
        assert_eq!(hits, [false, false, true, false, false, true]);
        faults.clear();
        assert_eq!(faults.delay(), None);
    }
}

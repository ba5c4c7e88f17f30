//! The node's clock.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Gives write timestamps and the seconds by which TTLs are judged. Cloning is by `Arc`.
#[derive(Debug, Default)]
pub struct Clock {
    offset_micros: AtomicI64,
    /// How far it goes ahead of the system's, so as not to go back over a restart.
    ahead_micros: AtomicI64,
    last: AtomicI64,
    /// The last transaction's, whatever the offset was.
    last_ballot: AtomicI64,
}

impl Clock {
    /// The system's time.
    pub fn new() -> Self {
        Self::default()
    }

    /// Moves this node's time against the system's: a fault (a badly synchronized node).
    pub fn set_offset_micros(&self, offset: i64) {
        self.offset_micros.store(offset, Ordering::Relaxed);
        // A clock that was set back gives earlier timestamps again, as a real node's would.
        self.last.store(0, Ordering::Relaxed);
    }

    /// What was set by [`Clock::set_offset_micros`].
    pub fn offset_micros(&self) -> i64 {
        self.offset_micros.load(Ordering::Relaxed)
    }

    /// Microseconds since 1970, twice the same perhaps.
    pub fn read_micros(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_micros())
            .unwrap_or(i64::MAX)
            .saturating_add(self.ahead_micros.load(Ordering::Relaxed))
            .saturating_add(self.offset_micros.load(Ordering::Relaxed))
    }

    /// The time up to which timestamps have been given, without the offset: what a journal
    /// keeps for [`Clock::not_before`].
    pub fn mark(&self) -> i64 {
        let offset = self.offset_micros.load(Ordering::Relaxed);
        let last = self.last.load(Ordering::Relaxed).max(self.read_micros());
        last.saturating_sub(offset)
    }

    /// Goes on from a [`Clock::mark`] of an earlier run, should the system's time be behind
    /// it: what is written from now on is later than what was.
    pub fn not_before(&self, mark: i64) {
        let offset = self.offset_micros.load(Ordering::Relaxed);
        let behind = mark.saturating_add(1).saturating_sub(self.read_micros() - offset);
        if behind > 0 {
            self.ahead_micros.fetch_add(behind, Ordering::Relaxed);
        }
    }

    /// A write timestamp: microseconds since 1970, never the same twice.
    pub fn now_micros(&self) -> i64 {
        let now = self.read_micros();
        let mut last = self.last.load(Ordering::Relaxed);
        loop {
            let next = now.max(last + 1);
            match self.last.compare_exchange_weak(last, next, Ordering::Relaxed, Ordering::Relaxed)
            {
                Ok(_) => return next,
                Err(seen) => last = seen,
            }
        }
    }

    /// A transaction's write timestamp: later than that of every transaction before it, also
    /// when the clock was set back in between. In ScyllaDB a proposal's ballot is later than
    /// what the partition's replicas have promised and committed, and the ballot's time is the
    /// write timestamp. (Here one for all partitions, which is as good where clocks are right.)
    pub fn ballot_micros(&self) -> i64 {
        let now = self.now_micros();
        let mut last = self.last_ballot.load(Ordering::Relaxed);
        loop {
            let next = now.max(last + 1);
            let (success, failure) = (Ordering::Relaxed, Ordering::Relaxed);
            match self.last_ballot.compare_exchange_weak(last, next, success, failure) {
                Ok(_) => return next,
                Err(seen) => last = seen,
            }
        }
    }

    /// Milliseconds since 1970.
    pub fn now_millis(&self) -> i64 {
        self.read_micros().div_euclid(1000)
    }

    /// Seconds since 1970.
    pub fn now_seconds(&self) -> i64 {
        self.read_micros().div_euclid(1_000_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn write_timestamps_grow_and_follow_the_offset() {
        let clock = Clock::new();
        let a = clock.now_micros();
        let b = clock.now_micros();
        assert!(b > a);
        clock.set_offset_micros(3_600_000_000);
        assert!(clock.now_micros() > b + 3_599_000_000);
        clock.set_offset_micros(0);
        assert!(clock.now_micros() < b + 60_000_000);
    }

    #[test]
    fn transactions_follow_each_other_on_a_clock_that_is_set_back() {
        let clock = Clock::new();
        clock.set_offset_micros(4_000_000);
        let ahead = clock.ballot_micros();
        clock.set_offset_micros(-4_000_000);
        assert!(clock.now_micros() < ahead);
        assert!(clock.ballot_micros() > ahead);
    }

    #[test]
    fn a_clock_goes_on_from_the_mark_of_an_earlier_one() {
        let earlier = Clock::new();
        earlier.not_before(earlier.read_micros() + 3_600_000_000);
        let last = earlier.now_micros();
        earlier.set_offset_micros(3_600_000_000);
        let clock = Clock::new();
        clock.not_before(earlier.mark());
        assert!(clock.now_micros() > last);
        // An offset is a fault of the earlier run and no time that has passed.
        assert!(clock.now_micros() < last + 60_000_000);
        let before = clock.read_micros();
        clock.not_before(0);
        assert!(clock.read_micros() < before + 60_000_000);
    }
}

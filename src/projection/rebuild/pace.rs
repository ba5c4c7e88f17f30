//! A limit on events per second.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until};

/// Gives out moments at which events may be written, evenly.
#[derive(Debug)]
pub(super) struct Pace {
    per_second: f64,
    next: Mutex<Instant>,
}

impl Pace {
    pub(super) fn new(per_second: f64) -> Self {
        Self { per_second, next: Mutex::new(Instant::now()) }
    }

    /// How many events to ask for at once: a tenth of a second's, so that the limit is not
    /// met in bursts.
    pub(super) fn portion(&self) -> usize {
        ((self.per_second / 10.0) as usize).clamp(1, 1000)
    }

    /// Waits until this many events may be written.
    pub(super) async fn take(&self, events: usize) {
        sleep_until(self.reserve(Instant::now(), events)).await;
    }

    /// When this many events, asked for at `now`, may be written.
    fn reserve(&self, now: Instant, events: usize) -> Instant {
        let mut next = self.next.lock();
        // Time in which nothing was asked for is not saved up.
        let begin = (*next).max(now);
        *next = begin + Duration::from_secs_f64(events as f64 / self.per_second);
        begin
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_spread_evenly_and_idle_time_is_not_saved_up() {
        let pace = Pace::new(1000.0);
        assert_eq!(pace.portion(), 100);
        let began = Instant::now() + Duration::from_secs(1);
        for tenths in 0..20 {
            let at = pace.reserve(began, pace.portion());
            assert_eq!(at - began, Duration::from_millis(100) * tenths);
        }
        let later = began + Duration::from_secs(60);
        assert_eq!(pace.reserve(later, 100), later);
        assert_eq!(pace.reserve(later, 100), later + Duration::from_millis(100));
    }
}

//! What became of each event: when its append was acknowledged, when each group had
//! handled it.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use messina::EventId;
use parking_lot::Mutex;

/// The most groups that are followed.
const GROUPS: usize = 4;

/// The topic's reader, in a place of its own behind the groups.
pub(crate) const TOPIC: usize = GROUPS;

/// Spreads the map over locks that handlers and writers hardly share.
const SHARDS: usize = 64;

#[derive(Debug, Default, Clone, Copy)]
struct Times {
    acknowledged: Option<Instant>,
    handled: [Option<Instant>; GROUPS + 1],
}

/// The events of a run. An event may be handled before its acknowledgement is noted, so
/// either comes first.
pub(crate) struct Tracker {
    shards: Vec<Mutex<HashMap<EventId, Times>>>,
}

/// How a group has done.
pub(crate) struct Reached {
    /// Acknowledged events that it has handled.
    pub(crate) events: usize,
    /// From acknowledgement to handled, µs.
    pub(crate) latency: Histogram<u64>,
}

impl Tracker {
    pub(crate) fn new() -> Self {
        Self { shards: (0..SHARDS).map(|_| Mutex::default()).collect() }
    }

    fn shard(&self, id: EventId) -> &Mutex<HashMap<EventId, Times>> {
        // The ids are version 7: their last bytes are random.
        let [.., last] = id.0.into_bytes();
        &self.shards[usize::from(last) % SHARDS]
    }

    /// An append with this event has been acknowledged.
    pub(crate) fn acknowledged(&self, id: EventId, at: Instant) {
        self.shard(id).lock().entry(id).or_default().acknowledged = Some(at);
    }

    /// A group has handled this event.
    pub(crate) fn handled(&self, group: usize, id: EventId) {
        let now = Instant::now();
        let mut shard = self.shard(id).lock();
        // When an event comes again, the first time counts.
        if let Some(slot) = shard.entry(id).or_default().handled.get_mut(group) {
            slot.get_or_insert(now);
        }
    }

    /// How many events have been acknowledged.
    pub(crate) fn total(&self) -> usize {
        self.sum(|times| usize::from(times.acknowledged.is_some()))
    }

    /// Acknowledged events that groups have handled, all groups together. What comes again of
    /// an earlier run is none of them.
    pub(crate) fn handled_in_all(&self) -> usize {
        self.sum(|times| match times.acknowledged {
            Some(_) => times.handled[..GROUPS].iter().flatten().count(),
            None => 0,
        })
    }

    /// Acknowledged events that were read from the topic.
    pub(crate) fn read_from_topic(&self) -> usize {
        self.sum(|times| {
            usize::from(times.acknowledged.is_some() && times.handled[TOPIC].is_some())
        })
    }

    fn sum(&self, count: impl Fn(&Times) -> usize) -> usize {
        self.shards.iter().map(|s| s.lock().values().map(&count).sum::<usize>()).sum()
    }

    /// The acknowledged events.
    pub(crate) fn ids(&self) -> Vec<EventId> {
        let of = |shard: &Mutex<HashMap<EventId, Times>>| {
            let shard = shard.lock();
            let acknowledged = shard.iter().filter(|(_, times)| times.acknowledged.is_some());
            acknowledged.map(|(id, _)| *id).collect::<Vec<_>>()
        };
        self.shards.iter().flat_map(of).collect()
    }

    /// What a group has handled of what was acknowledged, and how soon.
    pub(crate) fn reached(&self, group: usize) -> Reached {
        let mut reached = Reached { events: 0, latency: microseconds() };
        for shard in &self.shards {
            for times in shard.lock().values() {
                let handled = times.handled.get(group).copied().flatten();
                if let (Some(acknowledged), Some(handled)) = (times.acknowledged, handled) {
                    reached.events += 1;
                    record(&mut reached.latency, handled.saturating_duration_since(acknowledged));
                }
            }
        }
        reached
    }
}

/// A histogram of microseconds up to an hour, to three digits.
pub(crate) fn microseconds() -> Histogram<u64> {
    // These bounds and digits are among those that it offers: there is nothing to fail.
    Histogram::new_with_bounds(1, 3_600_000_000, 3)
        .unwrap_or_else(|_| unreachable!("the bounds are valid"))
}

pub(crate) fn record(histogram: &mut Histogram<u64>, duration: Duration) {
    histogram.saturating_record(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_counted_per_group_whatever_is_noted_first() {
        let tracker = Tracker::new();
        let (a, b) = (EventId::new(), EventId::new());
        tracker.handled(1, a);
        tracker.acknowledged(a, Instant::now());
        tracker.acknowledged(b, Instant::now());
        tracker.handled(1, b);
        tracker.handled(1, b);
        tracker.handled(0, b);
        tracker.handled(TOPIC, a);
        tracker.handled(TOPIC, EventId::new());
        tracker.handled(0, EventId::new());
        assert_eq!((tracker.total(), tracker.handled_in_all()), (2, 3));
        assert_eq!(tracker.read_from_topic(), 1);
        assert_eq!((tracker.reached(0).events, tracker.reached(1).events), (1, 2));
        assert_eq!(tracker.reached(2).events, 0);
        assert_eq!(tracker.ids().len(), 2);
    }

    #[test]
    fn latencies_are_kept_to_three_digits() {
        let mut histogram = microseconds();
        record(&mut histogram, Duration::from_millis(250));
        assert_eq!(histogram.value_at_quantile(0.5) / 1000, 250);
        record(&mut histogram, Duration::from_secs(100_000));
        assert!(histogram.max() >= 3_600_000_000);
    }
}

//! Puts each aggregate's events in order: which have been let through, and what is missing.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::RwLock;
use tokio::sync::{Mutex, MutexGuard};

use crate::consumer::progress::{Millis, StreamId};
use crate::consumer::settings::millis;
use crate::event::EventEnvelope;
use crate::ids::AggregateId;

/// A commit is written at most an append's deadline (10 s) after its events got their
/// `committed_at`, and written again no later. For so long behind the sweep an aggregate is
/// remembered.
const MARGIN: Duration = Duration::from_secs(15);

/// Per aggregate, which events have been let through of those newer than the sweep's
/// position (less a margin).
///
/// An event's *time* is that of its row in the log, which is its write time in
/// `event_store`. What is not in memory and older than the sweep's position has been let
/// through, by this run or an earlier one; what is not in memory and newer has not.
#[derive(Debug)]
pub(crate) struct Sequencer {
    shards: Box<[Mutex<Shard>]>,
    bounds: RwLock<Bounds>,
    aggregates: AtomicUsize,
}

/// Part of the aggregates. Whoever holds it decides alone about them, and hands on what it
/// lets through before it gives it back.
#[derive(Debug, Default)]
pub(crate) struct Shard {
    last: HashMap<AggregateId, Last>,
}

/// The events of an aggregate that have been let through one after the other.
#[derive(Debug, Clone, Copy)]
struct Last {
    first: i64,
    last: i64,
    /// Of the last.
    time: Millis,
    stream: StreamId,
}

#[derive(Debug)]
struct Bounds {
    /// Before this everything was let through by earlier runs.
    start: Bound,
    /// By stream, once the sweep reads it. An aggregate whose stream is not among them is
    /// of a generation that has ended or not begun.
    streams: HashMap<StreamId, Bound>,
    /// The smallest of all.
    all: Bound,
}

#[derive(Debug, Clone, Copy)]
struct Bound {
    /// Aggregates whose last event is older are forgotten.
    forget: Millis,
    /// Unless in memory, events written at this time or later have not been let through.
    since: Millis,
}

/// What to do with an event.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Verdict {
    /// It has been let through.
    Duplicate,
    /// It is the aggregate's next.
    Next,
    /// It comes before what has been let through, and was not: it is later than anything
    /// that order could wait for.
    Overtaken,
    /// Those after this sequence number come first.
    Gap {
        /// The last that was let through.
        after: i64,
    },
    /// Those written at this time or later come first, if there are any.
    Unknown {
        /// µs since 1970.
        since: i64,
    },
}

impl Sequencer {
    /// A run begins at `start` and sweeps `safety_interval` behind now.
    ///
    /// A row that became visible later than that was missed by the run before, so what an
    /// aggregate did shortly before `start` is looked up when its next event comes, and
    /// handled again. With a safety interval of the margin or more there are no such rows.
    pub(crate) fn new(start: Millis, safety_interval: Duration, shards: usize) -> Self {
        let start = Bound {
            forget: start - millis(MARGIN),
            since: start - millis(MARGIN.saturating_sub(safety_interval)),
        };
        Self {
            shards: (0..shards.max(1)).map(|_| Mutex::default()).collect(),
            bounds: RwLock::new(Bounds { start, streams: HashMap::new(), all: start }),
            aggregates: AtomicUsize::new(0),
        }
    }

    /// How many aggregates are remembered, about.
    pub(crate) fn aggregates(&self) -> usize {
        self.aggregates.load(Ordering::Relaxed)
    }

    /// Forgets what is older than the sweep's positions, less the margin.
    pub(crate) async fn swept(&self, positions: &HashMap<StreamId, Millis>) {
        let Some(all) = positions.values().min() else { return };
        {
            let mut bounds = self.bounds.write();
            let start = bounds.start;
            let bound = |position: Millis| {
                let forget = start.forget.max(position - millis(MARGIN));
                Bound { forget, since: start.since.max(forget) }
            };
            // First the bounds, then the memory: whoever does not find an aggregate must not
            // take it for one that was never let through.
            bounds.all = bound(*all);
            bounds.streams =
                positions.iter().map(|(id, position)| (*id, bound(*position))).collect();
        }
        let mut aggregates = 0;
        for shard in &self.shards {
            // One that is in use is cleaned next time.
            let Ok(mut shard) = shard.try_lock() else { continue };
            let bounds = self.bounds.read();
            shard.last.retain(|_, last| last.time >= bounds.of(last.stream).forget);
            if shard.last.capacity() > 64 + 4 * shard.last.len() {
                shard.last.shrink_to_fit();
            }
            aggregates += shard.last.len();
        }
        self.aggregates.store(aggregates, Ordering::Relaxed);
    }

    /// Takes the shard of a lane's aggregates, when it is free.
    pub(crate) async fn shard(&self, lane: usize) -> MutexGuard<'_, Shard> {
        self.shards[lane % self.shards.len()].lock().await
    }

    /// Finds an event's place. The caller holds the aggregate's shard.
    pub(crate) fn judge(&self, shard: &Shard, event: &EventEnvelope, stream: StreamId) -> Verdict {
        match shard.last.get(&event.aggregate_id) {
            Some(known) if event.sequence_number < known.first => Verdict::Overtaken,
            Some(known) if event.sequence_number <= known.last => Verdict::Duplicate,
            Some(known) if event.sequence_number == known.last + 1 => Verdict::Next,
            Some(known) => Verdict::Gap { after: known.last },
            None => {
                let bound = self.bounds.read().of(stream);
                match event.previous_committed_at {
                    // It was written at its `committed_at` or up to the deadline later.
                    Some(previous) if previous / 1000 >= bound.forget => {
                        Verdict::Unknown { since: bound.since.saturating_mul(1000) }
                    }
                    _ => Verdict::Next,
                }
            }
        }
    }

    /// Notes that an event has been let through.
    pub(crate) fn passed(
        &self,
        shard: &mut Shard,
        event: &EventEnvelope,
        stream: StreamId,
        time: Millis,
    ) {
        let number = event.sequence_number;
        let entry = shard.last.entry(event.aggregate_id).or_insert_with(|| {
            self.aggregates.fetch_add(1, Ordering::Relaxed);
            Last { first: number, last: number, time, stream }
        });
        // A gap's events carry the time of the row that showed it: later than their own.
        entry.first = entry.first.min(number);
        entry.last = entry.last.max(number);
        entry.time = entry.time.max(time);
        entry.stream = stream;
    }

    /// Whether an event of this time may be shown by the log once more.
    pub(crate) fn is_recent(&self, time: Millis) -> bool {
        time >= self.bounds.read().start.forget
    }

    /// Notes that an event and all before it have been let through, though not from the log.
    pub(crate) fn settled(&self, shard: &mut Shard, event: &EventEnvelope, time: Millis) {
        // The stream is that of no generation.
        self.passed(shard, event, StreamId::MAX, time);
        if let Some(entry) = shard.last.get_mut(&event.aggregate_id) {
            entry.first = 1;
        }
    }
}

impl Shard {
    /// Whether this event has been let through: quicker than to judge it.
    pub(crate) fn has(&self, id: AggregateId, sequence_number: i64) -> bool {
        self.last
            .get(&id)
            .is_some_and(|known| (known.first..=known.last).contains(&sequence_number))
    }
}

impl Bounds {
    fn of(&self, stream: StreamId) -> Bound {
        self.streams.get(&stream).copied().unwrap_or(self.all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::envelope;

    const START: Millis = 1_000_000_000;
    const STREAM: StreamId = 7;
    const SAFETY: Duration = Duration::from_secs(30);

    fn event(sequence_number: i64, previous: Option<Millis>) -> EventEnvelope {
        let mut event = envelope("Order", sequence_number);
        event.aggregate_id = AggregateId(uuid::Uuid::nil());
        event.previous_committed_at = previous.map(|millis| millis * 1000);
        event
    }

    async fn pass(sequencer: &Sequencer, event: &EventEnvelope, time: Millis) {
        sequencer.passed(&mut *sequencer.shard(0).await, event, STREAM, time);
    }

    async fn judge(sequencer: &Sequencer, event: &EventEnvelope) -> Verdict {
        sequencer.judge(&*sequencer.shard(0).await, event, STREAM)
    }

    #[tokio::test]
    async fn events_follow_each_other_and_come_once() {
        let sequencer = Sequencer::new(START, SAFETY, 1);
        for n in 1..=3 {
            let event = event(n, (n > 1).then_some(START));
            assert_eq!(judge(&sequencer, &event).await, Verdict::Next);
            pass(&sequencer, &event, START + n).await;
            assert_eq!(judge(&sequencer, &event).await, Verdict::Duplicate);
        }
        assert_eq!(judge(&sequencer, &event(1, None)).await, Verdict::Duplicate);
        assert!(sequencer.shard(0).await.has(event(2, None).aggregate_id, 2));
        assert!(!sequencer.shard(0).await.has(event(4, None).aggregate_id, 4));
    }

    #[tokio::test]
    async fn a_hole_is_seen_where_it_begins() {
        let sequencer = Sequencer::new(START, SAFETY, 1);
        pass(&sequencer, &event(2, None), START).await;
        assert_eq!(judge(&sequencer, &event(5, None)).await, Verdict::Gap { after: 2 });
    }

    #[tokio::test]
    async fn what_was_overtaken_is_known() {
        let sequencer = Sequencer::new(START, SAFETY, 1);
        pass(&sequencer, &event(6, Some(START - 3_600_000)), START).await;
        assert_eq!(judge(&sequencer, &event(5, None)).await, Verdict::Overtaken);
        assert_eq!(judge(&sequencer, &event(6, None)).await, Verdict::Duplicate);
    }

    #[tokio::test]
    async fn an_aggregate_from_before_the_start_goes_on() {
        let sequencer = Sequencer::new(START, Duration::ZERO, 1);
        let long_ago = START - millis(MARGIN) - 1;
        assert_eq!(judge(&sequencer, &event(9, Some(long_ago))).await, Verdict::Next);
        // Earlier runs may have missed what was late by more than their safety interval.
        assert_eq!(
            judge(&sequencer, &event(9, Some(START - 1))).await,
            Verdict::Unknown { since: (START - millis(MARGIN)) * 1000 }
        );
        let safe = Sequencer::new(START, SAFETY, 1);
        assert_eq!(
            judge(&safe, &event(9, Some(START - 1))).await,
            Verdict::Unknown { since: START * 1000 }
        );
    }

    #[tokio::test]
    async fn what_is_behind_the_sweep_is_forgotten_stream_by_stream() {
        let sequencer = Sequencer::new(START, SAFETY, 4);
        for n in 0..100 {
            let event = envelope("Order", 1);
            let stream = if n % 2 == 0 { STREAM } else { STREAM + 1 };
            let mut shard = sequencer.shard(n as usize).await;
            sequencer.passed(&mut shard, &event, stream, START + n * 1000);
        }
        assert_eq!(sequencer.aggregates(), 100);
        // One stream's sweep is held up; the other's memory does not grow for it.
        let positions = [(STREAM, START + 60_000), (STREAM + 1, START)];
        sequencer.swept(&positions.into()).await;
        assert_eq!(sequencer.aggregates(), 27 + 50);
        let next = |previous: i64| event(2, Some(START + previous * 1000));
        assert_eq!(judge(&sequencer, &next(44)).await, Verdict::Next);
        let since = (START + 45_000) * 1000;
        assert_eq!(judge(&sequencer, &next(46)).await, Verdict::Unknown { since });
    }
}

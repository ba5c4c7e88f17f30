//! Puts each aggregate's events in order: drops what came before, fetches what is missing.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;

use crate::event::EventEnvelope;
use crate::ids::AggregateId;
use crate::store::{EventStore, StoreError};

/// A commit is written at most an append's deadline (10 s) after it was reserved, and
/// written again no later. Within this margin an aggregate is remembered, and a row of the
/// log may come late.
const MARGIN: Duration = Duration::from_secs(15);

/// Per aggregate, what was let through last.
#[derive(Debug)]
pub(crate) struct Sequencer {
    memory: Mutex<Memory>,
}

#[derive(Debug)]
struct Memory {
    last: HashMap<AggregateId, Last>,
    /// An aggregate that is not in `last` was let through up to its events committed before
    /// this, by this run or an earlier one. µs since 1970.
    horizon: i64,
}

#[derive(Debug, Clone, Copy)]
struct Last {
    sequence_number: i64,
    committed_at: i64,
}

/// What to do with an event.
#[derive(Debug, PartialEq)]
enum Verdict {
    Duplicate,
    Next,
    /// Events after this sequence number, committed at or after this time, come first.
    Gap {
        after: i64,
        since: i64,
    },
}

/// An event's place found.
#[derive(Debug)]
pub(crate) struct Sequenced {
    /// Missing events that come first, in order.
    pub(crate) missing: Vec<EventEnvelope>,
    /// Whether the event itself is new.
    pub(crate) is_new: bool,
}

impl Sequencer {
    /// A group begins at `start`, µs since 1970, and reads `safety_interval` behind now.
    ///
    /// A row that became visible later than that was missed by the run before, so what an
    /// aggregate did shortly before `start` is looked up when its next event comes, and
    /// handled again. With a safety interval of the margin or more there are no such rows.
    pub(crate) fn new(start: i64, safety_interval: Duration) -> Self {
        let horizon = start - micros(MARGIN.saturating_sub(safety_interval));
        Self { memory: Mutex::new(Memory { last: HashMap::new(), horizon }) }
    }

    /// Forgets aggregates whose last event is older: called with the group's watermark, so
    /// that memory holds what a repeated write or a late row may still ask for.
    pub(crate) fn forget_before(&self, watermark: i64) {
        let mut memory = self.memory.lock();
        let limit = watermark - micros(MARGIN);
        if limit > memory.horizon {
            memory.horizon = limit;
            memory.last.retain(|_, last| last.committed_at >= limit);
        }
    }

    /// Finds an event's place. The caller has one event of an aggregate at a time (they
    /// share a stream), and gives the events on in the order they were sequenced.
    pub(crate) async fn sequence(
        &self,
        event: &EventEnvelope,
        store: &EventStore,
    ) -> Result<Sequenced, StoreError> {
        let missing = match self.judge(event) {
            Verdict::Duplicate => return Ok(Sequenced { missing: Vec::new(), is_new: false }),
            Verdict::Next => Vec::new(),
            Verdict::Gap { after, since } => {
                let mut events =
                    store.events(event.aggregate_id, after, event.sequence_number - 1).await?;
                events.retain(|e| e.committed_at >= since);
                events
            }
        };
        self.remember(event);
        Ok(Sequenced { missing, is_new: true })
    }

    fn judge(&self, event: &EventEnvelope) -> Verdict {
        let memory = self.memory.lock();
        match memory.last.get(&event.aggregate_id) {
            Some(last) if event.sequence_number <= last.sequence_number => Verdict::Duplicate,
            Some(last) if event.sequence_number == last.sequence_number + 1 => Verdict::Next,
            Some(last) => Verdict::Gap { after: last.sequence_number, since: i64::MIN },
            None => match event.previous_committed_at {
                Some(previous) if previous >= memory.horizon => {
                    Verdict::Gap { after: 0, since: memory.horizon }
                }
                _ => Verdict::Next,
            },
        }
    }

    fn remember(&self, event: &EventEnvelope) {
        let last =
            Last { sequence_number: event.sequence_number, committed_at: event.committed_at };
        self.memory.lock().last.insert(event.aggregate_id, last);
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::envelope;

    const START: i64 = 1_000_000_000_000;

    fn event(sequence_number: i64, previous: Option<i64>) -> EventEnvelope {
        let mut event = envelope("Order", sequence_number);
        event.aggregate_id = AggregateId(uuid::Uuid::nil());
        event.committed_at = START + sequence_number * 100;
        event.previous_committed_at = previous;
        event
    }

    #[test]
    fn events_follow_each_other_and_come_once() {
        let sequencer = Sequencer::new(START, Duration::ZERO);
        for n in 1..=3 {
            let event = event(n, (n > 1).then_some(START + (n - 1) * 100));
            assert_eq!(sequencer.judge(&event), Verdict::Next);
            sequencer.remember(&event);
            assert_eq!(sequencer.judge(&event), Verdict::Duplicate);
        }
        assert_eq!(sequencer.judge(&event(1, None)), Verdict::Duplicate);
    }

    #[test]
    fn a_hole_is_filled_from_where_it_begins() {
        let sequencer = Sequencer::new(START, Duration::ZERO);
        sequencer.remember(&event(2, None));
        assert_eq!(sequencer.judge(&event(5, None)), Verdict::Gap { after: 2, since: i64::MIN });
    }

    #[test]
    fn an_aggregate_from_before_the_start_goes_on() {
        let sequencer = Sequencer::new(START, Duration::ZERO);
        let long_ago = START - micros(MARGIN) - 1;
        assert_eq!(sequencer.judge(&event(9, Some(long_ago))), Verdict::Next);
        let just_before = START - 1;
        assert_eq!(
            sequencer.judge(&event(9, Some(just_before))),
            Verdict::Gap { after: 0, since: START - micros(MARGIN) }
        );
        let safe = Sequencer::new(START, Duration::from_secs(30));
        assert_eq!(safe.judge(&event(9, Some(just_before))), Verdict::Next);
    }

    #[test]
    fn what_is_forgotten_goes_on_and_what_is_not_is_missed() {
        let sequencer = Sequencer::new(START, Duration::ZERO);
        let second = 1_000_000;
        for n in 0..100 {
            let mut event = envelope("Order", 1);
            event.committed_at = START + n * second;
            sequencer.remember(&event);
        }
        sequencer.forget_before(START + 60 * second);
        assert_eq!(sequencer.memory.lock().last.len(), 55);
        assert_eq!(sequencer.judge(&event(2, Some(START + 44 * second))), Verdict::Next);
        let horizon = START + 45 * second;
        assert_eq!(
            sequencer.judge(&event(2, Some(START + 46 * second))),
            Verdict::Gap { after: 0, since: horizon }
        );
    }
}

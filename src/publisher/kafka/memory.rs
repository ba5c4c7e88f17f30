//! What is remembered of messages that did not arrive.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::event::EventEnvelope;
use crate::ids::{AggregateId, EventId};
use crate::publisher::kafka::error::{Failure, Refusal};

/// Longer than the events behind one that failed take to reach the sink.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(60);

/// More suspects than can be in flight are not worth remembering.
const MOST_SUSPECTS: usize = 100_000;

/// Which event a message is, and where it goes.
#[derive(Debug, Clone)]
pub(super) struct Sent {
    pub(super) aggregate_id: AggregateId,
    pub(super) sequence_number: i64,
    pub(super) event_id: EventId,
    pub(super) topic: Arc<str>,
}

impl Sent {
    pub(super) fn new(event: &EventEnvelope, topic: &Arc<str>) -> Self {
        Self {
            aggregate_id: event.aggregate_id,
            sequence_number: event.sequence_number,
            event_id: event.event_id,
            topic: Arc::clone(topic),
        }
    }
}

/// Keeps two promises.
///
/// - *Order*: after an event that did not arrive, none of its aggregate's later events is
///   sent until it comes again. They can still be on their way to the sink when it fails.
/// - *The right one is blamed*: a broker refuses a batch, in which most messages are
///   innocent. What was in it is sent again, each alone, and only what is refused then is
///   the event's own fault.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// Whether any of what follows is not empty: it is asked for each message.
    troubled: AtomicBool,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// The first event of each aggregate that did not arrive, and since when.
    missing: HashMap<AggregateId, (i64, Instant)>,
    suspects: HashSet<EventId>,
    refusing_topics: HashSet<Arc<str>>,
}

impl Memory {
    /// A message did not arrive, and others may have been with it or are behind it.
    pub(super) fn failed(&self, sent: &Sent, failure: &Failure) {
        let mut inner = self.inner.lock();
        let entry = inner
            .missing
            .entry(sent.aggregate_id)
            .or_insert((sent.sequence_number, Instant::now()));
        entry.0 = entry.0.min(sent.sequence_number);
        match failure.refusal {
            Refusal::Passing => {}
            Refusal::Message => inner.suspect(sent.event_id),
            Refusal::Topic => {
                inner.suspect(sent.event_id);
                inner.refusing_topics.insert(Arc::clone(&sent.topic));
            }
        }
        self.troubled.store(true, Ordering::Release);
    }

    /// Whether this event may be sent now: no earlier one of its aggregate is missing.
    pub(super) fn may_send(&self, sent: &Sent) -> bool {
        if !self.troubled.load(Ordering::Acquire) {
            return true;
        }
        let mut inner = self.inner.lock();
        let Some((missing, since)) = inner.missing.get(&sent.aggregate_id) else { return true };
        let may = sent.sequence_number <= *missing || since.elapsed() > FORGOTTEN_AFTER;
        if may {
            inner.missing.remove(&sent.aggregate_id);
            self.settle(&inner);
        }
        may
    }

    /// Whether this event is to be sent with no other in flight.
    pub(super) fn must_go_alone(&self, sent: &Sent) -> bool {
        if !self.troubled.load(Ordering::Acquire) {
            return false;
        }
        let inner = self.inner.lock();
        inner.suspects.contains(&sent.event_id) || inner.refusing_topics.contains(&sent.topic)
    }

    /// An event that went alone has been accepted, or refused for good.
    pub(super) fn judged(&self, sent: &Sent, accepted: bool) {
        let mut inner = self.inner.lock();
        inner.suspects.remove(&sent.event_id);
        if accepted {
            inner.refusing_topics.remove(&sent.topic);
        }
        self.settle(&inner);
    }

    fn settle(&self, inner: &Inner) {
        let troubled = !inner.missing.is_empty()
            || !inner.suspects.is_empty()
            || !inner.refusing_topics.is_empty();
        self.troubled.store(troubled, Ordering::Release);
    }
}

impl Inner {
    fn suspect(&mut self, event: EventId) {
        if self.suspects.len() >= MOST_SUSPECTS {
            self.suspects.clear();
        }
        self.suspects.insert(event);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::envelope;

    fn sent(event: &EventEnvelope, sequence_number: i64) -> Sent {
        Sent { sequence_number, event_id: EventId::new(), ..Sent::new(event, &"t".into()) }
    }

    #[test]
    fn nothing_overtakes_an_event_that_did_not_arrive() {
        let (memory, order) = (Memory::default(), envelope("Order", 1));
        memory.failed(&sent(&order, 4), &Failure::passing("away"));
        memory.failed(&sent(&order, 3), &Failure::passing("away"));
        assert!(!memory.may_send(&sent(&order, 5)));
        assert!(!memory.may_send(&sent(&order, 4)));
        assert!(memory.may_send(&sent(&envelope("Order", 1), 9)), "other aggregates go on");
        assert!(memory.may_send(&sent(&order, 3)), "it comes again");
        assert!(memory.may_send(&sent(&order, 4)));
    }

    #[test]
    fn a_refused_message_is_tried_alone_before_it_is_blamed() {
        let (memory, order) = (Memory::default(), envelope("Order", 1));
        let event = sent(&order, 1);
        let refused = Failure { refusal: Refusal::Message, reason: "too large".to_owned() };
        assert!(!memory.must_go_alone(&event));
        memory.failed(&event, &refused);
        assert!(memory.must_go_alone(&event));
        memory.judged(&event, false);
        assert!(!memory.must_go_alone(&event));
    }

    #[test]
    fn a_topic_that_refuses_is_tried_one_by_one_until_it_accepts() {
        let (memory, order) = (Memory::default(), envelope("Order", 1));
        let refused = Failure { refusal: Refusal::Topic, reason: "not authorised".to_owned() };
        let (first, second) = (sent(&order, 1), sent(&order, 2));
        memory.failed(&first, &refused);
        assert!(memory.may_send(&first));
        memory.judged(&first, false);
        assert!(memory.must_go_alone(&second));
        memory.judged(&second, true);
        assert!(!memory.must_go_alone(&sent(&order, 3)));
        assert!(!memory.troubled.load(Ordering::Acquire));
    }
}

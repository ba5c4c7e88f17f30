//! What a group hears of the tail.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use tokio::sync::mpsc;

use super::Tail;
use crate::consumer::log_row::LogEvent;
use crate::consumer::progress::Millis;

/// Events of one page of one poll.
pub(super) type Hints = Arc<[LogEvent]>;

/// Most events in one message; more are several messages.
pub(super) const EVENTS_PER_MESSAGE: usize = 256;

/// Messages that wait for a group before its hints are lost: with the events of a message
/// some 16,000 events, which all groups share.
const MESSAGES: usize = 64;

/// Nothing is lost.
const NOTHING: i64 = i64::MAX;

/// What could not be given to a group.
#[derive(Debug)]
struct Lost {
    since: AtomicI64,
    events: AtomicU64,
}

/// A group's end.
pub(crate) struct Subscription {
    hints: mpsc::Receiver<Hints>,
    lost: Arc<Lost>,
    /// The poller lives as long as someone listens.
    _tail: Arc<Tail>,
}

/// The tail's end.
#[derive(Debug)]
pub(super) struct Subscriber {
    hints: mpsc::Sender<Hints>,
    lost: Arc<Lost>,
}

impl Subscription {
    pub(super) fn new(tail: Arc<Tail>) -> (Subscriber, Self) {
        let (sender, receiver) = mpsc::channel(MESSAGES);
        let lost = Arc::new(Lost { since: AtomicI64::new(NOTHING), events: AtomicU64::new(0) });
        let subscriber = Subscriber { hints: sender, lost: Arc::clone(&lost) };
        (subscriber, Self { hints: receiver, lost, _tail: tail })
    }

    /// The next events, each once unless its row was written again; none at all when there
    /// is news of a loss. `None`: the poller has ended.
    pub(crate) async fn next(&mut self) -> Option<Hints> {
        self.hints.recv().await
    }

    /// From which moment of the log on hints have been lost since this was asked last, and
    /// how many events if they were read.
    pub(crate) fn take_lost(&self) -> Option<(Millis, u64)> {
        let since = self.lost.since.swap(NOTHING, Ordering::AcqRel);
        let events = self.lost.events.swap(0, Ordering::AcqRel);
        (since != NOTHING).then_some((since, events))
    }
}

impl Subscriber {
    /// Gives hints, or notes that they are lost. Never waits.
    pub(super) fn give(&self, hints: &Hints) {
        if self.hints.try_send(Arc::clone(hints)).is_err() {
            let oldest = hints.iter().map(|hint| hint.time).min().unwrap_or(NOTHING);
            self.lost.events.fetch_add(hints.len() as u64, Ordering::AcqRel);
            self.lost.since.fetch_min(oldest, Ordering::AcqRel);
        }
    }

    /// The log was not read since this moment.
    pub(super) fn missed(&self, since: Millis) {
        self.lost.since.fetch_min(since, Ordering::AcqRel);
        // An empty message, so that a group that waits hears of it. One that has messages
        // waiting will ask anyway.
        let _ = self.hints.try_send(Arc::new([]));
    }

    pub(super) fn is_gone(&self) -> bool {
        self.hints.is_closed()
    }
}

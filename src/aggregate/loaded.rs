//! An aggregate as loaded.

use crate::aggregate::Aggregate;
use crate::event::EventEnvelope;
use crate::ids::{AggregateId, CommitId};

/// An aggregate with its place in time, as loaded from `event_store`.
#[derive(Debug, Clone)]
pub struct Loaded<A> {
    /// Which one.
    pub id: AggregateId,
    /// Its state after `version` events.
    pub state: A,
    /// Sequence number of its last event; 0: it has none yet.
    pub version: i64,
    /// `committed_at` of its last event, µs; 0 without events.
    pub last_committed_at: i64,
    /// Write timestamp of its last event, µs; 0 without events.
    pub last_write_time: i64,
    /// The commit that the aggregate's head was at: that of its last event, or a later one
    /// without events (the recorded answer to a command that changed nothing).
    pub last_commit: Option<CommitId>,
}

impl<A: Aggregate> Loaded<A> {
    /// An aggregate without history.
    pub fn new(id: AggregateId) -> Self {
        Self {
            id,
            state: A::default(),
            version: 0,
            last_committed_at: 0,
            last_write_time: 0,
            last_commit: None,
        }
    }

    /// Takes the next event in.
    pub fn apply(&mut self, envelope: &EventEnvelope<A::Event>) {
        self.state.apply(&envelope.event);
        self.version = envelope.sequence_number;
        self.last_committed_at = envelope.committed_at;
        self.last_commit = Some(envelope.commit_id);
    }
}

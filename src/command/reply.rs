//! What a command led to.

use crate::aggregate::{Aggregate, Impact};
use crate::event::{EventEnvelope, Payload};
use crate::ids::{AggregateId, CommitId};

/// What a command led to.
#[derive(Debug, Clone)]
pub struct Reply<A: Aggregate> {
    /// Which aggregate.
    pub aggregate_id: AggregateId,
    /// The aggregate's version after the command.
    pub version: i64,
    /// The new events as stored; none if there was nothing to do.
    pub events: Vec<EventEnvelope<A::Event>>,
    /// The state after the command.
    pub state: A,
    /// What the client is told: JSON, by [`Aggregate::respond`].
    pub response: Payload,
    /// What else was touched, by [`Aggregate::impact`].
    pub impact: Impact,
    /// The commit; `None` if there was nothing to do.
    pub commit_id: Option<CommitId>,
    /// The command had been answered before under its idempotency key, and this is that
    /// answer; nothing was done now.
    pub repeated: bool,
}

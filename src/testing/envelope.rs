//! Envelopes out of nothing.

use crate::event::{EventEnvelope, Metadata, Payload};
use crate::ids::{AggregateId, CommitId, EventId};
use crate::time::now_micros;

/// An envelope with an empty payload, of a new aggregate; its fields are public and can be
/// set as a test needs them. `committed_at` is now.
pub fn envelope(aggregate_type: &str, sequence_number: i64) -> EventEnvelope {
    let now = now_micros();
    EventEnvelope {
        aggregate_id: AggregateId::new(),
        aggregate_type: aggregate_type.into(),
        sequence_number,
        event_id: EventId::new(),
        event_type: "Event".into(),
        event_version: 1,
        event: Payload::from_json_text("{}"),
        metadata: Metadata::default(),
        correlation_id: None,
        causation_id: None,
        commit_id: CommitId::new(),
        committed_at: now,
        previous_committed_at: None,
        created_at: now / 1000,
        state_before: None,
        state_after: None,
    }
}

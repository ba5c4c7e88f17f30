//! The envelope that an event travels in.

use std::sync::Arc;

use crate::event::{CorruptEvent, DomainEvent, Metadata, Payload, PayloadError};
use crate::ids::{AggregateId, CausationId, CommitId, CorrelationId, EventId};

/// An event with everything that is stored about it.
///
/// `E` is the domain's own type, or [`Payload`] where the event is only carried
/// (consumer groups, publishers); [`EventEnvelope::decode`] leads from there to here.
#[derive(Debug, Clone, PartialEq)]
pub struct EventEnvelope<E = Payload> {
    /// Whose event it is.
    pub aggregate_id: AggregateId,
    /// `Aggregate::TYPE` of its aggregate.
    pub aggregate_type: Arc<str>,
    /// Its place in the aggregate's history: 1, 2, 3, …
    pub sequence_number: i64,
    /// Its identity.
    pub event_id: EventId,
    /// Name of its type.
    pub event_type: Arc<str>,
    /// Version of its payload's shape.
    pub event_version: i32,
    /// The event.
    pub event: E,
    /// What else is known.
    pub metadata: Metadata,
    /// The request it belongs to.
    pub correlation_id: Option<CorrelationId>,
    /// What caused it.
    pub causation_id: Option<CausationId>,
    /// The commit that it was stored in.
    pub commit_id: CommitId,
    /// Logical time, µs since 1970: strictly increasing along an aggregate, at least
    /// 10 µs from event to event. Projections write with it.
    pub committed_at: i64,
    /// `committed_at` of the aggregate's previous event; `None` for the first, and where
    /// it is not stored (`event_store` has no such column).
    pub previous_committed_at: Option<i64>,
    /// Wall-clock time of the command, ms since 1970.
    pub created_at: i64,
    /// The aggregate's state before the event, as JSON, in envelopes from the outbox, of
    /// aggregates that ask for it ([`CaptureState`](crate::CaptureState)); `event_store` does
    /// not have it.
    pub state_before: Option<Payload>,
    /// The state after the event, as `state_before`.
    pub state_after: Option<Payload>,
}

impl EventEnvelope<Payload> {
    /// The envelope with the event as the domain knows it.
    ///
    /// # Errors
    /// [`CorruptEvent`] names the event, whose payload is not what its type promises.
    pub fn decode<E: DomainEvent>(&self) -> Result<EventEnvelope<E>, CorruptEvent> {
        let event = self.decode_event()?;
        Ok(self.with_event(event))
    }

    /// Only the event, as the domain knows it.
    ///
    /// # Errors
    /// As [`EventEnvelope::decode`].
    pub fn decode_event<E: DomainEvent>(&self) -> Result<E, CorruptEvent> {
        E::from_payload(&self.event_type, self.event_version, &self.event)
            .map_err(|source| self.corrupt(source))
    }

    /// The error that names this event.
    pub(crate) fn corrupt(&self, source: PayloadError) -> CorruptEvent {
        CorruptEvent {
            aggregate_id: self.aggregate_id,
            aggregate_type: self.aggregate_type.to_string(),
            sequence_number: self.sequence_number,
            event_type: self.event_type.to_string(),
            event_version: self.event_version,
            source: Box::new(source),
        }
    }
}

impl<P> EventEnvelope<P> {
    /// The same envelope around another form of the event.
    pub fn with_event<E>(&self, event: E) -> EventEnvelope<E> {
        EventEnvelope {
            aggregate_id: self.aggregate_id,
            aggregate_type: Arc::clone(&self.aggregate_type),
            sequence_number: self.sequence_number,
            event_id: self.event_id,
            event_type: Arc::clone(&self.event_type),
            event_version: self.event_version,
            event,
            metadata: self.metadata.clone(),
            correlation_id: self.correlation_id,
            causation_id: self.causation_id,
            commit_id: self.commit_id,
            committed_at: self.committed_at,
            previous_committed_at: self.previous_committed_at,
            created_at: self.created_at,
            state_before: self.state_before.clone(),
            state_after: self.state_after.clone(),
        }
    }
}

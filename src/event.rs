//! Events: what happened, as the domain says it, and the envelope it travels in.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::ids::{AggregateId, CausationId, CommitId, CorrelationId, EventId};

/// Something that happened to an aggregate: usually an enum with
/// `#[derive(DomainEvent)]`, a variant per type of event.
///
/// ```
/// use messina::DomainEvent;
///
/// #[derive(Debug, Clone, PartialEq, DomainEvent)]
/// enum OrderEvent {
///     #[event(name = "OrderPlaced", version = 2)]
///     Placed { customer: String, total_cents: i64 },
///     #[event(name = "OrderCancelled")]
///     Cancelled,
/// }
///
/// let event = OrderEvent::Placed { customer: "alfki".into(), total_cents: 1200 };
/// assert_eq!(event.event_type(), "OrderPlaced");
/// assert_eq!(event.event_version(), 2);
/// // The type stands in its own column; the payload is the variant's fields alone.
/// assert_eq!(event.to_payload()?.as_str(), r#"{"customer":"alfki","total_cents":1200}"#);
/// assert_eq!(OrderEvent::from_payload("OrderPlaced", 2, &event.to_payload()?)?, event);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a domain event",
    note = "put `#[derive(messina::DomainEvent)]` on the enum of the aggregate's events"
)]
pub trait DomainEvent: Clone + Send + Sync + Sized + 'static {
    /// Type name and current version of each kind of event.
    const TYPES: &'static [(&'static str, i32)];

    /// The name stored in `event_type`. Stable: old events carry it for ever.
    fn event_type(&self) -> &'static str;

    /// The version of the payload's shape, stored in `event_version`; from 1.
    fn event_version(&self) -> i32;

    /// The fields as JSON.
    ///
    /// # Errors
    /// [`PayloadError::Encode`] when a field refuses to be serialized.
    fn to_payload(&self) -> Result<Payload, PayloadError>;

    /// The event that a stored type, version and payload mean.
    ///
    /// # Errors
    /// [`PayloadError::UnknownType`] and [`PayloadError::UnknownVersion`] for what this
    /// build does not know, [`PayloadError::Decode`] for a payload of another shape.
    fn from_payload(
        event_type: &str,
        event_version: i32,
        payload: &Payload,
    ) -> Result<Self, PayloadError>;
}

/// Why a payload and an event do not convert into each other.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PayloadError {
    /// No variant has this type name: register it, or deploy the code that knows it.
    #[error("unknown event type {event_type:?}")]
    UnknownType {
        /// As stored.
        event_type: String,
    },
    /// The type is known, but not in this version.
    #[error("event type {event_type:?} has no version {event_version} here")]
    UnknownVersion {
        /// As stored.
        event_type: String,
        /// As stored.
        event_version: i32,
    },
    /// The payload is not JSON of the shape that type and version promise.
    #[error("payload of {event_type:?} version {event_version} does not deserialize: {source}")]
    Decode {
        /// As stored.
        event_type: String,
        /// As stored.
        event_version: i32,
        /// What serde found.
        source: serde_json::Error,
    },
    /// The event does not turn into JSON.
    #[error("event {event_type:?} does not serialize: {source}")]
    Encode {
        /// The event's type.
        event_type: &'static str,
        /// What serde found.
        source: serde_json::Error,
    },
}

/// An event's fields as JSON text, as stored in `event_data` and `payload`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload(Arc<str>);

impl Payload {
    /// Takes JSON text as it is.
    pub fn from_json_text(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    /// The JSON text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What else is known about an event. Stored as JSON in `metadata`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    /// Who asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
    /// On whose behalf.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// W3C trace context, carried through to publishers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// Anything else.
    #[serde(flatten)]
    pub extra: BTreeMap<String, String>,
}

impl Metadata {
    /// Whether there is nothing to store.
    pub fn is_empty(&self) -> bool {
        self.user_id.is_none()
            && self.tenant.is_none()
            && self.traceparent.is_none()
            && self.extra.is_empty()
    }

    /// Sets a key: `user_id`, `tenant` and `traceparent` by their fields, others in `extra`.
    pub fn set(&mut self, key: impl Into<String>, value: impl Into<String>) {
        let (key, value) = (key.into(), value.into());
        match key.as_str() {
            "user_id" => self.user_id = Some(value),
            "tenant" => self.tenant = Some(value),
            "traceparent" => self.traceparent = Some(value),
            _ => {
                self.extra.insert(key, value);
            }
        }
    }
}

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
        E::from_payload(&self.event_type, self.event_version, &self.event).map_err(|source| {
            CorruptEvent {
                aggregate_id: self.aggregate_id,
                aggregate_type: self.aggregate_type.to_string(),
                sequence_number: self.sequence_number,
                event_type: self.event_type.to_string(),
                event_version: self.event_version,
                source,
            }
        })
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
        }
    }
}

/// A stored event that this build cannot read. Nothing is skipped: whoever meets it stops.
#[derive(Debug, thiserror::Error)]
#[error(
    "event {sequence_number} of {aggregate_type} {aggregate_id} \
     (type {event_type:?}, version {event_version}) cannot be read: {source}"
)]
pub struct CorruptEvent {
    /// Whose event.
    pub aggregate_id: AggregateId,
    /// The aggregate's type.
    pub aggregate_type: String,
    /// Which event.
    pub sequence_number: i64,
    /// As stored.
    pub event_type: String,
    /// As stored.
    pub event_version: i32,
    /// Why.
    pub source: PayloadError,
}

//! Why events and payloads do not convert into each other.

use crate::ids::AggregateId;

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
    /// A step from an earlier version fails.
    #[error("event type {event_type:?} version {event_version} is not upcast: {reason}")]
    Upcast {
        /// Where the step begins.
        event_type: String,
        /// Where the step begins.
        event_version: i32,
        /// What it said.
        reason: String,
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
    pub source: Box<PayloadError>,
}

//! What an envelope does.

use std::borrow::Cow;
use std::fmt;

use serde_json::value::RawValue;

use crate::event::{EventEnvelope, Payload};
use crate::publisher::Headers;

/// Makes headers and a body of an event. A pure function: the same event, the same bytes.
pub trait Envelope: fmt::Debug + Send + Sync + 'static {
    /// Headers and body.
    ///
    /// # Errors
    /// [`EnvelopeError`] when the event lacks what this envelope needs.
    fn wrap<'a>(&self, event: &'a EventEnvelope) -> Result<Wrapped<'a>, EnvelopeError>;

    /// The form that the key takes; as it is unless overridden.
    fn key<'a>(&self, key: Cow<'a, str>) -> Cow<'a, str> {
        key
    }
}

const _OBJECT_SAFE: fn(&dyn Envelope) = |_| {};

/// An event in its envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrapped<'a> {
    /// Of the message.
    pub headers: Headers<'a>,
    /// Its body.
    pub value: Cow<'a, [u8]>,
}

/// Why an event does not fit an envelope.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EnvelopeError {
    /// Something stored as JSON is not JSON.
    #[error("{what} of event {sequence_number} is not JSON: {source}")]
    NotJson {
        /// The payload, or a state.
        what: &'static str,
        /// Which event of its aggregate.
        sequence_number: i64,
        /// What serde found.
        source: serde_json::Error,
    },
    /// A change event is made of the state after the event, which was not recorded.
    #[error(
        "event {sequence_number} of {aggregate_type} carries no state: let the aggregate record \
         it (Aggregate::CAPTURE_STATE), or publish in another envelope than the Debezium change \
         event"
    )]
    NoState {
        /// The aggregate's type.
        aggregate_type: String,
        /// Which event of its aggregate.
        sequence_number: i64,
    },
    /// The body cannot be written.
    #[error("event {sequence_number} does not serialize: {source}")]
    Encode {
        /// Which event of its aggregate.
        sequence_number: i64,
        /// What serde found.
        source: serde_json::Error,
    },
}

/// JSON text as part of a larger document, after a check that it is JSON.
pub(super) fn raw<'a>(
    event: &EventEnvelope,
    what: &'static str,
    json: &'a Payload,
) -> Result<&'a RawValue, EnvelopeError> {
    serde_json::from_str(json.as_str()).map_err(|source| EnvelopeError::NotJson {
        what,
        sequence_number: event.sequence_number,
        source,
    })
}

/// A document as a message's body.
pub(super) fn body(
    event: &EventEnvelope,
    document: &impl serde::Serialize,
) -> Result<Cow<'static, [u8]>, EnvelopeError> {
    match serde_json::to_vec(document) {
        Ok(bytes) => Ok(Cow::Owned(bytes)),
        Err(source) => {
            Err(EnvelopeError::Encode { sequence_number: event.sequence_number, source })
        }
    }
}

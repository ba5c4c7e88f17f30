//! The payload as it is.

use std::borrow::Cow;

use crate::event::EventEnvelope;
use crate::publisher::Headers;
use crate::publisher::envelope::headers::traceparent;
use crate::publisher::envelope::{Envelope, EnvelopeError, Wrapped};

/// The body is the event's payload, byte for byte; everything else is in headers:
/// `event_id`, `event_type`, `event_version`, `aggregate_type`, `sequence_number`, and where
/// they are known `correlation_id`, `causation_id` and `traceparent`.
///
/// Example and schema: `docs/schemas/payload.example.json`, `docs/schemas/payload.schema.json`.
#[derive(Debug, Clone, Copy, Default)]
pub struct PayloadOnly;

impl Envelope for PayloadOnly {
    fn wrap<'a>(&self, event: &'a EventEnvelope) -> Result<Wrapped<'a>, EnvelopeError> {
        let mut headers = Headers::new();
        headers.add("event_id", event.event_id.to_string());
        headers.add("event_type", &*event.event_type);
        headers.add("event_version", event.event_version.to_string());
        headers.add("aggregate_type", &*event.aggregate_type);
        headers.add("sequence_number", event.sequence_number.to_string());
        if let Some(id) = event.correlation_id {
            headers.add("correlation_id", id.to_string());
        }
        if let Some(id) = event.causation_id {
            headers.add("causation_id", id.to_string());
        }
        traceparent(&mut headers, event);
        Ok(Wrapped { headers, value: Cow::Borrowed(event.event.as_str().as_bytes()) })
    }
}

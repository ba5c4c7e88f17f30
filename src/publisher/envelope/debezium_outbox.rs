//! As Debezium's outbox event router leaves an event.

use std::borrow::Cow;

use crate::event::EventEnvelope;
use crate::publisher::Headers;
use crate::publisher::envelope::headers::identity;
use crate::publisher::envelope::{Envelope, EnvelopeError, Wrapped};

/// The conventions of Debezium's
/// [outbox event router](https://debezium.io/documentation/reference/stable/transformations/outbox-event-router.html):
/// key = aggregate id, topic by aggregate type, header `id` = the event's id, the body is the
/// payload as it is, and the additional fields `eventType`, `eventVersion`, `aggregateType`,
/// `aggregateId` as headers. `event_id`, `sequence_number` and `traceparent` are there too.
///
/// The router's own topics are called `outbox.event.{aggregate-type}`; give a
/// [`Routing`](crate::publisher::Routing) of this pattern to readers that expect it.
///
/// Example and schema: `docs/schemas/debezium-outbox.example.json`,
/// `docs/schemas/debezium-outbox.schema.json`.
#[derive(Debug, Clone, Copy, Default)]
pub struct DebeziumOutbox;

impl Envelope for DebeziumOutbox {
    fn wrap<'a>(&self, event: &'a EventEnvelope) -> Result<Wrapped<'a>, EnvelopeError> {
        let mut headers = Headers::new();
        headers.add("id", event.event_id.to_string());
        headers.add("eventType", &*event.event_type);
        headers.add("eventVersion", event.event_version.to_string());
        headers.add("aggregateType", &*event.aggregate_type);
        headers.add("aggregateId", event.aggregate_id.to_string());
        identity(&mut headers, event);
        Ok(Wrapped { headers, value: Cow::Borrowed(event.event.as_str().as_bytes()) })
    }
}

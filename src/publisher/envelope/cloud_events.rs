//! CloudEvents 1.0.

use std::borrow::Cow;
use std::time::{Duration, UNIX_EPOCH};

use serde::Serialize;
use serde_json::value::RawValue;

use crate::event::EventEnvelope;
use crate::publisher::Headers;
use crate::publisher::envelope::headers::identity;
use crate::publisher::envelope::wrap::{body, raw};
use crate::publisher::envelope::{Envelope, EnvelopeError, Wrapped};
use crate::publisher::topic::kebab;

/// [CloudEvents 1.0](https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md), in
/// one of the two modes of the
/// [Kafka binding](https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/kafka-protocol-binding.md).
///
/// | attribute | what |
/// |---|---|
/// | `id` | the event's id |
/// | `source` | `/order`: the type of aggregate, in kebab case; see [`CloudEvents::source`] |
/// | `type` | the event's type; see [`CloudEvents::type_prefix`] |
/// | `subject` | the aggregate's id |
/// | `time` | when the command was carried out |
/// | `datacontenttype` | `application/json` |
/// | `sequence` | the sequence number, with leading zeros, so that text order is its order |
/// | `traceparent`, `correlationid`, `causationid` | where they are known |
/// | `aggregatetype`, `eventversion` | as stored |
///
/// The headers `event_id`, `sequence_number` and `traceparent` are there in both modes.
///
/// Examples and schemas: `docs/schemas/cloudevents-binary.*`,
/// `docs/schemas/cloudevents-structured.*`.
#[derive(Debug, Clone)]
pub struct CloudEvents {
    mode: Mode,
    source: String,
    type_prefix: String,
}

/// Where the attributes stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// In headers (`ce_id`, …); the body is the payload.
    Binary,
    /// In the body, around the payload: `application/cloudevents+json`.
    Structured,
}

impl CloudEvents {
    /// Attributes in headers.
    pub fn binary() -> Self {
        Self::new(Mode::Binary)
    }

    /// Attributes in the body.
    pub fn structured() -> Self {
        Self::new(Mode::Structured)
    }

    fn new(mode: Mode) -> Self {
        Self { mode, source: String::new(), type_prefix: String::new() }
    }

    /// What `source` begins with, before `/` and the type of aggregate: `//shop.example/eu`
    /// makes `//shop.example/eu/order`. Empty unless set. A URI reference, as the
    /// specification asks.
    pub fn source(mut self, base: impl Into<String>) -> Self {
        self.source = base.into();
        self
    }

    /// What `type` begins with: `com.example.` makes `com.example.OrderPlaced`. Empty unless
    /// set; the specification recommends a reversed domain name.
    pub fn type_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.type_prefix = prefix.into();
        self
    }

    fn attributes<'a>(&self, event: &'a EventEnvelope) -> Attributes<'a> {
        Attributes {
            specversion: "1.0",
            id: event.event_id.to_string(),
            source: format!("{}/{}", self.source, kebab(&event.aggregate_type)),
            kind: format!("{}{}", self.type_prefix, event.event_type),
            datacontenttype: "application/json",
            subject: event.aggregate_id.to_string(),
            time: rfc3339(event.created_at),
            // Ten digits hold any history; leading zeros keep text order.
            sequence: format!("{:010}", event.sequence_number),
            traceparent: event.metadata.traceparent.as_deref(),
            correlationid: event.correlation_id.map(|id| id.to_string()),
            causationid: event.causation_id.map(|id| id.to_string()),
            aggregatetype: &event.aggregate_type,
            eventversion: event.event_version,
        }
    }
}

#[derive(Serialize)]
struct Attributes<'a> {
    specversion: &'static str,
    id: String,
    source: String,
    #[serde(rename = "type")]
    kind: String,
    datacontenttype: &'static str,
    subject: String,
    time: String,
    sequence: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    traceparent: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    correlationid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    causationid: Option<String>,
    aggregatetype: &'a str,
    eventversion: i32,
}

#[derive(Serialize)]
struct Document<'a> {
    #[serde(flatten)]
    attributes: Attributes<'a>,
    data: &'a RawValue,
}

impl Envelope for CloudEvents {
    fn wrap<'a>(&self, event: &'a EventEnvelope) -> Result<Wrapped<'a>, EnvelopeError> {
        let attributes = self.attributes(event);
        let mut headers = Headers::new();
        let value = match self.mode {
            Mode::Structured => {
                headers.add("content-type", "application/cloudevents+json; charset=UTF-8");
                let data = raw(event, "the payload", &event.event)?;
                body(event, &Document { attributes, data })?
            }
            Mode::Binary => {
                headers.add("content-type", attributes.datacontenttype);
                headers.add("ce_specversion", attributes.specversion);
                headers.add("ce_id", attributes.id);
                headers.add("ce_source", attributes.source);
                headers.add("ce_type", attributes.kind);
                headers.add("ce_subject", attributes.subject);
                headers.add("ce_time", attributes.time);
                headers.add("ce_sequence", attributes.sequence);
                if let Some(traceparent) = attributes.traceparent {
                    headers.add("ce_traceparent", traceparent);
                }
                if let Some(id) = attributes.correlationid {
                    headers.add("ce_correlationid", id);
                }
                if let Some(id) = attributes.causationid {
                    headers.add("ce_causationid", id);
                }
                headers.add("ce_aggregatetype", attributes.aggregatetype);
                headers.add("ce_eventversion", attributes.eventversion.to_string());
                Cow::Borrowed(event.event.as_str().as_bytes())
            }
        };
        identity(&mut headers, event);
        Ok(Wrapped { headers, value })
    }
}

/// A time in ms since 1970 as RFC 3339 has it, in UTC. Times before 1970 are 1970.
fn rfc3339(millis: i64) -> String {
    let since = Duration::from_millis(u64::try_from(millis).unwrap_or(0));
    humantime::format_rfc3339_millis(UNIX_EPOCH + since).to_string()
}

//! Envelopes, byte by byte, as the guide's examples show them (`docs/schemas`).

use std::path::PathBuf;

use cloudevents::AttributesReader;
use cloudevents::event::{Data, SpecVersion};
use cloudevents::message::{
    BinaryDeserializer, BinarySerializer, MessageAttributeValue, Result as CloudEventsResult,
};
use messina::publisher::{
    CloudEvents, DebeziumChange, Envelope, EnvelopeError, EnvelopeKind, PayloadOnly, Wrapped,
};
use messina::testing::envelope;
use messina::{AggregateId, CausationId, CommitId, CorrelationId, EventEnvelope, EventId, Payload};
use serde_json::{Value, json};
use uuid::Uuid;

fn uuid(last: u8) -> Uuid {
    Uuid::from_u128(0x0193_5b1e_7c00_7000_8000_0000_0000_0000 + u128::from(last))
}

/// The second event of an order.
fn event() -> EventEnvelope {
    let mut event = envelope("Order", 2);
    event.aggregate_id = AggregateId(uuid(1));
    event.event_id = EventId(uuid(2));
    event.commit_id = CommitId(uuid(3));
    event.correlation_id = Some(CorrelationId(uuid(4)));
    event.causation_id = Some(CausationId(uuid(5)));
    event.event_type = "OrderShipped".into();
    event.event = Payload::from_json_text(r#"{"carrier":"Speedy Express","freight":32.38}"#);
    event.metadata.set("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    event.committed_at = 1_732_182_645_123_456;
    event.created_at = 1_732_182_645_123;
    event.state_before = Some(Payload::from_json_text(r#"{"status":"placed","total":440.0}"#));
    event.state_after = Some(Payload::from_json_text(r#"{"status":"shipped","total":440.0}"#));
    event
}

/// A record as the schemas describe it.
fn record(envelope: &dyn Envelope, event: &EventEnvelope) -> Value {
    let Wrapped { headers, value } = envelope.wrap(event).unwrap();
    let key = envelope.key(event.aggregate_id.to_string().into()).into_owned();
    let headers: serde_json::Map<String, Value> =
        headers.iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
    json!({
        "topic": "order-events",
        // A key is text, or a document in itself.
        "key": serde_json::from_str(&key).unwrap_or(Value::String(key)),
        "headers": headers,
        "value": serde_json::from_slice::<Value>(&value).unwrap(),
    })
}

fn file(kind: EnvelopeKind, suffix: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/schemas");
    folder.join(format!("{kind}.{suffix}.json"))
}

/// `UPDATE_EXAMPLES=1` writes them anew.
#[test]
fn every_envelope_is_as_its_documented_example() {
    for kind in EnvelopeKind::ALL {
        let made = record(&*kind.envelope(), &event());
        let path = file(kind, "example");
        if std::env::var_os("UPDATE_EXAMPLES").is_some() {
            std::fs::write(&path, format!("{made:#}\n")).unwrap();
        }
        let documented = std::fs::read_to_string(&path).unwrap();
        assert_eq!(format!("{made:#}\n"), documented, "{}", path.display());
    }
}

#[test]
fn every_envelope_follows_its_schema() {
    for kind in EnvelopeKind::ALL {
        let schema = std::fs::read_to_string(file(kind, "schema")).unwrap();
        let schema: Value = serde_json::from_str(&schema).unwrap();
        let validator = jsonschema::options().should_validate_formats(true).build(&schema).unwrap();
        let mut bare = event();
        bare.sequence_number = 1;
        bare.correlation_id = None;
        bare.causation_id = None;
        bare.metadata = Default::default();
        bare.state_before = None;
        let mut deleted = event();
        deleted.state_after = Some(Payload::from_json_text("null"));
        for event in [event(), bare, deleted] {
            let record = record(&*kind.envelope(), &event);
            let errors: Vec<String> =
                validator.iter_errors(&record).map(|e| e.to_string()).collect();
            assert!(errors.is_empty(), "{kind}: {errors:?} in {record:#}");
        }
        let mut broken = record(&*kind.envelope(), &event());
        broken["headers"]["event_id"] = "no id".into();
        assert!(!validator.is_valid(&broken), "the schema of {kind} checks something");
    }
}

/// A record as the official SDK wants to be given one.
struct KafkaRecord {
    headers: Vec<(String, String)>,
    value: Vec<u8>,
}

impl From<Wrapped<'_>> for KafkaRecord {
    fn from(wrapped: Wrapped<'_>) -> Self {
        let headers = wrapped.headers.iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
        Self { headers, value: wrapped.value.into_owned() }
    }
}

impl BinaryDeserializer for KafkaRecord {
    fn deserialize_binary<R: Sized, V: BinarySerializer<R>>(
        self,
        mut visitor: V,
    ) -> CloudEventsResult<R> {
        let header = |name: &str| {
            self.headers.iter().find(|(k, _)| k == name).map(|(_, value)| value.clone())
        };
        let version = SpecVersion::try_from(header("ce_specversion").unwrap().as_str())?;
        let attributes = version.attribute_names();
        visitor = visitor.set_spec_version(version)?;
        let content_type = MessageAttributeValue::String(header("content-type").unwrap());
        visitor = visitor.set_attribute("datacontenttype", content_type)?;
        for (name, value) in &self.headers {
            let Some(name) = name.strip_prefix("ce_") else { continue };
            let value = MessageAttributeValue::String(value.clone());
            if name == "specversion" {
            } else if attributes.contains(&name) {
                visitor = visitor.set_attribute(name, value)?;
            } else {
                visitor = visitor.set_extension(name, value)?;
            }
        }
        visitor.end_with_data(self.value)
    }
}

fn assert_means_the_event(read: &cloudevents::Event) {
    assert_eq!(read.id(), uuid(2).to_string());
    assert_eq!(read.source(), "//shop.example/eu/order");
    assert_eq!(read.ty(), "com.example.OrderShipped");
    assert_eq!(read.subject(), Some(uuid(1).to_string().as_str()));
    assert_eq!(read.time().unwrap().timestamp_millis(), 1_732_182_645_123);
    assert_eq!(read.datacontenttype(), Some("application/json"));
    assert_eq!(read.extension("sequence").unwrap().to_string(), "0000000002");
    assert_eq!(
        read.extension("traceparent").unwrap().to_string(),
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    );
    assert_eq!(read.extension("correlationid").unwrap().to_string(), uuid(4).to_string());
    assert_eq!(read.extension("aggregatetype").unwrap().to_string(), "Order");
    assert_eq!(read.extension("eventversion").unwrap().to_string(), "1");
}

const DATA: &str = r#"{"carrier":"Speedy Express","freight":32.38}"#;

#[test]
fn the_official_sdk_reads_binary_cloud_events() {
    let cloud_events =
        CloudEvents::binary().source("//shop.example/eu").type_prefix("com.example.");
    let event = event();
    let record = KafkaRecord::from(cloud_events.wrap(&event).unwrap());
    let read = BinaryDeserializer::into_event(record).unwrap();
    assert_means_the_event(&read);
    let Some(Data::Binary(data)) = read.data() else { panic!("{:?}", read.data()) };
    assert_eq!(data, DATA.as_bytes());
}

#[test]
fn the_official_sdk_reads_structured_cloud_events() {
    let cloud_events =
        CloudEvents::structured().source("//shop.example/eu").type_prefix("com.example.");
    let event = event();
    let Wrapped { headers, value } = cloud_events.wrap(&event).unwrap();
    assert!(headers.get("content-type").unwrap().starts_with("application/cloudevents+json"));
    let read: cloudevents::Event = serde_json::from_slice(&value).unwrap();
    assert_means_the_event(&read);
    let Some(Data::Json(data)) = read.data() else { panic!("{:?}", read.data()) };
    assert_eq!(*data, serde_json::from_str::<Value>(DATA).unwrap());
}

#[test]
fn a_payload_is_carried_byte_for_byte() {
    let mut event = event();
    event.event = Payload::from_json_text(r#"{ "exact" : 1.10,  "big":123456789012345678901 }"#);
    let value = |envelope: &dyn Envelope| {
        String::from_utf8(envelope.wrap(&event).unwrap().value.into_owned()).unwrap()
    };
    for kind in
        [EnvelopeKind::Payload, EnvelopeKind::DebeziumOutbox, EnvelopeKind::CloudEventsBinary]
    {
        assert_eq!(value(&*kind.envelope()), event.event.as_str());
    }
    assert!(value(&CloudEvents::structured()).contains(event.event.as_str()));
}

#[test]
fn the_key_of_a_change_event_is_a_document() {
    let envelope = DebeziumChange::new("shop");
    assert_eq!(envelope.key("a\"b".into()), r#"{"aggregate_id":"a\"b"}"#);
    assert_eq!(PayloadOnly.key("a".into()), "a");
}

#[test]
fn what_does_not_fit_an_envelope_is_refused_with_the_reason() {
    let mut event = event();
    event.state_after = None;
    let error = DebeziumChange::default().wrap(&event).unwrap_err();
    assert!(matches!(error, EnvelopeError::NoState { .. }), "{error}");
    assert!(error.to_string().contains("CAPTURE_STATE"), "{error}");
    event.event = Payload::from_json_text("{");
    let error = CloudEvents::structured().wrap(&event).unwrap_err();
    assert!(matches!(error, EnvelopeError::NotJson { .. }), "{error}");
}

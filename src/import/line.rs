//! A line of the file, as an event.

use chrono::DateTime;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Number, Value};
use uuid::Uuid;

use crate::event::{Metadata, Payload};
use crate::ids::{AggregateId, CausationId, CorrelationId, EventId};

/// What a line says.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) aggregate_id: AggregateId,
    pub(super) aggregate_type: String,
    pub(super) sequence_number: Option<i64>,
    pub(super) event_id: Option<EventId>,
    pub(super) event_type: String,
    pub(super) event_version: i32,
    pub(super) payload: Payload,
    /// ms since 1970.
    pub(super) time: i64,
    pub(super) metadata: Metadata,
    pub(super) correlation_id: Option<CorrelationId>,
    pub(super) causation_id: Option<CausationId>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields<'l> {
    aggregate_id: Key,
    #[serde(default)]
    aggregate_type: Option<String>,
    #[serde(default)]
    sequence_number: Option<i64>,
    #[serde(default)]
    event_id: Option<Uuid>,
    r#type: String,
    #[serde(default)]
    version: Option<i32>,
    #[serde(borrow)]
    data: &'l RawValue,
    time: Time,
    #[serde(default)]
    metadata: Option<Map<String, Value>>,
    #[serde(default)]
    correlation_id: Option<Uuid>,
    #[serde(default)]
    causation_id: Option<Uuid>,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "aggregate_id must be a uuid, a text or a number")]
enum Key {
    Text(String),
    Number(Number),
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "time must be a text or whole milliseconds since 1970")]
enum Time {
    Text(String),
    Millis(i64),
}

/// Reads a line. The aggregate's type is this one unless the line says another.
pub(super) fn parse(line: &[u8], default_type: Option<&str>) -> Result<Line, String> {
    let fields: Fields<'_> =
        serde_json::from_slice(line).map_err(|error| format!("not an event: {error}"))?;
    let aggregate_type = fields
        .aggregate_type
        .or_else(|| default_type.map(str::to_owned))
        .ok_or("it has no aggregate_type, and none was given for the whole import")?;
    for (name, text) in [("aggregate_type", &aggregate_type), ("type", &fields.r#type)] {
        if text.trim().is_empty() {
            return Err(format!("its {name} is empty"));
        }
    }
    let event_version = fields.version.unwrap_or(1);
    if event_version < 1 {
        return Err(format!("version {event_version}: versions count from 1"));
    }
    if let Some(number) = fields.sequence_number.filter(|number| *number < 1) {
        return Err(format!("sequence_number {number}: sequence numbers count from 1"));
    }
    let mut metadata = Metadata::default();
    for (key, value) in fields.metadata.unwrap_or_default() {
        match value {
            Value::Null => {}
            Value::String(text) => metadata.set(key, text),
            other => metadata.set(key, other.to_string()),
        }
    }
    Ok(Line {
        aggregate_id: aggregate_id(fields.aggregate_id, &aggregate_type)?,
        aggregate_type,
        sequence_number: fields.sequence_number,
        event_id: fields.event_id.map(EventId),
        event_type: fields.r#type,
        event_version,
        payload: Payload::from_json_text(fields.data.get()),
        time: millis(fields.time)?,
        metadata,
        correlation_id: fields.correlation_id.map(CorrelationId),
        causation_id: fields.causation_id.map(CausationId),
    })
}

fn aggregate_id(key: Key, aggregate_type: &str) -> Result<AggregateId, String> {
    let key = match key {
        Key::Text(text) => text,
        Key::Number(number) => number.to_string(),
    };
    if key.trim().is_empty() {
        return Err("its aggregate_id is empty".to_owned());
    }
    Ok(match key.parse::<Uuid>() {
        Ok(id) => AggregateId(id),
        Err(_) => AggregateId::from_key(aggregate_type, &key),
    })
}

fn millis(time: Time) -> Result<i64, String> {
    match time {
        Time::Millis(millis) => Ok(millis),
        Time::Text(text) => {
            DateTime::parse_from_rfc3339(&text).map(|time| time.timestamp_millis()).map_err(|e| {
                format!("time {text:?}: {e} (write 2026-03-04T05:06:07Z, or ms since 1970)")
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = r#"{"aggregate_id":"order-7","aggregate_type":"Order","type":"Placed",
        "version":2,"data":{"total":1.50, "b":1},"time":"2026-03-04T05:06:07.250+02:00",
        "metadata":{"user_id":"ann","shard":3,"none":null},"sequence_number":4}"#;

    #[test]
    fn a_line_is_an_event() {
        let line = parse(WHOLE.as_bytes(), Some("Other")).unwrap();
        assert_eq!(line.aggregate_id, AggregateId::from_key("Order", "order-7"));
        assert_eq!((&*line.aggregate_type, &*line.event_type), ("Order", "Placed"));
        assert_eq!((line.event_version, line.sequence_number), (2, Some(4)));
        // As it stands: numbers keep their digits.
        assert_eq!(line.payload.as_str(), r#"{"total":1.50, "b":1}"#);
        assert_eq!(line.time, 1_772_593_567_250);
        assert_eq!(line.metadata.user_id.as_deref(), Some("ann"));
        assert_eq!(line.metadata.extra.len(), 1);
        assert_eq!(line.metadata.extra["shard"], "3");
    }

    #[test]
    fn what_can_be_left_out_has_a_meaning() {
        let line =
            parse(br#"{"aggregate_id":7,"type":"Placed","data":{},"time":1000}"#, Some("Order"))
                .unwrap();
        assert_eq!(line.aggregate_id, AggregateId::from_key("Order", "7"));
        assert_ne!(line.aggregate_id, AggregateId::from_key("Customer", "7"));
        assert_eq!((line.event_version, line.sequence_number, line.time), (1, None, 1000));
        let id = "0190163d-8694-739b-aea5-966c26f8ad91";
        let text = WHOLE.replace("order-7", id);
        assert_eq!(parse(text.as_bytes(), None).unwrap().aggregate_id.to_string(), id);
    }

    #[test]
    fn what_is_wrong_with_a_line_is_said() {
        for (change, to, reason) in [
            ("\"order-7\"", "null", "aggregate_id must be a uuid"),
            ("order-7", " ", "aggregate_id is empty"),
            ("\"version\":2", "\"version\":0", "count from 1"),
            ("\"sequence_number\":4", "\"sequence_number\":0", "count from 1"),
            ("\"sequence_number\"", "\"sequence\"", "unknown field `sequence`"),
            ("2026-03-04T05", "yesterday", "time \"yesterday"),
            ("\"Placed\"", "\"\"", "type is empty"),
            ("\"type\"", "\"correlation_id\"", "UUID"),
            ("\"data\":{\"total\":1.50, \"b\":1},", "", "missing field `data`"),
            ("}", "", "EOF"),
        ] {
            let error = parse(WHOLE.replace(change, to).as_bytes(), None).unwrap_err();
            assert!(error.contains(reason), "{reason} in: {error}");
        }
        let error =
            parse(br#"{"aggregate_id":7,"type":"a","data":{},"time":1}"#, None).unwrap_err();
        assert!(error.contains("no aggregate_type"), "{error}");
    }
}

//! As Debezium describes a changed row.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::event::EventEnvelope;
use crate::publisher::Headers;
use crate::publisher::envelope::headers::identity;
use crate::publisher::envelope::wrap::{body, raw};
use crate::publisher::envelope::{Envelope, EnvelopeError, Wrapped};

/// A Debezium
/// [change event](https://debezium.io/documentation/reference/stable/connectors/postgresql.html#postgresql-events),
/// as its connectors write it with the JSON converter and `schemas.enable=false`: the
/// aggregate is the row, `before` and `after` are its recorded states.
///
/// - `op` is `c` for an aggregate's first event, `u` for later ones, and `d` where the state
///   after the event is `null`.
/// - `source.table` is the type of aggregate, `source.db` the [name](DebeziumChange::new);
///   `source` holds the event's identity, type and version beside Debezium's own fields.
/// - `transaction.id` is the commit. `transaction.total_order` is the sequence number: it
///   increases along the commit, but it does not begin with 1.
/// - The key is a document, `{"aggregate_id": "…"}`, as a connector's is.
///
/// It needs the states that the aggregate records with its events
/// ([`Aggregate::CAPTURE_STATE`](crate::Aggregate::CAPTURE_STATE)); an event without them is
/// refused. `before` is null where only the state after the event is recorded.
///
/// Example and schema: `docs/schemas/debezium-change.example.json`,
/// `docs/schemas/debezium-change.schema.json`.
#[derive(Debug, Clone)]
pub struct DebeziumChange {
    name: String,
}

impl DebeziumChange {
    /// `name` stands in `source.name` and `source.db`: what Debezium calls the topic prefix
    /// and the database.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into() }
    }
}

impl Default for DebeziumChange {
    /// Named `messina`.
    fn default() -> Self {
        Self::new("messina")
    }
}

#[derive(Serialize)]
struct Change<'a> {
    before: Option<&'a RawValue>,
    after: Option<&'a RawValue>,
    source: Source<'a>,
    op: &'static str,
    ts_ms: i64,
    ts_us: i64,
    transaction: Transaction,
}

#[derive(Serialize)]
struct Source<'a> {
    version: &'static str,
    connector: &'static str,
    name: &'a str,
    ts_ms: i64,
    ts_us: i64,
    snapshot: &'static str,
    db: &'a str,
    /// Text that holds a list, as Debezium has it.
    sequence: String,
    table: &'a str,
    event_id: String,
    event_type: &'a str,
    event_version: i32,
    sequence_number: i64,
}

#[derive(Serialize)]
struct Transaction {
    id: String,
    total_order: i64,
    data_collection_order: i64,
}

#[derive(Serialize)]
struct Key<'a> {
    aggregate_id: &'a str,
}

impl Envelope for DebeziumChange {
    fn wrap<'a>(&self, event: &'a EventEnvelope) -> Result<Wrapped<'a>, EnvelopeError> {
        let state = event.state_after.as_ref().ok_or_else(|| EnvelopeError::NoState {
            aggregate_type: event.aggregate_type.to_string(),
            sequence_number: event.sequence_number,
        })?;
        let before = event.state_before.as_ref();
        let before = before.map(|state| raw(event, "the state before", state)).transpose()?;
        let after = raw(event, "the state after", state)?;
        let first = event.sequence_number == 1;
        let deleted = after.get() == "null";
        let change = Change {
            // A new row has no past, whatever an aggregate's empty state looks like.
            before: before.filter(|state| !first && state.get() != "null"),
            after: (!deleted).then_some(after),
            source: Source {
                version: env!("CARGO_PKG_VERSION"),
                connector: "messina",
                name: &self.name,
                ts_ms: event.committed_at.div_euclid(1000),
                ts_us: event.committed_at,
                snapshot: "false",
                db: &self.name,
                sequence: format!("[\"{}\"]", event.sequence_number),
                table: &event.aggregate_type,
                event_id: event.event_id.to_string(),
                event_type: &event.event_type,
                event_version: event.event_version,
                sequence_number: event.sequence_number,
            },
            op: match (deleted, first) {
                (true, _) => "d",
                (false, true) => "c",
                (false, false) => "u",
            },
            // Debezium's time of processing; the event's own, so that a repetition is the
            // same bytes.
            ts_ms: event.committed_at.div_euclid(1000),
            ts_us: event.committed_at,
            transaction: Transaction {
                id: event.commit_id.to_string(),
                total_order: event.sequence_number,
                data_collection_order: event.sequence_number,
            },
        };
        let mut headers = Headers::new();
        identity(&mut headers, event);
        Ok(Wrapped { headers, value: body(event, &change)? })
    }

    fn key<'a>(&self, key: Cow<'a, str>) -> Cow<'a, str> {
        // A map of one text always serializes.
        serde_json::to_string(&Key { aggregate_id: &key }).map_or(key, Cow::Owned)
    }
}

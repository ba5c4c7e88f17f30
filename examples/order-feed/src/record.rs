//! A record of the topic, in the envelope `payload`.

use rdkafka::message::{Headers, Message};
use uuid::Uuid;

/// What the view needs of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderRecord {
    /// The key.
    pub order: Uuid,
    /// The event's identity: the same in every repetition.
    pub event_id: Uuid,
    /// Its place in the order's history, from 1.
    pub sequence_number: i64,
    /// What happened.
    pub event_type: String,
}

/// A record that no publisher of orders writes.
#[derive(Debug, thiserror::Error)]
#[error("record {partition}/{offset} has no valid {what}; is the topic in the envelope `payload`?")]
pub struct InvalidRecord {
    partition: i32,
    offset: i64,
    what: &'static str,
}

impl OrderRecord {
    /// # Errors
    /// [`InvalidRecord`] names what is missing.
    pub fn read(message: &impl Message) -> Result<Self, InvalidRecord> {
        let header = |name: &str| {
            let found = message.headers()?.iter().find(|header| header.key == name)?;
            std::str::from_utf8(found.value?).ok()
        };
        let invalid =
            |what| InvalidRecord { partition: message.partition(), offset: message.offset(), what };
        let key = message.key().and_then(|key| std::str::from_utf8(key).ok());
        Ok(Self {
            order: key.and_then(|key| key.parse().ok()).ok_or_else(|| invalid("key"))?,
            event_id: header("event_id")
                .and_then(|id| id.parse().ok())
                .ok_or_else(|| invalid("event_id"))?,
            sequence_number: header("sequence_number")
                .and_then(|number| number.parse().ok())
                .ok_or_else(|| invalid("sequence_number"))?,
            event_type: header("event_type").ok_or_else(|| invalid("event_type"))?.to_owned(),
        })
    }
}

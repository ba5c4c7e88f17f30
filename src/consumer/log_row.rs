//! A row of the outbox's CDC log as an event.

use scylla::value::CqlValue;
use scylla_cdc::consumer::{CDCRow, OperationType};

use crate::consumer::progress::{Millis, StreamId};
use crate::consumer::stream_id::CurrentStream;
use crate::event::{EventEnvelope, Payload};
use crate::ids::{AggregateId, CausationId, CommitId, CorrelationId, EventId};
use crate::store::parse_metadata;

/// An event and where the log showed it.
#[derive(Debug)]
pub(crate) struct LogEvent {
    pub(crate) event: EventEnvelope,
    pub(crate) stream: StreamId,
    pub(crate) time: Millis,
}

/// Between 1582-10-15, where version 1 uuids count from, and 1970, in 100 ns.
const GREGORIAN_OFFSET: u64 = 0x01B2_1DD2_1381_4000;

/// Whose event a log row is and which, if it is one.
pub(crate) fn identity_of(row: &CDCRow<'_>) -> Option<(AggregateId, i64)> {
    if !is_event(row) {
        return None;
    }
    let id = row.get_value("aggregate_id").as_ref()?.as_uuid()?;
    Some((AggregateId(id), row.get_value("sequence_number").as_ref()?.as_bigint()?))
}

fn is_event(row: &CDCRow<'_>) -> bool {
    matches!(row.operation, OperationType::RowInsert | OperationType::RowUpdate)
}

/// The event of a log row; `None` for rows that are none: images, which a reader ignores,
/// and deletions, which only an operator makes.
pub(crate) fn event_of(
    mut row: CDCRow<'_>,
    streams: &mut CurrentStream,
) -> Result<Option<LogEvent>, String> {
    if !is_event(&row) {
        return Ok(None);
    }
    let stream = streams.id(&row.stream_id)?;
    let time = time_of(row.time).ok_or_else(|| format!("cdc$time {} has no time", row.time))?;
    let aggregate_id = uuid(&mut row, "aggregate_id")?.ok_or("aggregate_id is null")?;
    let sequence_number = bigint(&mut row, "sequence_number")?.ok_or("sequence_number is null")?;
    let missing = |column: &str| {
        format!("{column} of aggregate {aggregate_id}, sequence number {sequence_number}, is null")
    };
    let event = EventEnvelope {
        aggregate_id: AggregateId(aggregate_id),
        aggregate_type: text(&mut row, "aggregate_type")?
            .ok_or_else(|| missing("aggregate_type"))?
            .into(),
        sequence_number,
        event_id: EventId(uuid(&mut row, "event_id")?.ok_or_else(|| missing("event_id"))?),
        event_type: text(&mut row, "event_type")?.ok_or_else(|| missing("event_type"))?.into(),
        event_version: match row.take_value("event_version") {
            Some(CqlValue::Int(version)) => version,
            _ => return Err(missing("event_version")),
        },
        event: Payload::from_json_text(
            text(&mut row, "payload")?.ok_or_else(|| missing("payload"))?,
        ),
        metadata: parse_metadata(text(&mut row, "metadata")?.as_deref())?,
        correlation_id: uuid(&mut row, "correlation_id")?.map(CorrelationId),
        causation_id: uuid(&mut row, "causation_id")?.map(CausationId),
        commit_id: CommitId(uuid(&mut row, "commit_id")?.ok_or_else(|| missing("commit_id"))?),
        committed_at: bigint(&mut row, "committed_at")?.ok_or_else(|| missing("committed_at"))?,
        previous_committed_at: bigint(&mut row, "previous_committed_at")?,
        created_at: match row.take_value("created_at") {
            Some(CqlValue::Timestamp(at)) => at.0,
            _ => return Err(missing("created_at")),
        },
        state_before: text(&mut row, "state_before")?.map(Payload::from_json_text),
        state_after: text(&mut row, "state_after")?.map(Payload::from_json_text),
    };
    Ok(Some(LogEvent { event, stream, time }))
}

/// The moment that a `cdc$time` stands for.
pub(crate) fn time_of(id: uuid::Uuid) -> Option<Millis> {
    ticks_of(id).map(|ticks| ticks / 10_000)
}

/// A `cdc$time` as 100 ns since 1970.
pub(crate) fn ticks_of(id: uuid::Uuid) -> Option<i64> {
    let (ticks, _) = id.get_timestamp()?.to_gregorian();
    i64::try_from(ticks.checked_sub(GREGORIAN_OFFSET)?).ok()
}

fn uuid(row: &mut CDCRow<'_>, column: &str) -> Result<Option<uuid::Uuid>, String> {
    match row.take_value(column) {
        None => Ok(None),
        Some(CqlValue::Uuid(id)) => Ok(Some(id)),
        Some(other) => Err(format!("{column} is not a uuid: {other:?}")),
    }
}

fn bigint(row: &mut CDCRow<'_>, column: &str) -> Result<Option<i64>, String> {
    match row.take_value(column) {
        None => Ok(None),
        Some(CqlValue::BigInt(n)) => Ok(Some(n)),
        Some(other) => Err(format!("{column} is not a bigint: {other:?}")),
    }
}

fn text(row: &mut CDCRow<'_>, column: &str) -> Result<Option<String>, String> {
    match row.take_value(column) {
        None => Ok(None),
        Some(CqlValue::Text(text)) => Ok(Some(text)),
        Some(other) => Err(format!("{column} is not a text: {other:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_a_version_1_uuid_is_read() {
        let id: uuid::Uuid = "50554d6e-29bb-11e5-b345-feff819cdc9f".parse().unwrap();
        assert_eq!(time_of(id), Some(1_436_832_018_805));
        assert_eq!(time_of(uuid::Uuid::nil()), None);
    }
}

//! Rows of `dead_letters`, to and from letters.

use scylla::value::{CqlTimestamp, MaybeUnset};
use scylla::{DeserializeRow, SerializeRow};
use uuid::Uuid;

use super::error::DeadLetterError;
use super::letter::{DeadLetter, Failure};
use crate::consumer::slice::stable_hash;
use crate::event::{EventEnvelope, Payload};
use crate::ids::{AggregateId, CausationId, CommitId, CorrelationId, EventId};
use crate::store::parse_metadata;

/// Partitions that a group's letters are spread over.
pub(super) const BUCKETS: i32 = 16;

/// The partition that an aggregate's letters are in.
pub(super) fn bucket_of(id: AggregateId) -> i32 {
    // The upper half: the lower one decides on the slice.
    ((stable_hash(id) >> 32) % BUCKETS.unsigned_abs() as u64) as i32
}

/// All columns but the group and the bucket.
pub(super) const COLUMNS: &str = "aggregate_id, sequence_number, parks, failed, attempts, errors, \
    first_failed_at, last_failed_at, aggregate_type, event_id, event_type, event_version, \
    event_data, metadata, correlation_id, causation_id, commit_id, committed_at, \
    previous_committed_at, state_before, state_after, created_at";

/// The values of an INSERT. What is unset keeps the value that an earlier one gave.
#[derive(SerializeRow)]
pub(super) struct InsertRow<'l> {
    group_name: &'l str,
    bucket: i32,
    aggregate_id: Uuid,
    sequence_number: i64,
    parks: bool,
    failed: MaybeUnset<bool>,
    attempts: MaybeUnset<i32>,
    errors: MaybeUnset<&'l [String]>,
    first_failed_at: MaybeUnset<CqlTimestamp>,
    last_failed_at: MaybeUnset<CqlTimestamp>,
    aggregate_type: &'l str,
    event_id: Uuid,
    event_type: &'l str,
    event_version: i32,
    event_data: &'l str,
    metadata: MaybeUnset<String>,
    correlation_id: MaybeUnset<Uuid>,
    causation_id: MaybeUnset<Uuid>,
    commit_id: Uuid,
    committed_at: i64,
    previous_committed_at: MaybeUnset<i64>,
    state_before: MaybeUnset<&'l str>,
    state_after: MaybeUnset<&'l str>,
    created_at: CqlTimestamp,
}

impl<'l> InsertRow<'l> {
    /// The letter of an event that failed, or, without a failure, waits behind one that did.
    pub(super) fn new(
        group: &'l str,
        event: &'l EventEnvelope,
        parks: bool,
        failure: Option<&'l Failure>,
    ) -> Result<Self, DeadLetterError> {
        let metadata = (!event.metadata.is_empty())
            .then(|| serde_json::to_string(&event.metadata))
            .transpose()
            .map_err(|e| DeadLetterError::Corrupt {
                aggregate_id: event.aggregate_id,
                sequence_number: event.sequence_number,
                reason: format!("its metadata does not serialize: {e}"),
            })?;
        let of = |value: Option<&'l Payload>| MaybeUnset::from_option(value.map(Payload::as_str));
        Ok(Self {
            group_name: group,
            bucket: bucket_of(event.aggregate_id),
            aggregate_id: event.aggregate_id.0,
            sequence_number: event.sequence_number,
            parks,
            failed: MaybeUnset::from_option(failure.map(|_| true)),
            attempts: MaybeUnset::from_option(
                failure.map(|f| i32::try_from(f.attempts).unwrap_or(i32::MAX)),
            ),
            errors: MaybeUnset::from_option(failure.map(|f| f.errors.as_slice())),
            first_failed_at: MaybeUnset::from_option(failure.map(|f| CqlTimestamp(f.first_at))),
            last_failed_at: MaybeUnset::from_option(failure.map(|f| CqlTimestamp(f.last_at))),
            aggregate_type: &event.aggregate_type,
            event_id: event.event_id.0,
            event_type: &event.event_type,
            event_version: event.event_version,
            event_data: event.event.as_str(),
            metadata: MaybeUnset::from_option(metadata),
            correlation_id: MaybeUnset::from_option(event.correlation_id.map(|id| id.0)),
            causation_id: MaybeUnset::from_option(event.causation_id.map(|id| id.0)),
            commit_id: event.commit_id.0,
            committed_at: event.committed_at,
            previous_committed_at: MaybeUnset::from_option(event.previous_committed_at),
            state_before: of(event.state_before.as_ref()),
            state_after: of(event.state_after.as_ref()),
            created_at: CqlTimestamp(event.created_at),
        })
    }
}

/// A row as read by [`COLUMNS`].
#[derive(DeserializeRow)]
pub(super) struct LetterRow {
    pub(super) aggregate_id: Uuid,
    pub(super) sequence_number: i64,
    parks: Option<bool>,
    failed: Option<bool>,
    attempts: Option<i32>,
    errors: Option<Vec<String>>,
    first_failed_at: Option<CqlTimestamp>,
    last_failed_at: Option<CqlTimestamp>,
    aggregate_type: Option<String>,
    event_id: Option<Uuid>,
    event_type: Option<String>,
    event_version: Option<i32>,
    event_data: Option<String>,
    metadata: Option<String>,
    correlation_id: Option<Uuid>,
    causation_id: Option<Uuid>,
    commit_id: Option<Uuid>,
    committed_at: Option<i64>,
    previous_committed_at: Option<i64>,
    state_before: Option<String>,
    state_after: Option<String>,
    created_at: Option<CqlTimestamp>,
}

impl LetterRow {
    pub(super) fn letter(self, group: &str) -> Result<DeadLetter, DeadLetterError> {
        let (aggregate_id, sequence_number) =
            (AggregateId(self.aggregate_id), self.sequence_number);
        let corrupt = |reason| DeadLetterError::Corrupt { aggregate_id, sequence_number, reason };
        let missing = |column: &str| corrupt(format!("column {column} is null"));
        let event = EventEnvelope {
            aggregate_id,
            aggregate_type: self.aggregate_type.ok_or_else(|| missing("aggregate_type"))?.into(),
            sequence_number,
            event_id: EventId(self.event_id.ok_or_else(|| missing("event_id"))?),
            event_type: self.event_type.ok_or_else(|| missing("event_type"))?.into(),
            event_version: self.event_version.ok_or_else(|| missing("event_version"))?,
            event: Payload::from_json_text(self.event_data.ok_or_else(|| missing("event_data"))?),
            metadata: parse_metadata(self.metadata.as_deref()).map_err(corrupt)?,
            correlation_id: self.correlation_id.map(CorrelationId),
            causation_id: self.causation_id.map(CausationId),
            commit_id: CommitId(self.commit_id.ok_or_else(|| missing("commit_id"))?),
            committed_at: self.committed_at.ok_or_else(|| missing("committed_at"))?,
            previous_committed_at: self.previous_committed_at,
            state_before: self.state_before.map(Payload::from_json_text),
            state_after: self.state_after.map(Payload::from_json_text),
            created_at: self.created_at.ok_or_else(|| missing("created_at"))?.0,
        };
        Ok(DeadLetter {
            group: group.to_owned(),
            event,
            parks: self.parks.unwrap_or(true),
            failed: self.failed.unwrap_or(false),
            attempts: self.attempts.unwrap_or(0).max(0).unsigned_abs(),
            errors: self.errors.unwrap_or_default(),
            first_failed_at: self.first_failed_at.map(|at| at.0),
            last_failed_at: self.last_failed_at.map(|at| at.0),
        })
    }
}

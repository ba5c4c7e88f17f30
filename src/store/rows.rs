//! Rows of `event_store` and `outbox_messages`, to and from what the driver speaks.

use std::sync::Arc;

use scylla::DeserializeRow;
use scylla::errors::SerializationError;
use scylla::serialize::row::{RowSerializationContext, SerializeRow};
use scylla::serialize::writers::RowWriter;
use scylla::statement::prepared::PreparedStatement;
use scylla::value::{CqlTimestamp, MaybeUnset};
use uuid::Uuid;

use crate::event::{EventEnvelope, Metadata, Payload};
use crate::ids::{AggregateId, CausationId, CommitId, CorrelationId, EventId};
use crate::store::commit::{Commit, CommitEvent, CommitOutcome};
use crate::store::statements::Statements;

/// The values of one statement of the append batch. Absent values stay unset: a null
/// would be a tombstone in the table and a deletion in the CDC log.
pub(super) enum BatchRow<'c> {
    EventStore(&'c Commit, i64, &'c CommitEvent),
    Outbox {
        commit: &'c Commit,
        number: i64,
        event: &'c CommitEvent,
        previous_committed_at: Option<i64>,
        state_before: Option<&'c Payload>,
    },
    Outcome(&'c Commit, &'c CommitOutcome),
}

/// All rows of a commit's batch, `event_store` first.
pub(super) fn batch_rows(commit: &Commit) -> Vec<BatchRow<'_>> {
    let numbered = || commit.events.iter().zip(commit.first_sequence_number..);
    let mut rows = Vec::with_capacity(2 * commit.events.len() + 1);
    rows.extend(numbered().map(|(e, n)| BatchRow::EventStore(commit, n, e)));
    let mut previous_committed_at = commit.previous_committed_at;
    let mut state_before = commit.state_before.as_ref();
    for (event, number) in numbered() {
        rows.push(BatchRow::Outbox { commit, number, event, previous_committed_at, state_before });
        previous_committed_at = Some(event.committed_at);
        if state_before.is_some() {
            state_before = event.state_after.as_ref();
        }
    }
    rows.extend(outcome_row(commit));
    rows
}

/// The row of the command's answer.
pub(super) fn outcome_row(commit: &Commit) -> Option<BatchRow<'_>> {
    commit.outcome.as_ref().map(|outcome| BatchRow::Outcome(commit, outcome))
}

impl BatchRow<'_> {
    /// The statement that its values are for.
    pub(super) fn statement<'s>(&self, statements: &'s Statements) -> &'s PreparedStatement {
        match self {
            BatchRow::EventStore(..) => &statements.insert_event,
            BatchRow::Outbox { .. } => &statements.insert_outbox,
            BatchRow::Outcome(..) => &statements.insert_outcome,
        }
    }
}

fn unset<T>(value: Option<T>) -> MaybeUnset<T> {
    MaybeUnset::from_option(value)
}

impl SerializeRow for BatchRow<'_> {
    fn serialize(
        &self,
        ctx: &RowSerializationContext<'_>,
        writer: &mut RowWriter<'_>,
    ) -> Result<(), SerializationError> {
        match self {
            // In the order of `statements::INSERT_EVENT`.
            BatchRow::EventStore(commit, number, event) => (
                commit.aggregate_id,
                *number,
                &*commit.aggregate_type,
                event.event_id,
                &*event.event_type,
                event.event_version,
                event.payload.as_str(),
                unset(Some(commit.metadata.as_str()).filter(|m| !m.is_empty())),
                unset(commit.correlation_id),
                unset(commit.causation_id),
                commit.commit_id,
                event.committed_at,
                CqlTimestamp(commit.created_at),
            )
                .serialize(ctx, writer),
            // In the order of `statements::INSERT_OUTBOX`.
            BatchRow::Outbox { commit, number, event, previous_committed_at, state_before } => (
                commit.aggregate_id,
                *number,
                &*commit.aggregate_type,
                event.event_id,
                &*event.event_type,
                event.event_version,
                event.payload.as_str(),
                unset(Some(commit.metadata.as_str()).filter(|m| !m.is_empty())),
                unset(commit.correlation_id),
                unset(commit.causation_id),
                commit.commit_id,
                event.committed_at,
                unset(*previous_committed_at),
                unset(state_before.map(Payload::as_str)),
                unset(event.state_after.as_ref().map(Payload::as_str)),
                CqlTimestamp(commit.created_at),
            )
                .serialize(ctx, writer),
            // In the order of `statements::INSERT_OUTCOME`.
            BatchRow::Outcome(commit, outcome) => (
                commit.aggregate_id,
                commit.commit_id,
                outcome.idempotency_key.as_str(),
                &*commit.aggregate_type,
                outcome.fingerprint,
                commit.last_sequence_number(),
                // Bounded by the size of a batch.
                commit.events.len() as i32,
                unset(outcome.response.as_ref().map(Payload::as_str)),
                unset(outcome.impact.as_ref().map(Payload::as_str)),
                unset(outcome.rejection.as_deref()),
                unset(Some(commit.metadata.as_str()).filter(|m| !m.is_empty())),
                unset(commit.correlation_id),
                unset(commit.causation_id),
                CqlTimestamp(commit.created_at),
                outcome.ttl,
            )
                .serialize(ctx, writer),
        }
    }

    fn is_empty(&self) -> bool {
        false
    }
}

/// A row of `event_store`, borrowed from the page it came in.
#[derive(DeserializeRow)]
pub(super) struct EventRow<'p> {
    pub(super) aggregate_id: Uuid,
    pub(super) sequence_number: i64,
    aggregate_type: Option<&'p str>,
    event_id: Option<Uuid>,
    event_type: Option<&'p str>,
    event_version: Option<i32>,
    event_data: Option<&'p str>,
    metadata: Option<&'p str>,
    correlation_id: Option<Uuid>,
    causation_id: Option<Uuid>,
    commit_id: Option<Uuid>,
    committed_at: Option<i64>,
    created_at: Option<CqlTimestamp>,
    /// Of the column `event_type`.
    pub(super) write_time: Option<i64>,
}

impl EventRow<'_> {
    /// The envelope, or which column is not as the append protocol writes it.
    pub(super) fn envelope(
        self,
        previous: Option<&EventEnvelope>,
    ) -> Result<EventEnvelope, String> {
        let missing = |column: &str| format!("column {column} is null");
        let aggregate_type = self.aggregate_type.ok_or_else(|| missing("aggregate_type"))?;
        let shared = previous.filter(|p| &*p.aggregate_type == aggregate_type);
        Ok(EventEnvelope {
            aggregate_id: AggregateId(self.aggregate_id),
            aggregate_type: match shared {
                Some(p) => Arc::clone(&p.aggregate_type),
                None => aggregate_type.into(),
            },
            sequence_number: self.sequence_number,
            event_id: EventId(self.event_id.ok_or_else(|| missing("event_id"))?),
            event_type: self.event_type.ok_or_else(|| missing("event_type"))?.into(),
            event_version: self.event_version.ok_or_else(|| missing("event_version"))?,
            event: Payload::from_json_text(self.event_data.ok_or_else(|| missing("event_data"))?),
            metadata: parse_metadata(self.metadata)?,
            correlation_id: self.correlation_id.map(CorrelationId),
            causation_id: self.causation_id.map(CausationId),
            commit_id: CommitId(self.commit_id.ok_or_else(|| missing("commit_id"))?),
            committed_at: self.committed_at.ok_or_else(|| missing("committed_at"))?,
            previous_committed_at: previous
                .filter(|p| p.aggregate_id.0 == self.aggregate_id)
                .map(|p| p.committed_at),
            created_at: self.created_at.ok_or_else(|| missing("created_at"))?.0,
            state_before: None,
            state_after: None,
        })
    }
}

/// `metadata` as stored: JSON, or nothing.
pub(crate) fn parse_metadata(text: Option<&str>) -> Result<Metadata, String> {
    match text {
        None | Some("") => Ok(Metadata::default()),
        Some(text) => serde_json::from_str(text).map_err(|e| format!("column metadata: {e}")),
    }
}

//! The append protocol: reserve sequence numbers by a lightweight transaction, then write
//! both tables in one logged batch.
//!
//! The reservation is the commit point. It carries everything that the batch writes, so
//! whoever finds it unfinished finishes it; finishing it twice writes the same values.
//! There is nothing to roll back.

use std::sync::Arc;

use tokio::time::Instant;
use uuid::Uuid;

use super::apply::Part;
use super::commit::{Commit, CommitEvent, CommitOutcome};
use super::reserve::Reservation;
use crate::event::{EventEnvelope, Metadata, Payload};
use crate::ids::{AggregateId, CausationId, CommitId, CorrelationId, EventId};
use crate::store::{EventStore, Oversized, StoreError};
use crate::telemetry;
use crate::time::now_micros;

/// `committed_at` advances at least this much from event to event: room for the ten writes
/// that a projection may make of one.
const EVENT_STEP: i64 = 10;

/// An event to be appended.
#[derive(Debug, Clone)]
pub struct NewEvent {
    /// Its identity; [`EventId::new`] unless it comes from elsewhere.
    pub event_id: EventId,
    /// Name of its type.
    pub event_type: Arc<str>,
    /// Version of its payload's shape.
    pub event_version: i32,
    /// Its fields.
    pub payload: Payload,
    /// The aggregate's state after it, for the outbox.
    pub state_after: Option<Payload>,
}

/// The answer to a command with an idempotency key, to be stored with its events.
#[derive(Debug, Clone)]
pub(crate) struct NewOutcome {
    /// The commit's id, too.
    pub(crate) command_id: Uuid,
    pub(crate) idempotency_key: String,
    pub(crate) fingerprint: Uuid,
    pub(crate) response: Option<Payload>,
    pub(crate) impact: Option<Payload>,
    pub(crate) rejection: Option<String>,
}

/// What is to be appended to an aggregate, in one piece.
#[derive(Debug, Clone)]
pub struct Append {
    /// Which aggregate.
    pub aggregate_id: AggregateId,
    /// Its type.
    pub aggregate_type: Arc<str>,
    /// The version that the decision was made on; 0: the aggregate is new.
    pub expected_version: i64,
    /// `committed_at` of the event of that version, µs; 0 without one.
    pub last_committed_at: i64,
    /// Write timestamp of the event of that version, µs; 0 without one.
    pub last_write_time: i64,
    /// The commit that the aggregate's head is at ([`Loaded::last_commit`](crate::Loaded));
    /// `None`: the aggregate is new.
    pub last_commit: Option<CommitId>,
    /// The aggregate's state before the first event, for the outbox; then each event has the
    /// state after it.
    pub state_before: Option<Payload>,
    /// The events, at least one.
    pub events: Vec<NewEvent>,
    /// Stored with each of them.
    pub metadata: Metadata,
    /// Stored with each of them.
    pub correlation_id: Option<CorrelationId>,
    /// Stored with each of them.
    pub causation_id: Option<CausationId>,
    /// When they happened, ms since 1970; `None`: now. For what happened elsewhere before it
    /// came here. The order of events and `committed_at` do not depend on it.
    pub created_at: Option<i64>,
}

/// An acknowledged append.
#[derive(Debug, Clone)]
pub struct Committed {
    /// Its id.
    pub commit_id: CommitId,
    /// Its events as stored.
    pub events: Vec<EventEnvelope>,
    /// Write timestamp of the batch, µs.
    pub write_time: i64,
}

impl EventStore {
    /// Appends events to an aggregate, in both tables, all or nothing.
    ///
    /// # Errors
    /// [`StoreError::Conflict`]: nothing was written, another writer was faster (finish
    /// what it left pending with [`EventStore::complete_pending`], load and decide again).
    /// [`StoreError::Indeterminate`]: only past the deadline. [`StoreError::ClockSkew`]: see
    /// there. [`StoreError::TooLarge`] and [`StoreError::Invalid`]: refused before anything
    /// was sent.
    pub async fn append(&self, append: Append) -> Result<Committed, StoreError> {
        if append.events.is_empty() {
            return Err(StoreError::Invalid("there are no events".to_owned()));
        }
        // On top of a commit whose answer is not stored yet, a repeat of its command would
        // find neither the answer nor, in the head, the commit that has it.
        if let Some(last) = append.last_commit.filter(|last| last.0.get_version_num() == 5)
            && self.outcomes(append.aggregate_id, &[last.0]).await?.is_empty()
        {
            self.settle_head(append.aggregate_id).await?;
        }
        let (commit, write_time) = self.append_with(&append, None).await?;
        let payloads = append.events.into_iter().map(|event| event.payload);
        Ok(Committed {
            commit_id: CommitId(commit.commit_id),
            events: commit.envelopes(&append.metadata, payloads),
            write_time,
        })
    }

    /// Appends events, possibly none, with the answer to their command. Returns the commit
    /// and the write timestamp of its batch, µs.
    pub(crate) async fn append_with(
        &self,
        append: &Append,
        outcome: Option<NewOutcome>,
    ) -> Result<(Commit, i64), StoreError> {
        let began = Instant::now();
        let commit = self.commit_of(append, outcome)?;
        let pending = commit.encode().map_err(StoreError::Invalid)?;
        let deadline = began + self.inner.settings.append_deadline;
        let write_time = match self.reserve(append, &commit, &pending, deadline).await? {
            Reservation::Ours => {
                self.apply(&commit, Part::All, append.last_write_time, deadline).await?
            }
            Reservation::OursAndWritten { write_time } => write_time,
            Reservation::Theirs { actual } => {
                return Err(StoreError::Conflict {
                    aggregate_id: append.aggregate_id,
                    expected: append.expected_version,
                    actual,
                });
            }
        };
        metrics::histogram!(telemetry::APPEND_SECONDS).record(began.elapsed());
        Ok((commit, write_time))
    }

    /// The commit, its times and ids decided, checked against the limits.
    fn commit_of(
        &self,
        append: &Append,
        outcome: Option<NewOutcome>,
    ) -> Result<Commit, StoreError> {
        if append.expected_version < 0 {
            return Err(StoreError::Invalid(format!("version {}", append.expected_version)));
        }
        if append.expected_version > 0 && append.last_commit.is_none() {
            return Err(StoreError::Invalid(format!(
                "the commit of version {} is not told",
                append.expected_version
            )));
        }
        let now = now_micros();
        let mut committed_at = now.max(append.last_committed_at + EVENT_STEP) - EVENT_STEP;
        let metadata = if append.metadata.is_empty() {
            String::new()
        } else {
            serde_json::to_string(&append.metadata)
                .map_err(|e| StoreError::Invalid(format!("metadata: {e}")))?
        };
        let commit = Commit {
            commit_id: outcome.as_ref().map_or_else(|| CommitId::new().0, |o| o.command_id),
            aggregate_id: append.aggregate_id.0,
            aggregate_type: Arc::clone(&append.aggregate_type),
            first_sequence_number: append.expected_version + 1,
            previous_committed_at: (append.expected_version > 0)
                .then_some(append.last_committed_at),
            correlation_id: append.correlation_id.map(|id| id.0),
            causation_id: append.causation_id.map(|id| id.0),
            metadata,
            created_at: append.created_at.unwrap_or(now / 1000),
            state_before: append.state_before.clone(),
            events: append
                .events
                .iter()
                .map(|event| {
                    committed_at += EVENT_STEP;
                    CommitEvent {
                        event_id: event.event_id.0,
                        event_type: Arc::clone(&event.event_type),
                        event_version: event.event_version,
                        payload: event.payload.clone(),
                        committed_at,
                        state_after: event.state_after.clone(),
                    }
                })
                .collect(),
            outcome: outcome.map(|outcome| CommitOutcome {
                idempotency_key: outcome.idempotency_key,
                fingerprint: outcome.fingerprint,
                response: outcome.response,
                impact: outcome.impact,
                rejection: outcome.rejection,
                ttl: self.inner.settings.outcome_ttl_seconds(),
            }),
        };
        self.check_size(&commit)?;
        Ok(commit)
    }

    fn check_size(&self, commit: &Commit) -> Result<(), StoreError> {
        let settings = &self.inner.settings;
        let check = |size: usize, limit: usize, part: &dyn Fn() -> Oversized| {
            if size <= limit {
                return Ok(());
            }
            let aggregate_id = AggregateId(commit.aggregate_id);
            Err(StoreError::TooLarge { aggregate_id, part: part(), size, limit })
        };
        check(commit.metadata.len(), settings.max_metadata_bytes, &|| Oversized::Metadata)?;
        for event in &commit.events {
            check(event.payload.as_str().len(), settings.max_payload_bytes, &|| {
                Oversized::Payload { event_type: event.event_type.to_string() }
            })?;
        }
        check(commit.batch_size(), settings.max_batch_bytes, &|| Oversized::Commit {
            events: commit.events.len(),
        })
    }
}

//! The append protocol: reserve sequence numbers by a lightweight transaction, then write
//! both tables in one logged batch.
//!
//! The reservation is the commit point. It carries everything that the batch writes, so
//! whoever finds it unfinished finishes it; finishing it twice writes the same values.
//! There is nothing to roll back.

use std::sync::Arc;
use std::time::Duration;

use scylla::policies::retry::FallthroughRetryPolicy;
use scylla::statement::Consistency;
use scylla::statement::batch::{Batch, BatchType};
use tokio::time::Instant;
use uuid::Uuid;

use super::commit::{Commit, CommitEvent};
use super::rows::batch_rows;
use super::store::unavailable;
use crate::event::{EventEnvelope, Metadata, Payload};
use crate::ids::{AggregateId, CausationId, CommitId, CorrelationId, EventId};
use crate::store::{Backoff, DatabaseError, EventStore, StoreError, is_transient};
use crate::time::now_micros;

/// `committed_at` advances at least this much from event to event: room for the ten writes
/// that a projection may make of one.
const EVENT_STEP: i64 = 10;

/// Rows of the outbox live this long (`default_time_to_live` of the table), so an older
/// commit is not looked for there.
const OUTBOX_TTL_MICROS: i64 = 86_400 * 1_000_000;

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
    /// The events, at least one.
    pub events: Vec<NewEvent>,
    /// Stored with each of them.
    pub metadata: Metadata,
    /// Stored with each of them.
    pub correlation_id: Option<CorrelationId>,
    /// Stored with each of them.
    pub causation_id: Option<CausationId>,
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

/// The last reservation of an aggregate, as it stands in `aggregate_heads`.
struct Head {
    sequence_number: i64,
    commit_id: Uuid,
    pending: Vec<u8>,
}

/// What tells whether, by whom and when an event was written.
struct Written {
    commit_id: Option<Uuid>,
    committed_at: i64,
    write_time: i64,
}

/// How a reservation ended.
enum Reservation {
    /// It is ours: go on with the batch.
    Ours,
    /// It was ours, and another writer has finished it already.
    OursAndWritten { write_time: i64 },
    /// Another writer's came first.
    Theirs { actual: i64 },
}

impl EventStore {
    /// Appends events to an aggregate, in both tables, all or nothing.
    ///
    /// # Errors
    /// [`StoreError::Conflict`]: nothing was written, another writer was faster (finish
    /// what it left pending with [`EventStore::complete_pending`], load and decide again).
    /// [`StoreError::Indeterminate`]: only past the deadline. [`StoreError::TooLarge`] and
    /// [`StoreError::Invalid`]: refused before anything was sent.
    pub async fn append(&self, append: Append) -> Result<Committed, StoreError> {
        let commit = self.commit_of(&append)?;
        let pending = commit.encode().map_err(StoreError::Invalid)?;
        let deadline = Instant::now() + self.inner.settings.append_deadline;
        let write_time = match self.reserve(&append, &commit, &pending, deadline).await? {
            Reservation::Ours => self.apply(&commit, append.last_write_time, deadline).await?,
            Reservation::OursAndWritten { write_time } => write_time,
            Reservation::Theirs { actual } => {
                return Err(StoreError::Conflict {
                    aggregate_id: append.aggregate_id,
                    expected: append.expected_version,
                    actual,
                });
            }
        };
        Ok(Committed {
            commit_id: CommitId(commit.commit_id),
            events: commit.envelopes(&append.metadata),
            write_time,
        })
    }

    /// Finishes the aggregate's last commit if its writer did not; returns its id if so.
    /// Safe at any time and from anywhere, also beside the writer itself.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] or [`StoreError::Indeterminate`] when the database does
    /// not answer: the commit stays pending. [`StoreError::Corrupt`] when it cannot be
    /// decoded.
    pub async fn complete_pending(&self, id: AggregateId) -> Result<Option<CommitId>, StoreError> {
        let Some(head) =
            self.read_head(id).await.map_err(unavailable("reading aggregate_heads"))?
        else {
            return Ok(None);
        };
        if self.is_written(id, &head).await? {
            return Ok(None);
        }
        let corrupt = |reason| StoreError::Corrupt {
            aggregate_id: id,
            sequence_number: head.sequence_number,
            reason,
        };
        let commit = Commit::decode(&head.pending).map_err(corrupt)?;
        if commit.aggregate_id != id.0 || commit.last_sequence_number() != head.sequence_number {
            return Err(corrupt("the pending commit belongs to another reservation".to_owned()));
        }
        let before = self
            .read_written(id, commit.first_sequence_number - 1)
            .await
            .map_err(unavailable("reading event_store"))?;
        let last_write_time = before.map_or(0, |event| event.write_time);
        let deadline = Instant::now() + self.inner.settings.append_deadline;
        self.apply(&commit, last_write_time, deadline).await?;
        tracing::info!(
            aggregate_id = %id,
            commit_id = %head.commit_id,
            sequence_number = head.sequence_number,
            "finished a commit that its writer had left pending"
        );
        Ok(Some(CommitId(head.commit_id)))
    }

    /// The commit, its times and ids decided, checked against the limits.
    fn commit_of(&self, append: &Append) -> Result<Commit, StoreError> {
        if append.events.is_empty() {
            return Err(StoreError::Invalid("there are no events".to_owned()));
        }
        if append.expected_version < 0 {
            return Err(StoreError::Invalid(format!("version {}", append.expected_version)));
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
            commit_id: CommitId::new().0,
            aggregate_id: append.aggregate_id.0,
            aggregate_type: append.aggregate_type.to_string(),
            first_sequence_number: append.expected_version + 1,
            previous_committed_at: (append.expected_version > 0)
                .then_some(append.last_committed_at),
            correlation_id: append.correlation_id.map(|id| id.0),
            causation_id: append.causation_id.map(|id| id.0),
            metadata,
            created_at: now / 1000,
            events: append
                .events
                .iter()
                .map(|event| {
                    committed_at += EVENT_STEP;
                    CommitEvent {
                        event_id: event.event_id.0,
                        event_type: event.event_type.to_string(),
                        event_version: event.event_version,
                        payload: event.payload.as_str().to_owned(),
                        committed_at,
                    }
                })
                .collect(),
        };
        let (size, limit) = (commit.batch_size(), self.inner.settings.max_batch_bytes);
        if size > limit {
            return Err(StoreError::TooLarge {
                aggregate_id: append.aggregate_id,
                events: commit.events.len(),
                size,
                limit,
            });
        }
        Ok(commit)
    }

    /// Step 1. A request whose outcome is unknown is settled by a look at the head: ours,
    /// theirs, or not arrived, which is repeated with the same content.
    async fn reserve(
        &self,
        append: &Append,
        commit: &Commit,
        pending: &[u8],
        deadline: Instant,
    ) -> Result<Reservation, StoreError> {
        let id = append.aggregate_id;
        let expected = Some(append.expected_version).filter(|v| *v > 0);
        let mut backoff = Backoff::new(Duration::from_millis(20), Duration::from_millis(500));
        let mut in_doubt = false;
        loop {
            let attempt = self.try_reserve(commit, pending, expected).await;
            let error = match attempt {
                Ok((true, _)) => return Ok(Reservation::Ours),
                Ok((false, actual)) if !in_doubt => {
                    return theirs(append, actual.unwrap_or(0));
                }
                // An earlier attempt of ours may be what stands there now.
                Ok((false, actual)) => match self.settle(append, commit).await {
                    Ok(Some(settled)) => return Ok(settled),
                    Ok(None) => return theirs(append, actual.unwrap_or(0)),
                    Err(error) => error,
                },
                Err(error) => error,
            };
            if !is_transient(&error) && !in_doubt {
                return Err(StoreError::Unavailable { operation: "reserving", source: error });
            }
            in_doubt = true;
            if Instant::now() >= deadline {
                return Err(StoreError::Indeterminate {
                    aggregate_id: id,
                    commit_id: CommitId(commit.commit_id),
                    source: error,
                });
            }
            backoff.wait().await;
            match self.settle(append, commit).await {
                Ok(Some(settled)) => return Ok(settled),
                Ok(None) => {}
                Err(error) => {
                    tracing::debug!(aggregate_id = %id, %error, "the head cannot be read yet");
                }
            }
        }
    }

    /// Whether the transaction was applied, and the sequence number that it found.
    async fn try_reserve(
        &self,
        commit: &Commit,
        pending: &[u8],
        expected: Option<i64>,
    ) -> Result<(bool, Option<i64>), DatabaseError> {
        let values = (
            commit.last_sequence_number(),
            commit.commit_id,
            pending,
            commit.aggregate_id,
            expected,
        );
        let result =
            self.inner.session.execute_unpaged(&self.inner.statements.reserve, values).await?;
        Ok(result.into_rows_result()?.single_row::<(bool, Option<i64>)>()?)
    }

    /// What became of our reservation, whose request was not answered; `None`: it has not
    /// arrived (and can no longer succeed once a repeat of it has).
    async fn settle(
        &self,
        append: &Append,
        commit: &Commit,
    ) -> Result<Option<Reservation>, DatabaseError> {
        let Some(head) = self.read_head(append.aggregate_id).await? else { return Ok(None) };
        if head.commit_id == commit.commit_id {
            return Ok(Some(Reservation::Ours));
        }
        if head.sequence_number <= append.expected_version {
            return Ok(None);
        }
        // Another commit stands there: before it, or on top of ours. Who reserves on top
        // of a commit has finished it first, so ours would be in the store.
        let first = self.read_written(append.aggregate_id, commit.first_sequence_number).await?;
        Ok(Some(match first {
            Some(written) if written.commit_id == Some(commit.commit_id) => {
                Reservation::OursAndWritten { write_time: written.write_time }
            }
            _ => Reservation::Theirs { actual: head.sequence_number },
        }))
    }

    /// Step 2, repeated until it is acknowledged. Each attempt has a timestamp of its own,
    /// taken right before it is sent: an old one would land in a part of the CDC log that
    /// consumers have read, or be refused.
    async fn apply(
        &self,
        commit: &Commit,
        last_write_time: i64,
        deadline: Instant,
    ) -> Result<i64, StoreError> {
        let rows = batch_rows(commit);
        let mut batch = Batch::new(BatchType::Logged);
        for statement in [&self.inner.statements.insert_event, &self.inner.statements.insert_outbox]
        {
            for _ in &commit.events {
                batch.append_statement(statement.clone());
            }
        }
        batch.set_consistency(Consistency::LocalQuorum);
        batch.set_request_timeout(Some(self.inner.settings.request_timeout));
        batch.set_retry_policy(Some(Arc::new(FallthroughRetryPolicy)));
        let mut backoff = Backoff::new(Duration::from_millis(20), Duration::from_millis(500));
        loop {
            let write_time = now_micros().max(last_write_time + 1);
            batch.set_timestamp(Some(write_time));
            let error = match self.inner.session.batch(&batch, &rows).await {
                Ok(_) => return Ok(write_time),
                Err(error) => DatabaseError::from(error),
            };
            if !is_transient(&error) || Instant::now() >= deadline {
                return Err(StoreError::Indeterminate {
                    aggregate_id: AggregateId(commit.aggregate_id),
                    commit_id: CommitId(commit.commit_id),
                    source: error,
                });
            }
            tracing::debug!(commit_id = %commit.commit_id, %error, "repeating the batch");
            backoff.wait().await;
        }
    }

    async fn read_head(&self, id: AggregateId) -> Result<Option<Head>, DatabaseError> {
        let result =
            self.inner.session.execute_unpaged(&self.inner.statements.read_head, (id.0,)).await?;
        let row = result
            .into_rows_result()?
            .maybe_first_row::<(Option<i64>, Option<Uuid>, Option<Vec<u8>>)>()?;
        Ok(match row {
            Some((Some(sequence_number), Some(commit_id), Some(pending))) => {
                Some(Head { sequence_number, commit_id, pending })
            }
            _ => None,
        })
    }

    /// Whether the head's commit stands in both tables. A logged batch is applied
    /// partition by partition, so one of them may come first.
    async fn is_written(&self, id: AggregateId, head: &Head) -> Result<bool, StoreError> {
        let event = self
            .read_written(id, head.sequence_number)
            .await
            .map_err(unavailable("reading event_store"))?;
        let Some(event) = event else { return Ok(false) };
        if event.committed_at < now_micros() - OUTBOX_TTL_MICROS / 2 {
            return Ok(true);
        }
        let operation = "reading outbox_messages";
        let rows = self
            .inner
            .session
            .execute_unpaged(&self.inner.statements.outbox_written, (id.0, head.sequence_number))
            .await
            .map_err(unavailable(operation))?
            .into_rows_result()
            .map_err(unavailable(operation))?;
        Ok(rows.rows_num() > 0)
    }

    /// What is known of an event, if it is in the store.
    async fn read_written(
        &self,
        id: AggregateId,
        sequence_number: i64,
    ) -> Result<Option<Written>, DatabaseError> {
        let row = self
            .inner
            .session
            .execute_unpaged(&self.inner.statements.read_written, (id.0, sequence_number))
            .await?
            .into_rows_result()?
            .maybe_first_row::<(Option<Uuid>, Option<i64>, Option<i64>)>()?;
        Ok(row.map(|(commit_id, committed_at, write_time)| Written {
            commit_id,
            committed_at: committed_at.unwrap_or(0),
            write_time: write_time.unwrap_or(0),
        }))
    }
}

/// A reservation below the version that was loaded cannot be: events are written after it.
fn theirs(append: &Append, actual: i64) -> Result<Reservation, StoreError> {
    if actual < append.expected_version {
        return Err(StoreError::Corrupt {
            aggregate_id: append.aggregate_id,
            sequence_number: append.expected_version,
            reason: format!(
                "event_store is at version {}, aggregate_heads only at {actual}",
                append.expected_version
            ),
        });
    }
    Ok(Reservation::Theirs { actual })
}

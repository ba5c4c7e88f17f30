//! The first step of an append: sequence numbers are reserved by a lightweight transaction
//! on the aggregate's head.

use std::time::Duration;

use scylla::DeserializeRow;
use tokio::time::Instant;
use uuid::Uuid;

use super::append::Append;
use super::commit::Commit;
use crate::ids::{AggregateId, CommitId};
use crate::store::{Backoff, DatabaseError, EventStore, StoreError, is_transient};
use crate::telemetry;

/// The last reservation of an aggregate, as it stands in `aggregate_heads`.
pub(super) struct Head {
    pub(super) sequence_number: i64,
    pub(super) commit_id: Uuid,
    pub(super) pending: Vec<u8>,
}

/// How a reservation ended.
pub(super) enum Reservation {
    /// It is ours: go on with the batch.
    Ours,
    /// It was ours, and another writer has finished it already.
    OursAndWritten { write_time: i64 },
    /// Another writer's came first.
    Theirs { actual: i64 },
}

/// What the transaction answers. By name: the order of the columns is the table's.
#[derive(DeserializeRow)]
struct Attempt {
    #[scylla(rename = "[applied]")]
    applied: bool,
    sequence_number: Option<i64>,
    #[allow(dead_code, reason = "part of the condition, so part of the answer")]
    commit_id: Option<Uuid>,
}

impl EventStore {
    /// Step 1. A request whose outcome is unknown is settled by a look at the head: ours,
    /// theirs, or not arrived, which is repeated with the same content.
    pub(super) async fn reserve(
        &self,
        append: &Append,
        commit: &Commit,
        pending: &[u8],
        deadline: Instant,
    ) -> Result<Reservation, StoreError> {
        let id = append.aggregate_id;
        let mut backoff = Backoff::new(Duration::from_millis(20), Duration::from_millis(500));
        let mut in_doubt = false;
        loop {
            let error = match self.try_reserve(append, commit, pending).await {
                Ok(Attempt { applied: true, .. }) => return Ok(Reservation::Ours),
                Ok(attempt) if !in_doubt => {
                    return theirs(append, attempt.sequence_number.unwrap_or(0));
                }
                // An earlier attempt of ours may be what stands there now.
                Ok(attempt) => match self.settle(append, commit, pending).await {
                    Ok(Some(settled)) => return Ok(settled),
                    Ok(None) => return theirs(append, attempt.sequence_number.unwrap_or(0)),
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
            metrics::counter!(telemetry::APPEND_REPEATS, "step" => "reserve").increment(1);
            match self.settle(append, commit, pending).await {
                Ok(Some(settled)) => return Ok(settled),
                Ok(None) => {}
                Err(error) => {
                    tracing::debug!(aggregate_id = %id, %error, "the head cannot be read yet");
                }
            }
        }
    }

    /// What the transaction said.
    async fn try_reserve(
        &self,
        append: &Append,
        commit: &Commit,
        pending: &[u8],
    ) -> Result<Attempt, DatabaseError> {
        // Without events there is no number: a command on an aggregate that does not exist
        // was answered.
        let number = |version: i64| Some(version).filter(|v| *v > 0);
        let values = (
            number(commit.last_sequence_number()),
            commit.commit_id,
            pending,
            commit.aggregate_id,
            number(append.expected_version),
            append.last_commit.map(|id| id.0),
        );
        let result =
            self.inner.session.execute_unpaged(&self.inner.statements.reserve, values).await?;
        Ok(result.into_rows_result()?.single_row::<Attempt>()?)
    }

    /// What became of our reservation, whose request was not answered; `None`: it has not
    /// arrived (and can no longer succeed once a repeat of it has).
    async fn settle(
        &self,
        append: &Append,
        commit: &Commit,
        pending: &[u8],
    ) -> Result<Option<Reservation>, DatabaseError> {
        let Some(head) = self.read_head(append.aggregate_id).await? else { return Ok(None) };
        // Not by the commit's id, which another attempt at the same command has as well:
        // what it promises to write is its own, by its events' ids.
        if head.pending == pending {
            return Ok(Some(Reservation::Ours));
        }
        let unchanged = head.sequence_number == append.expected_version
            && append.last_commit.is_none_or(|last| last.0 == head.commit_id);
        if unchanged || head.sequence_number < append.expected_version {
            return Ok(None);
        }
        // Another commit stands there: before it, or on top of ours. Who reserves on top
        // of a commit has finished it first, so ours would be in the store.
        let theirs = Reservation::Theirs { actual: head.sequence_number };
        let Some(ours) = commit.events.first() else { return Ok(Some(theirs)) };
        let first = self.read_written(append.aggregate_id, commit.first_sequence_number).await?;
        Ok(Some(match first {
            Some(written) if written.event_id == Some(ours.event_id) => {
                Reservation::OursAndWritten { write_time: written.write_time }
            }
            _ => theirs,
        }))
    }

    pub(super) async fn read_head(&self, id: AggregateId) -> Result<Option<Head>, DatabaseError> {
        let result =
            self.inner.session.execute_unpaged(&self.inner.statements.read_head, (id.0,)).await?;
        let row = result
            .into_rows_result()?
            .maybe_first_row::<(Option<i64>, Option<Uuid>, Option<Vec<u8>>)>()?;
        Ok(match row {
            Some((sequence_number, Some(commit_id), Some(pending))) => {
                Some(Head { sequence_number: sequence_number.unwrap_or(0), commit_id, pending })
            }
            _ => None,
        })
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

//! Finishing what another writer reserved and did not write.

use tokio::time::Instant;
use uuid::Uuid;

use super::apply::Part;
use super::commit::Commit;
use super::reserve::Head;
use super::store::unavailable;
use crate::ids::{AggregateId, CommitId};
use crate::store::{DatabaseError, EventStore, StoreError};
use crate::telemetry;
use crate::time::now_micros;

/// Rows of the outbox live this long (`default_time_to_live` of the table), so an older
/// commit is not looked for there.
const OUTBOX_TTL_MICROS: i64 = 86_400 * 1_000_000;

/// What tells which event was written, and when.
pub(super) struct Written {
    pub(super) event_id: Option<Uuid>,
    pub(super) committed_at: i64,
    pub(super) write_time: i64,
}

/// The head of an aggregate, whose commit is written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SettledHead {
    /// The version.
    pub(crate) sequence_number: i64,
    /// Its commit, or a later one without events.
    pub(crate) commit_id: CommitId,
    /// It had been left pending and was written now.
    pub(crate) finished: bool,
}

impl EventStore {
    /// Finishes the aggregate's last commit if its writer did not; returns its id if so.
    /// Safe at any time and from anywhere, also beside the writer itself.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] or [`StoreError::Indeterminate`] when the database does
    /// not answer, [`StoreError::ClockSkew`] when this process's clock is wrong: the commit
    /// stays pending. [`StoreError::Corrupt`] when it cannot be decoded.
    pub async fn complete_pending(&self, id: AggregateId) -> Result<Option<CommitId>, StoreError> {
        let head = self.settle_head(id).await?;
        Ok(head.filter(|head| head.finished).map(|head| head.commit_id))
    }

    /// As [`EventStore::complete_pending`]; returns where the aggregate stands.
    pub(crate) async fn settle_head(
        &self,
        id: AggregateId,
    ) -> Result<Option<SettledHead>, StoreError> {
        let head = self.read_head(id).await.map_err(unavailable("reading aggregate_heads"))?;
        let Some(head) = head else { return Ok(None) };
        let missing = self.missing(id, &head).await?;
        if let Some((commit, part)) = &missing {
            let before = self
                .read_written(id, commit.first_sequence_number - 1)
                .await
                .map_err(unavailable("reading event_store"))?;
            let last_write_time = before.map_or(0, |event| event.write_time);
            let deadline = Instant::now() + self.inner.settings.append_deadline;
            self.apply(commit, *part, last_write_time, deadline).await?;
            metrics::counter!(telemetry::COMMITS_COMPLETED).increment(1);
            tracing::info!(
                aggregate_id = %id,
                commit_id = %head.commit_id,
                sequence_number = head.sequence_number,
                ?part,
                "finished a commit that its writer had left pending"
            );
        }
        Ok(Some(SettledHead {
            sequence_number: head.sequence_number,
            commit_id: CommitId(head.commit_id),
            finished: missing.is_some(),
        }))
    }

    /// What of the head's commit is not in its tables. A logged batch is applied partition by
    /// partition, so some of it may come before the rest.
    async fn missing(
        &self,
        id: AggregateId,
        head: &Head,
    ) -> Result<Option<(Commit, Part)>, StoreError> {
        let corrupt = |reason| StoreError::Corrupt {
            aggregate_id: id,
            sequence_number: head.sequence_number,
            reason,
        };
        let commit = match Commit::decode(&head.pending) {
            Ok(commit) => commit,
            // Of a newer build, perhaps, but nothing of it is to be done.
            Err(_) if head.sequence_number > 0 && self.events_written(id, head).await? => {
                return Ok(None);
            }
            Err(reason) => return Err(corrupt(reason)),
        };
        if commit.aggregate_id != id.0 || commit.last_sequence_number() != head.sequence_number {
            return Err(corrupt("the pending commit belongs to another reservation".to_owned()));
        }
        if !commit.events.is_empty() && !self.events_written(id, head).await? {
            return Ok(Some((commit, Part::All)));
        }
        if commit.has_outcome_at(now_micros() / 1000)
            && self.outcomes(id, &[commit.commit_id]).await?.is_empty()
        {
            return Ok(Some((commit, Part::Outcome)));
        }
        Ok(None)
    }

    /// Whether the last event of the head's commit stands in both tables.
    async fn events_written(&self, id: AggregateId, head: &Head) -> Result<bool, StoreError> {
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
    pub(super) async fn read_written(
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
        Ok(row.map(|(event_id, committed_at, write_time)| Written {
            event_id,
            committed_at: committed_at.unwrap_or(0),
            write_time: write_time.unwrap_or(0),
        }))
    }
}

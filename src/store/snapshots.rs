//! Snapshots as rows.

use scylla::DeserializeRow;
use scylla::value::CqlTimestamp;
use uuid::Uuid;

use super::store::unavailable;
use crate::ids::{AggregateId, CommitId};
use crate::store::{EventStore, StoreError};
use crate::time::now_micros;

/// A row of `aggregate_snapshots`.
#[derive(Debug, Clone, DeserializeRow)]
pub(crate) struct StoredSnapshot {
    pub(crate) aggregate_type: Option<String>,
    pub(crate) sequence_number: Option<i64>,
    pub(crate) schema_version: Option<i32>,
    pub(crate) state: Option<String>,
    pub(crate) last_committed_at: Option<i64>,
    pub(crate) last_write_time: Option<i64>,
    pub(crate) last_commit_id: Option<Uuid>,
    pub(crate) created_at: Option<CqlTimestamp>,
}

/// A snapshot to be written.
#[derive(Debug)]
pub(crate) struct NewSnapshot<'s> {
    pub(crate) aggregate_id: AggregateId,
    pub(crate) aggregate_type: &'s str,
    pub(crate) sequence_number: i64,
    pub(crate) schema_version: i32,
    pub(crate) state: &'s str,
    pub(crate) last_committed_at: i64,
    pub(crate) last_write_time: i64,
    pub(crate) last_commit: Option<CommitId>,
}

impl EventStore {
    /// The aggregate's snapshot, if there is one.
    pub(crate) async fn snapshot(
        &self,
        id: AggregateId,
    ) -> Result<Option<StoredSnapshot>, StoreError> {
        let operation = "reading aggregate_snapshots";
        self.inner
            .session
            .execute_unpaged(&self.inner.statements.read_snapshot, (id.0,))
            .await
            .map_err(unavailable(operation))?
            .into_rows_result()
            .map_err(unavailable(operation))?
            .maybe_first_row::<StoredSnapshot>()
            .map_err(unavailable(operation))
    }

    /// Replaces the aggregate's snapshot.
    pub(crate) async fn write_snapshot(&self, new: NewSnapshot<'_>) -> Result<(), StoreError> {
        let values = (
            new.aggregate_id.0,
            new.aggregate_type,
            new.sequence_number,
            new.schema_version,
            new.state,
            new.last_committed_at,
            new.last_write_time,
            new.last_commit.map(|id| id.0),
            CqlTimestamp(now_micros() / 1000),
        );
        self.inner
            .session
            .execute_unpaged(&self.inner.statements.write_snapshot, values)
            .await
            .map_err(unavailable("writing aggregate_snapshots"))?;
        Ok(())
    }
}

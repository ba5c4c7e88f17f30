//! How far a group's slices are stored to be: for whoever looks, not for the runner.

use futures::stream::{self, StreamExt, TryStreamExt};
use scylla::statement::Consistency;
use scylla::statement::prepared::PreparedStatement;
use scylla::value::CqlTimestamp;

use crate::consumer::group_table::GroupRow;
use crate::consumer::progress::Millis;
use crate::store::{DatabaseError, EventStore};

/// Slices whose rows are read at once.
const AT_ONCE: usize = 16;

/// The stored progress of one slice of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SliceProgress {
    /// Which.
    pub slice: u16,
    /// CDC streams with a checkpoint. 0: none is stored since the group began, or since it was
    /// divided or set to a time.
    pub streams: usize,
    /// Everything before this is done, in all streams; without a checkpoint, where the slice
    /// begins. ms since 1970; 0: with the first event there is.
    pub oldest: i64,
    /// Of the stream that is farthest, likewise.
    pub newest: i64,
}

/// Reads `consumer_checkpoints` as [`Checkpoints`](crate::consumer::Checkpoints) does: rows
/// that were stored under another `slicing` are void.
#[derive(Debug, Clone)]
pub(crate) struct StoredProgress {
    store: EventStore,
    read: PreparedStatement,
}

impl StoredProgress {
    pub(crate) async fn prepare(store: EventStore) -> Result<Self, DatabaseError> {
        let cql = format!(
            "SELECT position, slicing FROM {}.consumer_checkpoints \
             WHERE group_name = ? AND slice = ?",
            store.keyspace()
        );
        let mut read = store.session().prepare(cql).await?;
        read.set_consistency(Consistency::LocalQuorum);
        read.set_is_idempotent(true);
        Ok(Self { store, read })
    }

    /// Of every slice, in their order; none for a group that has not begun to read.
    pub(crate) async fn of(
        &self,
        group: &str,
        row: &GroupRow,
    ) -> Result<Vec<SliceProgress>, DatabaseError> {
        let (Some(slices), Some(start)) = (row.slices, row.started_from) else {
            return Ok(Vec::new());
        };
        stream::iter(0..slices)
            .map(|slice| self.of_slice(group, slice, row.slicing, start))
            .buffered(AT_ONCE)
            .try_collect()
            .await
    }

    async fn of_slice(
        &self,
        group: &str,
        slice: u16,
        slicing: i32,
        start: Millis,
    ) -> Result<SliceProgress, DatabaseError> {
        let rows =
            self.store.session().execute_unpaged(&self.read, (group, i32::from(slice))).await?;
        let rows = rows.into_rows_result()?;
        let mut positions = Vec::new();
        for row in rows.rows::<(Option<CqlTimestamp>, Option<i32>)>()? {
            // A partition may hold its static column alone.
            let (Some(position), of) = row? else { continue };
            if of.unwrap_or(0) == slicing {
                positions.push(position.0);
            }
        }
        Ok(SliceProgress {
            slice,
            streams: positions.len(),
            oldest: positions.iter().copied().min().unwrap_or(start),
            newest: positions.iter().copied().max().unwrap_or(start),
        })
    }
}

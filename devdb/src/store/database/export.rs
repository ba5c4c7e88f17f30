//! A table taken out piece by piece, for a snapshot, while it is written to.

use std::ops::Bound;
use std::sync::Arc;

use uuid::Uuid;

use super::shard::{ring_key, split_ring_key};
use super::{Database, PartitionPosition, shard_of};
use crate::error::Result;
use crate::store::mutation::{Mutation, PartitionKey, Tombstone};
use crate::store::range::ByteRange;
use crate::store::token::token;

/// Bytes of rows after which the lock is let go.
const PIECE: usize = 256 << 10;

/// Range tombstones of a partition. As bytes: what bounds they were written with is no
/// longer known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PartitionRanges {
    pub(crate) table: Uuid,
    pub(crate) key: PartitionKey,
    pub(crate) ranges: Vec<(ByteRange, Tombstone)>,
}

/// Where an export goes on.
#[derive(Debug, Clone, Default)]
pub(crate) struct ExportPosition {
    shard: usize,
    /// The last partition, and the row of it to go on after, if there are more.
    at: Option<PartitionPosition>,
}

/// A piece of a table.
#[derive(Debug, Default)]
pub(crate) struct Exported {
    pub(crate) mutations: Vec<Mutation>,
    pub(crate) ranges: Vec<PartitionRanges>,
}

impl Database {
    /// The next piece of a table; `position` is moved on, `None` when there is no more. Each
    /// piece is as of when it is taken, dead and expired data included.
    pub(crate) fn export(
        &self,
        table: Uuid,
        position: &mut ExportPosition,
    ) -> Result<Option<Exported>> {
        let data = self.table(table)?;
        let layout = Arc::clone(&data.layout.read());
        let mut piece = Exported::default();
        let mut left = PIECE;
        while let Some(shard) = data.shards.get(position.shard) {
            let shard = shard.read();
            let start = match position.at.take() {
                Some((key, Some(row))) => (Bound::Included(key), Some(row)),
                Some((key, None)) => (Bound::Excluded(key), None),
                None => (Bound::Unbounded, None),
            };
            let (start, row) = start;
            let resumed = match &start {
                Bound::Included(key) => Some(key.clone()),
                _ => None,
            };
            for (ring_key, partition) in shard.range(start.as_ref().map(|key| &**key)) {
                let (_, key) = split_ring_key(ring_key);
                // The partition may have gone meanwhile, and another is the first now.
                let after = row.as_deref().filter(|_| resumed.as_deref() == Some(ring_key));
                let (rows, more) = partition.export_rows(&layout, after, left);
                let mut mutation = Mutation {
                    table,
                    key: key.clone(),
                    partition_tombstone: None,
                    range_tombstones: Vec::new(),
                    static_columns: Vec::new(),
                    rows,
                };
                if after.is_none() {
                    let head = partition.export_head();
                    mutation.partition_tombstone = head.tombstone;
                    mutation.static_columns = head.static_columns;
                    if !head.ranges.is_empty() {
                        piece.ranges.push(PartitionRanges { table, key, ranges: head.ranges });
                    }
                }
                let size: usize = mutation.rows.iter().map(|(_, row)| row_size(row)).sum();
                left = left.saturating_sub(ring_key.len() + size);
                piece.mutations.push(mutation);
                if more.is_some() || left == 0 {
                    position.at = Some((ring_key.into(), more));
                    return Ok(Some(piece));
                }
            }
            position.shard += 1;
        }
        Ok((!piece.mutations.is_empty()).then_some(piece))
    }

    /// Mutations that are late still.
    pub(crate) fn late_mutations(&self) -> Vec<Mutation> {
        self.late.lock().iter().map(|(_, mutation)| mutation.clone()).collect()
    }

    /// Puts range tombstones of an export back.
    pub(crate) fn import_ranges(&self, exported: PartitionRanges) -> Result<()> {
        let data = self.table(exported.table)?;
        let layout = Arc::clone(&data.layout.read());
        let token = token(layout.partitioner, &exported.key);
        let mut shard = data.shards[shard_of(token)].write();
        shard.update(&ring_key(token, &exported.key.0), |partition| {
            partition.import_ranges(exported.ranges, &layout);
        });
        Ok(())
    }

    /// Whether there is such a table.
    pub(crate) fn has_table(&self, table: Uuid) -> bool {
        self.tables.read().contains_key(&table)
    }
}

/// About what a row takes, for the size of a piece.
fn row_size(row: &crate::store::mutation::RowMutation) -> usize {
    use crate::store::mutation::{CellContent, ColumnValue};
    let cell = |content: &CellContent| match content {
        CellContent::Dead { .. } => 16,
        CellContent::Live { value } | CellContent::Expiring { value, .. } => 16 + value.len(),
    };
    let column = |value: &ColumnValue| match value {
        ColumnValue::Atomic(value) => cell(&value.content),
        ColumnValue::Collection(cells) => {
            cells.cells.iter().map(|(key, value)| key.len() + cell(&value.content)).sum()
        }
    };
    32 + row.columns.iter().map(|(_, value)| column(value)).sum::<usize>()
}

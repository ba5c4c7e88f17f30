//! A partition taken out piece by piece, as it is stored, for a snapshot.

use std::ops::ControlFlow;

use super::read::full_key;
use super::{Layout, Partition, PartitionRef};
use crate::store::mutation::{ClusteringKey, ColumnId, ColumnValue, RowMutation, Tombstone};
use crate::store::range::ByteRange;

/// Rows with all that is dead in them.
pub(in crate::store) type StoredRows = Vec<(ClusteringKey, RowMutation)>;

/// What the first piece of a partition has besides rows.
#[derive(Debug, Default)]
pub(in crate::store) struct Head {
    pub(in crate::store) tombstone: Option<Tombstone>,
    pub(in crate::store) ranges: Vec<(ByteRange, Tombstone)>,
    pub(in crate::store) static_columns: Vec<(ColumnId, ColumnValue)>,
}

impl PartitionRef<'_> {
    /// What is not rows.
    pub(in crate::store) fn export_head(self) -> Head {
        let Some(extra) = self.extra else { return Head::default() };
        Head {
            tombstone: extra.tombstone,
            ranges: extra.ranges.to_vec(),
            static_columns: extra
                .static_row
                .as_ref()
                .map(|row| row.get().unpack().columns)
                .unwrap_or_default(),
        }
    }

    /// Rows after `from` (the key as it is ordered), as many as make up about `budget` bytes
    /// and one at least; and the key to go on after, if there are more.
    pub(in crate::store) fn export_rows(
        self,
        layout: &Layout,
        from: Option<&[u8]>,
        budget: usize,
    ) -> (StoredRows, Option<Box<[u8]>>) {
        let mut range = Some(ByteRange { low: Box::default(), high: None });
        if let Some(from) = from {
            range = range.and_then(|range| range.resume(from, false));
        }
        let mut rows = Vec::new();
        let Some(range) = range else { return (rows, None) };
        let mut taken = 0;
        let mut last: Option<Box<[u8]>> = None;
        let stopped = self.rows.visit(&range, false, |row| {
            if taken >= budget && !rows.is_empty() {
                return ControlFlow::Break(());
            }
            taken += row.size();
            if taken >= budget {
                last = Some(row.key().into());
            }
            rows.push((full_key(layout, row), row.unpack()));
            ControlFlow::Continue(())
        });
        (rows, last.filter(|_| stopped.is_break()))
    }
}

impl Partition {
    /// Puts range tombstones of [`PartitionRef::export_head`] back.
    pub(in crate::store) fn import_ranges(
        &mut self,
        ranges: Vec<(ByteRange, Tombstone)>,
        layout: &Layout,
    ) {
        for (range, tombstone) in ranges {
            self.delete_range(range, tombstone);
            self.note_due(tombstone.deletion_time.saturating_add(layout.gc_grace));
        }
    }
}

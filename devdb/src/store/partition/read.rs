//! A partition read.

use std::ops::ControlFlow;

use bytes::Bytes;

use super::{Extra, Layout, Partition};
use crate::store::mutation::{ClusteringKey, ColumnId, RowMutation};
use crate::store::packed::RowRef;
use crate::store::range::ByteRange;
use crate::store::read::{LiveRow, LiveValue, ReadSpec};
use crate::store::rows::RowsRef;

/// A partition to be read, whether it is one or only the one row that it has.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) struct PartitionRef<'a> {
    pub(super) rows: RowsRef<'a>,
    pub(super) extra: Option<&'a Extra>,
}

/// Live rows of a partition.
#[derive(Debug, Default)]
pub(in crate::store) struct Found {
    pub(in crate::store) static_columns: Vec<(ColumnId, LiveValue)>,
    pub(in crate::store) has_static: bool,
    pub(in crate::store) rows: Vec<LiveRow>,
    pub(in crate::store) more: bool,
}

pub(super) fn full_key(layout: &Layout, row: RowRef<'_>) -> ClusteringKey {
    if layout.supplemented.is_none() {
        return ClusteringKey(Bytes::copy_from_slice(row.key()));
    }
    ClusteringKey(Bytes::from([row.key(), &row.supplement()].concat()))
}

impl Partition {
    /// To read it.
    pub(in crate::store) fn get(&self) -> PartitionRef<'_> {
        PartitionRef { rows: RowsRef::All(&self.rows), extra: self.extra.as_deref() }
    }
}

impl<'a> PartitionRef<'a> {
    /// A partition with nothing but this row.
    pub(in crate::store) fn of_row(row: RowRef<'a>) -> Self {
        Self { rows: RowsRef::One(row), extra: None }
    }

    /// Reads live data: up to `limit` rows after `after`.
    pub(in crate::store) fn read(
        self,
        layout: &Layout,
        spec: &ReadSpec,
        after: Option<&ClusteringKey>,
        limit: usize,
    ) -> Found {
        let mut found = Found::default();
        let static_row = self.extra.and_then(|extra| extra.static_row.as_ref());
        if let Some(parts) =
            static_row.and_then(|row| row.get().live(spec.now, &spec.columns, &layout.hidden))
        {
            found.has_static = true;
            found.static_columns = parts.columns;
        }
        let mut one = |range: &ByteRange| {
            self.rows.visit(range, spec.reversed, |packed| {
                let Some(parts) = packed.live(spec.now, &spec.columns, &layout.hidden) else {
                    return ControlFlow::Continue(());
                };
                if found.rows.len() >= limit {
                    found.more = true;
                    return ControlFlow::Break(());
                }
                found.rows.push(LiveRow {
                    key: full_key(layout, packed),
                    marker: parts.marker,
                    columns: parts.columns,
                });
                ControlFlow::Continue(())
            })
        };
        let mut each = |range| {
            let range = layout.range(range);
            let range = match after {
                Some(after) => {
                    let after = layout.split(&after.0).0;
                    range.and_then(|range| range.resume(after, spec.reversed))
                }
                None => range,
            };
            range.map_or(ControlFlow::Continue(()), |range| one(&range))
        };
        let _ = if spec.reversed {
            spec.ranges.iter().rev().try_for_each(&mut each)
        } else {
            spec.ranges.iter().try_for_each(&mut each)
        };
        found
    }

    /// A row as stored (`None`: the static row).
    pub(in crate::store) fn stored_row(
        self,
        layout: &Layout,
        key: Option<&[u8]>,
    ) -> Option<RowMutation> {
        match key {
            Some(key) => self.rows.get(layout.split(key).0).map(RowRef::unpack),
            None => self.extra?.static_row.as_ref().map(|row| row.get().unpack()),
        }
    }

    /// Rows, and bytes of rows and keys.
    pub(in crate::store) fn size(self) -> (usize, usize) {
        let mut bytes = 0;
        let all = ByteRange { low: Box::default(), high: None };
        let _ = self.rows.visit(&all, false, |row| {
            bytes += row.size();
            ControlFlow::Continue(())
        });
        (self.rows.len(), bytes)
    }
}

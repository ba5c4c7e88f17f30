//! The rows of a partition.

use std::collections::BTreeSet;
use std::ops::{Bound, ControlFlow};

use super::packed::{PackedRow, RowRef};
use super::range::ByteRange;

/// Rows by key. Most partitions have one row or a few, for which a tree costs too much.
#[derive(Debug, Default)]
pub(super) enum Rows {
    #[default]
    None,
    One(PackedRow),
    Few(Vec<PackedRow>),
    Many(BTreeSet<PackedRow>),
}

const FEW: usize = 16;

impl Rows {
    pub(super) fn len(&self) -> usize {
        match self {
            Rows::None => 0,
            Rows::One(_) => 1,
            Rows::Few(rows) => rows.len(),
            Rows::Many(rows) => rows.len(),
        }
    }

    pub(super) fn get(&self, key: &[u8]) -> Option<RowRef<'_>> {
        match self {
            Rows::None => None,
            Rows::One(row) => (row.key() == key).then(|| row.get()),
            Rows::Few(rows) => {
                let index = rows.binary_search_by(|row| row.key().cmp(key)).ok()?;
                Some(rows[index].get())
            }
            // A key is before every row that begins with it, and one does at most.
            Rows::Many(rows) => {
                let from = (Bound::Included(key), Bound::Unbounded);
                let first = rows.range::<[u8], _>(from).next()?;
                (first.key() == key).then(|| first.get())
            }
        }
    }

    /// Puts a row, in place of one with its key.
    pub(super) fn insert(&mut self, row: PackedRow) {
        match self {
            Rows::None => *self = Rows::One(row),
            Rows::One(old) if old.key() == row.key() => *old = row,
            Rows::One(_) => {
                if let Rows::One(old) = std::mem::take(self) {
                    let mut rows = vec![old, row];
                    rows.sort();
                    *self = Rows::Few(rows);
                }
            }
            Rows::Few(rows) => match rows.binary_search_by(|old| old.key().cmp(row.key())) {
                Ok(index) => rows[index] = row,
                Err(_) if rows.len() == FEW => {
                    let mut many: BTreeSet<_> = std::mem::take(rows).into_iter().collect();
                    many.insert(row);
                    *self = Rows::Many(many);
                }
                Err(index) => {
                    if rows.len() == rows.capacity() {
                        rows.reserve_exact(2.max(rows.len() / 2));
                    }
                    rows.insert(index, row);
                }
            },
            Rows::Many(_) => {
                self.remove(row.key());
                if let Rows::Many(rows) = self {
                    rows.insert(row);
                }
            }
        }
    }

    pub(super) fn remove(&mut self, key: &[u8]) {
        let old = match self.get(key) {
            Some(row) => row.bytes().to_vec(),
            None => return,
        };
        match self {
            Rows::None | Rows::One(_) => *self = Rows::None,
            Rows::Few(rows) => rows.retain(|row| row.get().bytes() != old),
            Rows::Many(rows) => {
                rows.remove(&old[..]);
            }
        }
    }

    /// Gives back the room that is no longer needed.
    pub(super) fn shrink(&mut self) {
        if let Rows::Many(rows) = self
            && rows.len() <= FEW / 2
        {
            *self = Rows::Few(std::mem::take(rows).into_iter().collect());
        }
        if let Rows::Few(rows) = self {
            match rows.len() {
                0 => *self = Rows::None,
                1 => *self = rows.pop().map_or(Rows::None, Rows::One),
                _ => rows.shrink_to_fit(),
            }
        }
    }

    /// Visits rows of a range in clustering order or against it, until told to stop.
    pub(super) fn visit(
        &self,
        range: &ByteRange,
        reversed: bool,
        mut visit: impl FnMut(RowRef<'_>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let mut visit = |row: &PackedRow| visit(row.get());
        match self {
            Rows::None => ControlFlow::Continue(()),
            Rows::One(row) => {
                if range.contains(row.key()) {
                    visit(row)
                } else {
                    ControlFlow::Continue(())
                }
            }
            Rows::Few(rows) => {
                let start = rows.partition_point(|row| row.key() < &*range.low);
                let end = match &range.high {
                    Some(high) => rows.partition_point(|row| row.key() < &**high),
                    None => rows.len(),
                };
                let mut rows = rows.get(start..end).unwrap_or_default().iter();
                if reversed { rows.rev().try_for_each(visit) } else { rows.try_for_each(visit) }
            }
            Rows::Many(rows) => {
                let high = match &range.high {
                    Some(high) => Bound::Excluded(&**high),
                    None => Bound::Unbounded,
                };
                let mut rows = rows.range::<[u8], _>((Bound::Included(&*range.low), high));
                if reversed {
                    rows.rev().try_for_each(visit)
                } else {
                    rows.try_for_each(&mut visit)
                }
            }
        }
    }
}

/// Rows to be read.
#[derive(Debug, Clone, Copy)]
pub(super) enum RowsRef<'a> {
    One(RowRef<'a>),
    All(&'a Rows),
}

impl<'a> RowsRef<'a> {
    pub(super) fn len(self) -> usize {
        match self {
            RowsRef::One(_) => 1,
            RowsRef::All(rows) => rows.len(),
        }
    }

    pub(super) fn get(self, key: &[u8]) -> Option<RowRef<'a>> {
        match self {
            RowsRef::One(row) => (row.key() == key).then_some(row),
            RowsRef::All(rows) => rows.get(key),
        }
    }

    /// Visits rows of a range in clustering order or against it, until told to stop.
    pub(super) fn visit(
        self,
        range: &ByteRange,
        reversed: bool,
        mut visit: impl FnMut(RowRef<'_>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        match self {
            RowsRef::One(row) if range.contains(row.key()) => visit(row),
            RowsRef::One(_) => ControlFlow::Continue(()),
            RowsRef::All(rows) => rows.visit(range, reversed, visit),
        }
    }
}

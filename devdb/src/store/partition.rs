//! A partition: its rows in clustering order and what was deleted of it.
//!
//! Rows hold nothing that a tombstone covers: a range or partition tombstone is applied to
//! the rows when it is written and to later rows when they are. So a read looks at rows only.

mod export;
mod read;

use std::ops::ControlFlow;

use super::mutation::{ClusteringRange, ColumnId, Mutation, RowMutation, Timestamp, Tombstone};
use super::packed::{PackedRow, RowRef};
use super::range::{ByteRange, RangeTombstones};
use super::reconcile::element_key_type;
use super::rows::Rows;
use crate::schema::Table;
use crate::types::CqlType;
use crate::types::order::{may_lose, split_supplement};

pub(super) use read::PartitionRef;

/// What a partition has to know of its table.
#[derive(Debug)]
pub(super) struct Layout {
    /// The type that orders the elements of a column, by column id.
    key_types: Vec<CqlType>,
    /// Columns that were dropped, whose later values wait for them to come back: they do not
    /// keep a row alive.
    pub(super) hidden: Vec<ColumnId>,
    /// Seconds that a tombstone is kept.
    pub(super) gc_grace: i64,
    pub(super) partitioner: crate::schema::Partitioner,
    /// The clustering columns, if keys may have supplements.
    supplemented: Option<Vec<(CqlType, bool)>>,
}

impl Layout {
    pub(super) fn new(table: &Table) -> Self {
        let mut key_types = vec![CqlType::Blob; table.next_column_id as usize];
        for column in &table.columns {
            let id = column.id as usize;
            if id >= key_types.len() {
                key_types.resize(id + 1, CqlType::Blob);
            }
            key_types[id] = element_key_type(&column.cql_type).clone();
        }
        let clustering: Vec<(CqlType, bool)> =
            table.clustering().map(|c| (c.cql_type.clone(), c.descending)).collect();
        let supplemented =
            clustering.iter().any(|(cql_type, _)| may_lose(cql_type)).then_some(clustering);
        Self {
            supplemented,
            key_types,
            hidden: table.hidden().map(|(id, _)| id).collect(),
            gc_grace: i64::from(table.options.gc_grace_seconds),
            partitioner: table.partitioner,
        }
    }

    /// A key as what orders and identifies it, and its supplement.
    fn split<'a>(&self, key: &'a [u8]) -> (&'a [u8], &'a [u8]) {
        match &self.supplemented {
            Some(columns) => split_supplement(columns, key),
            None => (key, &[]),
        }
    }

    fn range(&self, range: &ClusteringRange) -> Option<ByteRange> {
        ByteRange::of(range, |key| self.split(key).0)
    }

    fn key_type(&self, id: ColumnId) -> &CqlType {
        self.key_types.get(id as usize).unwrap_or(&CqlType::Blob)
    }
}

/// What few partitions have.
#[derive(Debug, Default)]
struct Extra {
    tombstone: Option<Tombstone>,
    static_row: Option<PackedRow>,
    ranges: RangeTombstones,
}

/// A partition.
#[derive(Debug)]
pub(super) struct Partition {
    rows: Rows,
    extra: Option<Box<Extra>>,
    /// The second at which something in it can be dropped.
    pub(super) next_purge: i64,
}

impl Default for Partition {
    fn default() -> Self {
        Self { rows: Rows::None, extra: None, next_purge: i64::MAX }
    }
}

/// What becomes of a row in a walk over the rows.
enum Changed {
    Row(PackedRow),
    Gone(Box<[u8]>),
}

impl Changed {
    fn new(before: RowRef<'_>, row: &RowMutation) -> Self {
        match row.is_empty() {
            true => Changed::Gone(before.key().into()),
            false => Changed::Row(PackedRow::pack(before.key(), &before.supplement(), row)),
        }
    }
}

fn due(row: &RowMutation, layout: &Layout) -> i64 {
    let mut row = row.clone();
    // At the beginning of time nothing is due yet.
    row.purge(i64::MIN, layout.gc_grace)
}

impl Partition {
    /// A partition with nothing but this row.
    pub(super) fn of_row(row: RowRef<'_>) -> Self {
        Self { rows: Rows::One(row.to_packed()), ..Self::default() }
    }

    /// The row, if the partition has nothing but one.
    pub(super) fn only_row(&self) -> Option<RowRef<'_>> {
        match &self.rows {
            Rows::One(row) if self.extra.is_none() => Some(row.get()),
            _ => None,
        }
    }

    /// Gives it something that is not a row.
    #[cfg(test)]
    pub(super) fn make_full(&mut self) {
        self.extra().tombstone = Some(Tombstone { timestamp: 0, deletion_time: 0 });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.len() == 0
            && self.extra.as_ref().is_none_or(|extra| {
                extra.tombstone.is_none() && extra.static_row.is_none() && extra.ranges.is_empty()
            })
    }

    fn extra(&mut self) -> &mut Extra {
        self.extra.get_or_insert_default()
    }

    fn cover(&self, key: &[u8]) -> Option<Tombstone> {
        let extra = self.extra.as_ref()?;
        extra.tombstone.max(extra.ranges.covering(key))
    }

    fn note_due(&mut self, due: i64) {
        self.next_purge = self.next_purge.min(due);
    }

    /// Writes.
    pub(super) fn apply(&mut self, mutation: &Mutation, layout: &Layout) {
        if let Some(tombstone) = mutation.partition_tombstone {
            self.delete_all(tombstone);
            self.note_due(tombstone.deletion_time.saturating_add(layout.gc_grace));
        }
        for (range, tombstone) in &mutation.range_tombstones {
            if let Some(range) = layout.range(range) {
                self.delete_range(range, *tombstone);
                self.note_due(tombstone.deletion_time.saturating_add(layout.gc_grace));
            }
        }
        if !mutation.static_columns.is_empty() {
            let cover = self.extra.as_ref().and_then(|extra| extra.tombstone);
            let change =
                RowMutation { columns: mutation.static_columns.clone(), ..RowMutation::default() };
            let old = self.extra.as_ref().and_then(|extra| extra.static_row.as_ref());
            let mut row = old.map(|row| row.get().unpack()).unwrap_or_default();
            row.merge(change, cover, |id| layout.key_type(id));
            self.note_due(due(&row, layout));
            self.extra().static_row = (!row.is_empty()).then(|| PackedRow::pack(&[], &[], &row));
        }
        for (key, change) in &mutation.rows {
            let (key, supplement) = layout.split(&key.0);
            let cover = self.cover(key);
            let old = self.rows.get(key);
            // The first one to write a row says how its key is spelled.
            let first = old.map(RowRef::supplement);
            let mut row = old.map(RowRef::unpack).unwrap_or_default();
            row.merge(change.clone(), cover, |id| layout.key_type(id));
            if row.is_empty() {
                self.rows.remove(key);
            } else {
                let supplement = first.as_deref().unwrap_or(supplement);
                let packed = PackedRow::pack(key, supplement, &row);
                if packed.get().is_mortal() {
                    self.note_due(due(&row, layout));
                }
                self.rows.insert(packed);
            }
        }
    }

    fn delete_all(&mut self, tombstone: Tombstone) {
        let extra = self.extra();
        if extra.tombstone.is_some_and(|old| old >= tombstone) {
            return;
        }
        extra.tombstone = Some(tombstone);
        extra.ranges.shadow(tombstone.timestamp);
        if let Some(packed) = extra.static_row.take() {
            let mut row = packed.get().unpack();
            row.shadow(Some(tombstone));
            extra.static_row = (!row.is_empty()).then(|| PackedRow::pack(&[], &[], &row));
        }
        self.shadow_rows(&ByteRange { low: Box::default(), high: None }, tombstone);
    }

    fn delete_range(&mut self, range: ByteRange, tombstone: Tombstone) {
        let extra = self.extra();
        if extra.tombstone.is_some_and(|all| all.timestamp >= tombstone.timestamp) {
            return;
        }
        extra.ranges.add(range.clone(), tombstone);
        self.shadow_rows(&range, tombstone);
    }

    fn shadow_rows(&mut self, range: &ByteRange, tombstone: Tombstone) {
        let mut changed = Vec::new();
        // The visitor never stops.
        let _ = self.rows.visit(range, false, |packed| {
            let mut row = packed.unpack();
            let before = row.clone();
            row.merge(RowMutation::default(), Some(tombstone), |_| &CqlType::Blob);
            if row != before {
                changed.push(Changed::new(packed, &row));
            }
            ControlFlow::Continue(())
        });
        self.put(changed);
    }

    fn put(&mut self, changed: Vec<Changed>) {
        for row in changed {
            match row {
                Changed::Row(row) => self.rows.insert(row),
                Changed::Gone(key) => self.rows.remove(&key),
            }
        }
    }

    /// Drops what is due, of up to `budget` rows after `from`. Returns the key to go on
    /// after, if there is more; the earliest second at which what was seen is due again;
    /// and how many rows were looked at.
    pub(super) fn purge(
        &mut self,
        now: i64,
        layout: &Layout,
        from: Option<&[u8]>,
        budget: usize,
    ) -> (Option<Box<[u8]>>, i64, usize) {
        let gc_grace = layout.gc_grace;
        let mut next = i64::MAX;
        if from.is_none()
            && let Some(extra) = self.extra.as_mut()
        {
            extra.tombstone = extra.tombstone.filter(|t| {
                let due = t.deletion_time.saturating_add(gc_grace);
                if due > now {
                    next = next.min(due);
                }
                due > now
            });
            next = next.min(extra.ranges.purge(now, gc_grace));
            if let Some(packed) = extra.static_row.take_if(|row| row.get().is_mortal()) {
                let mut row = packed.get().unpack();
                next = next.min(row.purge(now, gc_grace));
                extra.static_row = (!row.is_empty()).then(|| PackedRow::pack(&[], &[], &row));
            }
            if extra.tombstone.is_none() && extra.static_row.is_none() && extra.ranges.is_empty() {
                self.extra = None;
            }
        }
        let mut range = Some(ByteRange { low: Box::default(), high: None });
        if let Some(from) = from {
            range = range.and_then(|range| range.resume(from, false));
        }
        let Some(range) = range else { return (None, next, 0) };
        let mut changed = Vec::new();
        let mut seen = 0;
        let mut last: Option<Box<[u8]>> = None;
        let stopped = self.rows.visit(&range, false, |packed| {
            if seen == budget {
                return ControlFlow::Break(());
            }
            seen += 1;
            if seen == budget {
                last = Some(packed.key().into());
            }
            if packed.is_mortal() {
                let mut row = packed.unpack();
                let before = row.clone();
                next = next.min(row.purge(now, gc_grace));
                if row != before {
                    changed.push(Changed::new(packed, &row));
                }
            }
            ControlFlow::Continue(())
        });
        self.put(changed);
        self.rows.shrink();
        (last.filter(|_| stopped.is_break()), next, seen)
    }

    /// Forgets cells of columns that the table no longer has. `keep`: of a column's cells,
    /// those that were written later than this; `None` for none.
    pub(super) fn keep_columns(&mut self, keep: &impl Fn(ColumnId) -> Option<Timestamp>) {
        let strip = |packed: RowRef<'_>| {
            let mut row = packed.unpack();
            let before = row.clone();
            row.columns.retain_mut(|(id, value)| match keep(*id) {
                Some(Timestamp::MIN) => true,
                Some(until) => !value.shadow(until),
                None => false,
            });
            (row != before).then_some(row)
        };
        let mut changed = Vec::new();
        let all = ByteRange { low: Box::default(), high: None };
        let _ = self.rows.visit(&all, false, |packed| {
            changed.extend(strip(packed).map(|row| Changed::new(packed, &row)));
            ControlFlow::Continue(())
        });
        self.put(changed);
        if let Some(extra) = self.extra.as_mut()
            && let Some(row) = extra.static_row.as_ref().map(PackedRow::get).and_then(strip)
        {
            extra.static_row = (!row.is_empty()).then(|| PackedRow::pack(&[], &[], &row));
        }
    }
}

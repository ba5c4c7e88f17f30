//! A mutation as the changes that a log shows: one record for each timestamp, in it one
//! change for each kind, row and TTL.
//!
//! Source: ScyllaDB, cdc/split.cc and cdc/change_visitor.hh, of which this keeps the rules:
//! a mutation with one timestamp, one TTL and one kind of change is logged as it is, in
//! clustering order; any other is split, and then inserts come before updates before row
//! deletions before range deletions before the partition's.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::store::ByteRange;
use crate::store::mutation::{
    Cell, CellContent, ClusteringKey, ClusteringRange, CollectionCells, ColumnId, ColumnValue,
    Mutation, RowMarker, RowMutation, Timestamp, Tombstone,
};

/// What becomes one row of the log (a range deletion: two).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    Static(Vec<(ColumnId, ColumnValue)>),
    Upsert {
        key: ClusteringKey,
        /// Of an INSERT.
        marker: Option<RowMarker>,
        columns: Vec<(ColumnId, ColumnValue)>,
    },
    DeleteRow(ClusteringKey),
    DeleteRange(ClusteringRange),
    DeletePartition,
}

/// The changes of one timestamp: they share a `cdc$time`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) timestamp: Timestamp,
    pub(super) changes: Vec<Change>,
}

fn ttl_of(cell: &Cell) -> i32 {
    match cell.content {
        CellContent::Expiring { ttl, .. } => ttl,
        _ => 0,
    }
}

fn marker_ttl(marker: &RowMarker) -> i32 {
    marker.expiry.map_or(0, |(ttl, _)| ttl)
}

/// When a collection was overwritten or deleted: its tombstone is a microsecond older than
/// the statement, so that it leaves the statement's own elements.
fn overwritten_at(tombstone: &Tombstone) -> Timestamp {
    tombstone.timestamp + 1
}

/// Range tombstones in clustering order, as ScyllaDB keeps them.
fn sorted_ranges(mutation: &Mutation) -> Vec<&(ClusteringRange, Tombstone)> {
    let mut ranges: Vec<_> = mutation
        .range_tombstones
        .iter()
        .filter_map(|entry| Some((ByteRange::new(&entry.0)?.low, entry)))
        .collect();
    ranges.sort_by(|a, b| a.0.cmp(&b.0));
    ranges.into_iter().map(|(_, entry)| entry).collect()
}

/// The changes of a mutation, the oldest record first.
pub(super) fn records(mutation: &Mutation) -> Vec<Record> {
    match Uniform::timestamp(mutation) {
        Some(timestamp) => vec![Record { timestamp, changes: as_it_is(mutation) }],
        None => split(mutation),
    }
}

fn as_it_is(mutation: &Mutation) -> Vec<Change> {
    let mut changes = Vec::new();
    if !mutation.static_columns.is_empty() {
        changes.push(Change::Static(mutation.static_columns.clone()));
    }
    for (key, row) in &mutation.rows {
        if row.marker.is_some() || !row.columns.is_empty() {
            changes.push(Change::Upsert {
                key: key.clone(),
                marker: row.marker,
                columns: row.columns.clone(),
            });
        }
        if row.tombstone.is_some() {
            changes.push(Change::DeleteRow(key.clone()));
        }
    }
    for (range, _) in sorted_ranges(mutation) {
        changes.push(Change::DeleteRange(range.clone()));
    }
    if mutation.partition_tombstone.is_some() {
        changes.push(Change::DeletePartition);
    }
    changes
}

/// Finds out whether everything in a mutation has one timestamp, one TTL and one kind.
#[derive(Default)]
struct Uniform {
    timestamp: Option<Timestamp>,
    ttl: Option<i32>,
}

impl Uniform {
    /// The timestamp, if the mutation need not be split.
    fn timestamp(mutation: &Mutation) -> Option<Timestamp> {
        let mut seen = Uniform::default();
        seen.check(mutation).then_some(seen.timestamp).flatten()
    }

    fn see(&mut self, timestamp: Timestamp, ttl: i32) -> bool {
        *self.timestamp.get_or_insert(timestamp) == timestamp && *self.ttl.get_or_insert(ttl) == ttl
    }

    fn columns(&mut self, columns: &[(ColumnId, ColumnValue)], had_marker: bool) -> bool {
        columns.iter().all(|(_, value)| match value {
            ColumnValue::Atomic(cell) => self.see(cell.timestamp, ttl_of(cell)),
            ColumnValue::Collection(collection) => {
                collection.tombstone.is_none_or(|t| self.see(overwritten_at(&t), 0))
                    && collection.cells.iter().all(|(_, cell)| {
                        let dead = matches!(cell.content, CellContent::Dead { .. });
                        // Once a row was inserted, live elements are split off.
                        (dead || !had_marker) && self.see(cell.timestamp, ttl_of(cell))
                    })
            }
        })
    }

    fn check(&mut self, mutation: &Mutation) -> bool {
        let has_static = !mutation.static_columns.is_empty();
        if !self.columns(&mutation.static_columns, false) {
            return false;
        }
        let mut had_upsert = false;
        let mut had_marker = false;
        for (_, row) in &mutation.rows {
            if row.marker.is_some() || !row.columns.is_empty() {
                if has_static {
                    return false;
                }
                had_upsert = true;
                if let Some(marker) = &row.marker {
                    had_marker = true;
                    if !self.see(marker.timestamp, marker_ttl(marker)) {
                        return false;
                    }
                }
                if !self.columns(&row.columns, had_marker) {
                    return false;
                }
            }
            if let Some(tombstone) = row.tombstone
                && (has_static || had_upsert || !self.see(tombstone.timestamp, 0))
            {
                return false;
            }
        }
        let has_rows = !mutation.rows.is_empty();
        for (_, tombstone) in &mutation.range_tombstones {
            if has_static || has_rows || !self.see(tombstone.timestamp, 0) {
                return false;
            }
        }
        match &mutation.partition_tombstone {
            Some(tombstone) => {
                !has_static
                    && !has_rows
                    && mutation.range_tombstones.is_empty()
                    && self.see(tombstone.timestamp, 0)
            }
            None => true,
        }
    }
}

/// The changes of one timestamp, by kind.
#[derive(Default)]
struct Batch {
    statics: Vec<Change>,
    inserts: Vec<Change>,
    updates: Vec<Change>,
    row_deletions: Vec<Change>,
    range_deletions: Vec<Change>,
    partition_deletion: Option<Change>,
}

/// What a row's change of one timestamp and TTL does to its columns.
#[derive(Default)]
struct Part {
    atomic: Vec<(ColumnId, ColumnValue)>,
    collections: Vec<(ColumnId, CollectionCells)>,
}

impl Part {
    fn collection(&mut self, id: ColumnId) -> &mut CollectionCells {
        if self.collections.last().is_none_or(|(last, _)| *last != id) {
            self.collections.push((id, CollectionCells::default()));
        }
        let last = self.collections.len() - 1;
        &mut self.collections[last].1
    }

    fn into_columns(self) -> Vec<(ColumnId, ColumnValue)> {
        let mut columns = self.atomic;
        columns
            .extend(self.collections.into_iter().map(|(id, c)| (id, ColumnValue::Collection(c))));
        columns.sort_by_key(|(id, _)| *id);
        columns
    }
}

/// By timestamp, then TTL (0: none), so that a collection's tombstone comes before the
/// elements that were written with a TTL after it.
type Parts = BTreeMap<(Timestamp, i32), Part>;

fn parts(columns: &[(ColumnId, ColumnValue)]) -> Parts {
    let mut parts = Parts::new();
    for (id, value) in columns {
        match value {
            ColumnValue::Atomic(cell) => {
                let part = parts.entry((cell.timestamp, ttl_of(cell))).or_default();
                part.atomic.push((*id, value.clone()));
            }
            ColumnValue::Collection(collection) => {
                if let Some(tombstone) = collection.tombstone {
                    let part = parts.entry((overwritten_at(&tombstone), 0)).or_default();
                    part.collection(*id).tombstone = Some(tombstone);
                }
                for (key, cell) in &collection.cells {
                    let part = parts.entry((cell.timestamp, ttl_of(cell))).or_default();
                    let element: (Bytes, Cell) = (key.clone(), cell.clone());
                    part.collection(*id).cells.push(element);
                }
            }
        }
    }
    parts
}

fn split_row(key: &ClusteringKey, row: &RowMutation, batches: &mut BTreeMap<Timestamp, Batch>) {
    let mut parts = parts(&row.columns);
    let inserted = row.marker.map(|marker| (marker.timestamp, marker_ttl(&marker)));
    if let Some(at) = inserted {
        parts.entry(at).or_default();
    }
    for (at, mut part) in parts {
        let batch = batches.entry(at.0).or_default();
        let upsert = |marker, columns| Change::Upsert { key: key.clone(), marker, columns };
        if Some(at) == inserted {
            // An INSERT of a collection overwrites it, so that elements without a tombstone
            // are no INSERT's: they become an UPDATE of their own.
            let (overwritten, added) = part
                .collections
                .into_iter()
                .partition(|(_, collection)| collection.tombstone.is_some());
            part.collections = overwritten;
            batch.inserts.push(upsert(row.marker, part.into_columns()));
            let rest = Part { atomic: Vec::new(), collections: added };
            if !rest.collections.is_empty() {
                batch.updates.push(upsert(None, rest.into_columns()));
            }
        } else {
            batch.updates.push(upsert(None, part.into_columns()));
        }
    }
    if let Some(tombstone) = row.tombstone {
        let batch = batches.entry(tombstone.timestamp).or_default();
        batch.row_deletions.push(Change::DeleteRow(key.clone()));
    }
}

fn split(mutation: &Mutation) -> Vec<Record> {
    let mut batches: BTreeMap<Timestamp, Batch> = BTreeMap::new();
    for ((timestamp, _), part) in parts(&mutation.static_columns) {
        let batch = batches.entry(timestamp).or_default();
        batch.statics.push(Change::Static(part.into_columns()));
    }
    for (key, row) in &mutation.rows {
        split_row(key, row, &mut batches);
    }
    for (range, tombstone) in sorted_ranges(mutation) {
        let batch = batches.entry(tombstone.timestamp).or_default();
        batch.range_deletions.push(Change::DeleteRange(range.clone()));
    }
    if let Some(tombstone) = &mutation.partition_tombstone {
        let batch = batches.entry(tombstone.timestamp).or_default();
        batch.partition_deletion = Some(Change::DeletePartition);
    }
    batches
        .into_iter()
        .map(|(timestamp, batch)| {
            let mut changes = batch.statics;
            changes.extend(batch.inserts);
            changes.extend(batch.updates);
            changes.extend(batch.row_deletions);
            changes.extend(batch.range_deletions);
            changes.extend(batch.partition_deletion);
            Record { timestamp, changes }
        })
        .collect()
}

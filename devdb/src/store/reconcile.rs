//! How writes meet: which of two cells, markers or rows survives.
//!
//! All of it is commutative, associative and idempotent, so that a row does not depend on
//! the order in which its writes arrived.

use std::cmp::Ordering;

use bytes::Bytes;

use super::mutation::{
    Cell, CellContent, CollectionCells, ColumnId, ColumnValue, RowMarker, RowMutation, Timestamp,
    Tombstone,
};
use crate::types::{CqlType, compare};

/// Which of two cells wins; greater wins.
///
/// Source: ScyllaDB, mutation/atomic_cell.cc, `compare_atomic_cell_for_merge` (with the fix of
/// scylladb#14182, which 5.1.13 and later have: expiry before value).
pub fn compare_cells(a: &Cell, b: &Cell) -> Ordering {
    a.timestamp.cmp(&b.timestamp).then_with(|| match (&a.content, &b.content) {
        (CellContent::Dead { deletion_time: a }, CellContent::Dead { deletion_time: b }) => {
            a.cmp(b)
        }
        (CellContent::Dead { .. }, _) => Ordering::Greater,
        (_, CellContent::Dead { .. }) => Ordering::Less,
        (CellContent::Live { value: a }, CellContent::Live { value: b }) => a.cmp(b),
        (CellContent::Expiring { .. }, CellContent::Live { .. }) => Ordering::Greater,
        (CellContent::Live { .. }, CellContent::Expiring { .. }) => Ordering::Less,
        (
            CellContent::Expiring { value: a, ttl: a_ttl, expiry: a_expiry },
            CellContent::Expiring { value: b, ttl: b_ttl, expiry: b_expiry },
        ) => a_expiry
            .cmp(b_expiry)
            // Of two that die together the later written one, that is with the shorter TTL.
            .then_with(|| b_ttl.cmp(a_ttl))
            .then_with(|| a.cmp(b)),
    })
}

/// Which of two markers wins; greater wins (`compare_row_marker_for_merge`).
fn compare_markers(a: &RowMarker, b: &RowMarker) -> Ordering {
    a.timestamp.cmp(&b.timestamp).then_with(|| match (a.expiry, b.expiry) {
        (Some((a_ttl, a_expiry)), Some((b_ttl, b_expiry))) => {
            a_expiry.cmp(&b_expiry).then_with(|| b_ttl.cmp(&a_ttl))
        }
        (a, b) => a.is_some().cmp(&b.is_some()),
    })
}

fn newer_tombstone(a: Option<Tombstone>, b: Option<Tombstone>) -> Option<Tombstone> {
    a.max(b)
}

/// The type by which the elements of a multi-cell column are sorted.
pub fn element_key_type(cql_type: &CqlType) -> &CqlType {
    match cql_type {
        CqlType::List { .. } => &CqlType::Timeuuid,
        CqlType::Set { element, .. } => element,
        CqlType::Map { key, .. } => key,
        _ => &CqlType::Smallint,
    }
}

impl ColumnValue {
    /// Takes in another write to the column. `key_type` orders the elements of a collection.
    pub fn merge(&mut self, other: ColumnValue, key_type: &CqlType) {
        match (self, other) {
            (ColumnValue::Atomic(mine), ColumnValue::Atomic(other)) => {
                if compare_cells(&other, mine).is_gt() {
                    *mine = other;
                }
            }
            (ColumnValue::Collection(mine), ColumnValue::Collection(other)) => {
                mine.merge(other, key_type);
            }
            // A column never changes between the two kinds: ALTER TABLE refuses it.
            (mine, other) => *mine = other,
        }
    }

    /// Drops what a tombstone covers; true: nothing is left.
    pub(super) fn shadow(&mut self, timestamp: Timestamp) -> bool {
        match self {
            ColumnValue::Atomic(cell) => cell.timestamp <= timestamp,
            ColumnValue::Collection(cells) => {
                cells.shadow(timestamp);
                cells.is_empty()
            }
        }
    }
}

impl CollectionCells {
    /// Neither a tombstone nor cells.
    pub fn is_empty(&self) -> bool {
        self.tombstone.is_none() && self.cells.is_empty()
    }

    fn shadow(&mut self, timestamp: Timestamp) {
        self.cells.retain(|(_, cell)| cell.timestamp > timestamp);
        self.tombstone = self.tombstone.filter(|t| t.timestamp > timestamp);
    }

    /// Takes in another write to the collection: the newer tombstone, and of each element
    /// the winning cell that the tombstone leaves.
    pub fn merge(&mut self, other: CollectionCells, key_type: &CqlType) {
        self.tombstone = newer_tombstone(self.tombstone, other.tombstone);
        let in_order = self
            .cells
            .last()
            .zip(other.cells.first())
            .is_none_or(|((mine, _), (other, _))| compare(key_type, mine, other).is_lt());
        if in_order {
            self.cells.extend(other.cells);
        } else {
            let mine = std::mem::take(&mut self.cells);
            self.cells = merge_sorted(
                mine,
                other.cells,
                |a: &Bytes, b| compare(key_type, a, b),
                |mine, other| {
                    if compare_cells(&other, mine).is_gt() {
                        *mine = other;
                    }
                },
            );
        }
        self.drop_covered();
    }

    /// Drops the cells that the collection's own tombstone covers.
    fn drop_covered(&mut self) {
        if let Some(tombstone) = self.tombstone {
            self.cells.retain(|(_, cell)| cell.timestamp > tombstone.timestamp);
        }
    }
}

/// Two sorted lists as one, equal keys joined.
fn merge_sorted<K, V>(
    a: Vec<(K, V)>,
    b: Vec<(K, V)>,
    by: impl Fn(&K, &K) -> Ordering,
    join: impl Fn(&mut V, V),
) -> Vec<(K, V)> {
    let mut out = Vec::with_capacity(a.len() + b.len());
    let mut a = a.into_iter().peekable();
    let mut b = b.into_iter().peekable();
    while let (Some((x, _)), Some((y, _))) = (a.peek(), b.peek()) {
        match by(x, y) {
            Ordering::Less => out.extend(a.next()),
            Ordering::Greater => out.extend(b.next()),
            Ordering::Equal => {
                if let (Some((key, mut mine)), Some((_, other))) = (a.next(), b.next()) {
                    join(&mut mine, other);
                    out.push((key, mine));
                }
            }
        }
    }
    out.extend(a);
    out.extend(b);
    out
}

/// Two lists of columns (sorted by id) as one. `key_type` gives the type that orders the
/// elements of a multi-cell column.
pub fn merge_columns<'a>(
    mine: &mut Vec<(ColumnId, ColumnValue)>,
    other: Vec<(ColumnId, ColumnValue)>,
    key_type: impl Fn(ColumnId) -> &'a CqlType,
) {
    for (id, value) in other {
        match mine.binary_search_by_key(&id, |(id, _)| *id) {
            Ok(index) => mine[index].1.merge(value, key_type(id)),
            Err(index) => {
                let mut value = value;
                if let ColumnValue::Collection(collection) = &mut value {
                    collection.drop_covered();
                }
                mine.insert(index, (id, value));
            }
        }
    }
}

impl RowMutation {
    /// Takes in another write to the row, as it is in a mutation: what a tombstone of the
    /// same mutation covers stays beside it, since CDC logs both.
    pub fn absorb<'a>(&mut self, other: RowMutation, key_type: impl Fn(ColumnId) -> &'a CqlType) {
        self.marker = match (self.marker, other.marker) {
            (Some(a), Some(b)) => Some(if compare_markers(&b, &a).is_gt() { b } else { a }),
            (a, b) => a.or(b),
        };
        self.tombstone = newer_tombstone(self.tombstone, other.tombstone);
        merge_columns(&mut self.columns, other.columns, key_type);
    }

    /// Takes in another write to the row, as it is stored: what tombstones cover is gone.
    /// `cover` is the newest of the tombstones of the partition and of ranges over the row.
    pub fn merge<'a>(
        &mut self,
        other: RowMutation,
        cover: Option<Tombstone>,
        key_type: impl Fn(ColumnId) -> &'a CqlType,
    ) {
        self.absorb(other, key_type);
        self.shadow(cover.max(self.tombstone));
        // One that a newer one covers decides nothing any more.
        if self.tombstone.zip(cover).is_some_and(|(t, c)| t.timestamp <= c.timestamp) {
            self.tombstone = None;
        }
    }

    /// Drops marker, cells and collection tombstones that a tombstone covers.
    pub fn shadow(&mut self, tombstone: Option<Tombstone>) {
        let Some(Tombstone { timestamp, .. }) = tombstone else { return };
        self.marker = self.marker.filter(|marker| marker.timestamp > timestamp);
        self.columns.retain_mut(|(_, value)| !value.shadow(timestamp));
    }

    /// Says nothing at all.
    pub fn is_empty(&self) -> bool {
        self.marker.is_none() && self.tombstone.is_none() && self.columns.is_empty()
    }

    /// Drops what no longer matters at `now`: expired values become tombstones, tombstones
    /// past their grace go. Returns the second at which there will be more to drop.
    ///
    /// Source: ScyllaDB, mutation/mutation_partition.cc, `row::compact_and_expire`: an expired
    /// cell is a tombstone of the time it was written.
    pub fn purge(&mut self, now: i64, gc_grace: i64) -> i64 {
        let mut next = i64::MAX;
        let mut keep_dead = |deletion_time: i64| {
            let due = deletion_time.saturating_add(gc_grace);
            let keep = due > now;
            if keep {
                next = next.min(due);
            }
            keep
        };
        self.tombstone = self.tombstone.filter(|t| keep_dead(t.deletion_time));
        let mut next_expiry = i64::MAX;
        self.marker = self.marker.filter(|marker| match marker.expiry {
            // An expired marker gives no life but still beats older ones, as a tombstone does.
            Some((ttl, expiry)) if expiry <= now => keep_dead(expiry - i64::from(ttl)),
            Some((_, expiry)) => {
                next_expiry = next_expiry.min(expiry);
                true
            }
            None => true,
        });
        let mut keep_cell = |cell: &mut Cell| {
            if let CellContent::Expiring { ttl, expiry, .. } = cell.content {
                if expiry > now {
                    next_expiry = next_expiry.min(expiry);
                    return true;
                }
                cell.content = CellContent::Dead { deletion_time: expiry - i64::from(ttl) };
            }
            match cell.content {
                CellContent::Dead { deletion_time } => keep_dead(deletion_time),
                _ => true,
            }
        };
        self.columns.retain_mut(|(_, value)| match value {
            ColumnValue::Atomic(cell) => keep_cell(cell),
            ColumnValue::Collection(collection) => {
                collection.cells.retain_mut(|(_, cell)| keep_cell(cell));
                true
            }
        });
        self.columns.retain_mut(|(_, value)| match value {
            ColumnValue::Atomic(_) => true,
            ColumnValue::Collection(collection) => {
                collection.tombstone = collection.tombstone.filter(|t| keep_dead(t.deletion_time));
                !collection.is_empty()
            }
        });
        next.min(next_expiry)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cell() -> impl Strategy<Value = Cell> {
        let value = proptest::collection::vec(0u8..3, 0..2).prop_map(Bytes::from);
        let content =
            prop_oneof![
                (0i64..3).prop_map(|deletion_time| CellContent::Dead { deletion_time }),
                value.clone().prop_map(|value| CellContent::Live { value }),
                (value, 1i32..3, 10i64..13)
                    .prop_map(|(value, ttl, expiry)| CellContent::Expiring { value, ttl, expiry }),
            ];
        (0i64..4, content).prop_map(|(timestamp, content)| Cell { timestamp, content })
    }

    fn tombstone() -> impl Strategy<Value = Option<Tombstone>> {
        proptest::option::weighted(0.3, (0i64..4, 0i64..3)).prop_map(|t| {
            t.map(|(timestamp, deletion_time)| Tombstone { timestamp, deletion_time })
        })
    }

    fn collection() -> impl Strategy<Value = CollectionCells> {
        let cells = proptest::collection::btree_map(0u8..4, cell(), 0..4);
        (tombstone(), cells).prop_map(|(tombstone, cells)| {
            let cells = cells.into_iter().map(|(k, c)| (Bytes::from(vec![k]), c)).collect();
            CollectionCells { tombstone, cells }
        })
    }

    pub(in crate::store) fn row() -> impl Strategy<Value = RowMutation> {
        let marker = proptest::option::of((0i64..4, proptest::option::of((1i32..3, 10i64..13))))
            .prop_map(|m| m.map(|(timestamp, expiry)| RowMarker { timestamp, expiry }));
        let atomic = proptest::collection::btree_map(0u32..3, cell(), 0..3);
        let collections = proptest::collection::btree_map(3u32..5, collection(), 0..3);
        (marker, tombstone(), atomic, collections).prop_map(
            |(marker, tombstone, atomic, collections)| RowMutation {
                marker,
                tombstone,
                columns: atomic
                    .into_iter()
                    .map(|(id, cell)| (id, ColumnValue::Atomic(cell)))
                    .chain(
                        collections
                            .into_iter()
                            .filter(|(_, c)| !c.is_empty())
                            .map(|(id, c)| (id, ColumnValue::Collection(c))),
                    )
                    .collect(),
            },
        )
    }

    fn merged<'a>(rows: impl IntoIterator<Item = &'a RowMutation>) -> RowMutation {
        let mut all = RowMutation::default();
        for row in rows {
            all.merge(row.clone(), None, |_| &CqlType::Blob);
        }
        all
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn merging_rows_does_not_depend_on_order_grouping_or_repetition(
            a in row(), b in row(), c in row(),
        ) {
            let all = merged([&a, &b, &c]);
            prop_assert_eq!(&merged([&c, &a, &b]), &all);
            prop_assert_eq!(&merged([&b, &c, &a]), &all);
            prop_assert_eq!(&merged([&merged([&a, &b]), &c]), &all);
            prop_assert_eq!(&merged([&a, &merged([&b, &c])]), &all);
            prop_assert_eq!(&merged([&a, &b, &a, &c, &b, &all]), &all);
        }

        #[test]
        fn purging_changes_nothing_that_is_alive(a in row(), now in 0i64..20, grace in 0i64..5) {
            let before = merged([&a]);
            let mut after = before.clone();
            let next = after.purge(now, grace);
            let alive = |row: &RowMutation| {
                let live = |cell: &Cell| match cell.content {
                    CellContent::Live { .. } => true,
                    CellContent::Expiring { expiry, .. } => expiry > now,
                    CellContent::Dead { .. } => false,
                };
                let mut found = Vec::new();
                for (id, value) in &row.columns {
                    match value {
                        ColumnValue::Atomic(cell) if live(cell) => {
                            found.push((*id, Bytes::new(), cell.clone()));
                        }
                        ColumnValue::Atomic(_) => {}
                        ColumnValue::Collection(cells) => found.extend(
                            cells.cells.iter().filter(|(_, c)| live(c))
                                .map(|(k, c)| (*id, k.clone(), c.clone())),
                        ),
                    }
                }
                found
            };
            prop_assert_eq!(alive(&before), alive(&after));
            prop_assert!(next > now);
            let again = after.clone();
            after.purge(now, grace);
            prop_assert_eq!(again, after);
        }
    }

    fn live(timestamp: i64, value: &'static [u8]) -> Cell {
        Cell { timestamp, content: CellContent::Live { value: Bytes::from_static(value) } }
    }

    #[test]
    fn a_tombstone_beats_a_value_of_its_age_and_a_larger_value_a_smaller() {
        let dead = Cell { timestamp: 1, content: CellContent::Dead { deletion_time: 0 } };
        assert!(compare_cells(&dead, &live(1, b"z")).is_gt());
        assert!(compare_cells(&dead, &live(2, b"")).is_lt());
        assert!(compare_cells(&live(1, b"b"), &live(1, b"ab")).is_gt());
        let expiring = Cell {
            timestamp: 1,
            content: CellContent::Expiring { value: Bytes::new(), ttl: 1, expiry: 9 },
        };
        assert!(compare_cells(&expiring, &live(1, b"z")).is_gt());
    }

    #[test]
    fn in_a_mutation_a_row_tombstone_leaves_the_cells_beside_it() {
        let mut row = RowMutation {
            columns: vec![(0, ColumnValue::Atomic(live(1, b"a")))],
            ..RowMutation::default()
        };
        let delete = RowMutation {
            tombstone: Some(Tombstone { timestamp: 1, deletion_time: 0 }),
            ..RowMutation::default()
        };
        row.absorb(delete.clone(), |_| &CqlType::Blob);
        assert_eq!(row.columns.len(), 1);
        row.merge(delete, None, |_| &CqlType::Blob);
        assert!(row.columns.is_empty());
    }
}

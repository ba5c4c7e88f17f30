//! A part of a table: partitions by token and key.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use bytes::Bytes;

use crate::store::mutation::PartitionKey;
use crate::store::packed::{RESERVED, RowRef, push_length, take_length};
use crate::store::partition::{Partition, PartitionRef};

/// The bytes of a partition's token (big endian, sign bit flipped) and key: in ring order.
pub(super) fn ring_key(token: i64, key: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(8 + key.len());
    bytes.extend((token ^ i64::MIN).to_be_bytes());
    bytes.extend_from_slice(key);
    bytes
}

pub(super) fn split_ring_key(bytes: &[u8]) -> (i64, PartitionKey) {
    match bytes.split_first_chunk::<8>() {
        Some((token, key)) => {
            (i64::from_be_bytes(*token) ^ i64::MIN, PartitionKey(Bytes::copy_from_slice(key)))
        }
        None => (i64::MIN, PartitionKey(Bytes::new())),
    }
}

/// A partition's place. One with nothing but a row, as in a table that has no clustering
/// columns, is here altogether, in one piece of memory: the ring key, the row if it is here,
/// the ring key's length; and if something in the row expires, when it does, and [`DUE`].
#[derive(Debug)]
pub(super) struct Entry(Box<[u8]>);

/// The last byte of an entry that says when something in it is due; no length ends so.
const DUE: u8 = RESERVED;

impl Entry {
    fn new(ring_key: &[u8], row: Option<RowRef<'_>>, due: i64) -> Self {
        let row = row.map(RowRef::bytes).unwrap_or_default();
        // As much as it takes: what is allocated and then cut to size keeps the larger place.
        let mut tail = Vec::with_capacity(14);
        push_length(&mut tail, ring_key.len());
        if due < i64::MAX {
            tail.extend(due.to_be_bytes());
            tail.push(DUE);
        }
        Self([ring_key, row, &tail].concat().into())
    }

    fn parts(&self) -> (&[u8], i64) {
        if let Some((&DUE, rest)) = self.0.split_last()
            && let Some((rest, due)) = rest.split_last_chunk::<8>()
        {
            return (rest, i64::from_be_bytes(*due));
        }
        (&self.0, i64::MAX)
    }

    fn split(&self) -> (&[u8], &[u8]) {
        let (length, rest) = take_length(self.parts().0);
        rest.split_at(length)
    }

    pub(super) fn ring_key(&self) -> &[u8] {
        self.split().0
    }

    fn row(&self) -> Option<RowRef<'_>> {
        let row = self.split().1;
        (!row.is_empty()).then(|| RowRef::of_bytes(row))
    }

    /// The partition that is only this row.
    fn partition(&self) -> Option<Partition> {
        let mut partition = Partition::of_row(self.row()?);
        partition.next_purge = self.parts().1;
        Some(partition)
    }
}

impl Borrow<[u8]> for Entry {
    fn borrow(&self) -> &[u8] {
        self.ring_key()
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        self.ring_key().cmp(other.ring_key())
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.ring_key() == other.ring_key()
    }
}

impl Eq for Entry {}

/// The partitions of a part of the ring. Each is in one of two maps, so that one that is
/// only a row takes nothing for what it does not have.
#[derive(Debug)]
pub(super) struct Shard {
    single: BTreeSet<Entry>,
    full: BTreeMap<Entry, Box<Partition>>,
    /// The second at which something in it can be dropped.
    pub(super) next_purge: i64,
}

impl Default for Shard {
    fn default() -> Self {
        Self { single: BTreeSet::new(), full: BTreeMap::new(), next_purge: i64::MAX }
    }
}

impl Shard {
    pub(super) fn get(&self, ring_key: &[u8]) -> Option<PartitionRef<'_>> {
        if let Some(partition) = self.full.get(ring_key) {
            return Some(partition.get());
        }
        self.single.get(ring_key)?.row().map(PartitionRef::of_row)
    }

    /// Both maps as one, in ring order.
    fn entries(&self, from: Bound<&[u8]>) -> impl Iterator<Item = (&Entry, Option<&Partition>)> {
        let bounds = (from, Bound::Unbounded);
        let mut single = self.single.range::<[u8], _>(bounds).peekable();
        let mut full = self.full.range::<[u8], _>(bounds).peekable();
        std::iter::from_fn(move || {
            let is_full = match (single.peek(), full.peek()) {
                (Some(single), Some((full, _))) => full < single,
                (None, full) => full.is_some(),
                (Some(_), None) => false,
            };
            match is_full {
                true => full.next().map(|(entry, partition)| (entry, Some(&**partition))),
                false => single.next().map(|entry| (entry, None)),
            }
        })
    }

    /// Partitions in ring order.
    pub(super) fn range(
        &self,
        from: Bound<&[u8]>,
    ) -> impl Iterator<Item = (&[u8], PartitionRef<'_>)> {
        self.entries(from).filter_map(|(entry, partition)| {
            let partition = match partition {
                Some(partition) => partition.get(),
                None => PartitionRef::of_row(entry.row()?),
            };
            Some((entry.ring_key(), partition))
        })
    }

    /// All partitions in ring order, with the second at which something in them is due.
    pub(super) fn due(&self, from: Bound<&[u8]>) -> impl Iterator<Item = (&[u8], i64)> {
        self.entries(from).map(|(entry, partition)| {
            let due = partition.map_or_else(|| entry.parts().1, |partition| partition.next_purge);
            (entry.ring_key(), due)
        })
    }

    /// Changes a partition, which is empty if there was none; one that is empty after is gone.
    pub(super) fn update(&mut self, ring_key: &[u8], change: impl FnOnce(&mut Partition)) {
        if let Some(partition) = self.full.get_mut(ring_key) {
            change(partition);
            self.next_purge = self.next_purge.min(partition.next_purge);
            if partition.is_empty() || partition.only_row().is_some() {
                self.settle(ring_key);
            }
            return;
        }
        let before = self.single.take(ring_key);
        let mut partition = before.as_ref().and_then(Entry::partition).unwrap_or_default();
        change(&mut partition);
        self.next_purge = self.next_purge.min(partition.next_purge);
        if let Some(row) = partition.only_row() {
            self.single.insert(Entry::new(ring_key, Some(row), partition.next_purge));
        } else if !partition.is_empty() {
            self.full.insert(Entry::new(ring_key, None, i64::MAX), Box::new(partition));
        }
    }

    /// Changes every partition.
    pub(super) fn update_all(&mut self, change: impl Fn(&mut Partition)) {
        let keys: Vec<Box<[u8]>> =
            self.range(Bound::Unbounded).map(|(key, _)| key.into()).collect();
        for key in keys {
            self.update(&key, &change);
        }
    }

    /// Gives a partition that has become small the place that it needs, and none if it has
    /// become empty.
    fn settle(&mut self, ring_key: &[u8]) {
        let Some((entry, partition)) = self.full.remove_entry(ring_key) else { return };
        if let Some(row) = partition.only_row() {
            self.single.insert(Entry::new(ring_key, Some(row), partition.next_purge));
        } else if !partition.is_empty() {
            self.full.insert(entry, partition);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::mutation::{Cell, CellContent, ColumnValue, RowMarker, RowMutation};
    use crate::store::packed::PackedRow;

    fn row(expiry: Option<(i32, i64)>) -> RowMutation {
        let content = CellContent::Live { value: Bytes::from_static(b"value") };
        RowMutation {
            marker: Some(RowMarker { timestamp: 1, expiry }),
            tombstone: None,
            columns: vec![(1, ColumnValue::Atomic(Cell { timestamp: 1, content }))],
        }
    }

    #[test]
    fn an_entry_is_its_key_whatever_it_holds() {
        for length in [4, 245, 246, 247, 300] {
            let key = ring_key(-5, &vec![7; length]);
            let packed = PackedRow::pack(b"", b"", &row(None));
            let full = Entry::new(&key, Some(packed.get()), i64::MAX);
            let expiring = Entry::new(&key, Some(packed.get()), 77);
            assert_eq!(expiring.row().unwrap().unpack(), row(None));
            assert_eq!((expiring.parts().1, full.parts().1), (77, i64::MAX));
            assert_eq!(expiring, full);
            let empty = Entry::new(&key, None, i64::MAX);
            assert_eq!(full, empty);
            assert_eq!(full.ring_key(), key);
            assert_eq!(full.row().unwrap().unpack(), row(None));
            assert!(empty.row().is_none());
            assert!(Entry::new(&ring_key(4, b""), None, 1) > full);
        }
        let entry = |key| Entry::new(&ring_key(1, key), None, i64::MAX);
        assert!(entry(b"a") < entry(b"ab"));
    }

    #[test]
    fn partitions_of_both_places_come_in_ring_order() {
        let mut shard = Shard::default();
        for n in 0..50i64 {
            let row = row(None);
            shard.update(&ring_key(n * 7919 % 50, b""), |partition| {
                *partition = Partition::of_row(PackedRow::pack(b"", b"", &row).get());
                if n % 2 == 0 {
                    partition.make_full();
                }
            });
        }
        let tokens = |from| -> Vec<i64> {
            shard.range(from).map(|(key, _)| split_ring_key(key).0).collect()
        };
        assert_eq!(tokens(Bound::Unbounded), (0..50).collect::<Vec<_>>());
        let from = ring_key(17, b"");
        assert_eq!(tokens(Bound::Included(&from)), (17..50).collect::<Vec<_>>());
        assert_eq!(tokens(Bound::Excluded(&from)), (18..50).collect::<Vec<_>>());
    }

    #[test]
    fn a_partition_moves_between_its_places_as_it_grows_and_shrinks() {
        let key = ring_key(1, b"key");
        let mut shard = Shard::default();
        let put = |shard: &mut Shard, row: Option<RowMutation>| {
            shard.update(&key, |partition| {
                *partition = row.map_or_else(Partition::default, |row| {
                    Partition::of_row(PackedRow::pack(b"", b"", &row).get())
                });
            });
        };
        let count = |shard: &Shard| (shard.single.len(), shard.full.len());
        put(&mut shard, Some(row(None)));
        assert_eq!(count(&shard), (1, 0));
        put(&mut shard, Some(row(Some((1, 10)))));
        assert_eq!(count(&shard), (1, 0));
        put(&mut shard, Some(row(None)));
        assert_eq!(count(&shard), (1, 0));
        shard.update(&key, Partition::make_full);
        assert_eq!(count(&shard), (0, 1));
        put(&mut shard, Some(row(None)));
        assert_eq!(count(&shard), (1, 0));
        put(&mut shard, None);
        assert_eq!(count(&shard), (0, 0));
        assert!(shard.get(&key).is_none());
    }
}

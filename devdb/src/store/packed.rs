//! A row as one piece of memory.
//!
//! A table of a million rows is a million of these, so key and row are a single allocation
//! without room to spare: numbers as varints, timestamps as differences to the row's first
//! one, a TTL and expiry written once while they stay the same.

use std::borrow::Borrow;
use std::cell::RefCell;

use bytes::Bytes;

use super::mutation::{
    Cell, CellContent, CollectionCells, ColumnId, ColumnValue, RowMarker, RowMutation, Timestamp,
    Tombstone,
};
use super::read::{ColumnSelection, LiveCell, LiveValue};

/// A stored row with its key: the key's bytes, the row's, the key's length. Made by
/// [`PackedRow::pack`] alone, so that reading it cannot fail.
///
/// No full key of a table is a prefix of another (`types::order`), so that the order of
/// the bytes is that of the keys.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PackedRow(Box<[u8]>);

impl Borrow<[u8]> for PackedRow {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

/// The last byte of a key that is too long for it; its length is before it.
const LONG_KEY: u8 = 0xff;
/// A byte that no length ends with.
pub(super) const RESERVED: u8 = 0xfe;

const MARKER: u8 = 1;
const MARKER_EXPIRES: u8 = 2;
const TOMBSTONE: u8 = 4;
/// Something in the row is dead or will be: what a purge looks at.
const MORTAL: u8 = 8;
/// The key has a supplement, which is after the head.
const SUPPLEMENT: u8 = 16;
/// The first timestamp takes 8 bytes and not 7, which last for a thousand years.
const WIDE: u8 = 32;

// Of a cell: what it is, and what need not be written.
const DEAD: u64 = 1;
const EXPIRING: u64 = 2;
const SAME_TIMESTAMP: u64 = 4;
const SAME_EXPIRY: u64 = 8;
/// Of a column.
const COLLECTION: u64 = 16;
const FLAG_BITS: u32 = 5;

/// What a thread keeps of its scratch space for the next row.
const SCRATCH_LIMIT: usize = 64 * 1024;

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

struct Packer<'a> {
    out: &'a mut Vec<u8>,
    base: Timestamp,
    expiry: (i32, i64),
}

impl Packer<'_> {
    fn unsigned(&mut self, mut n: u64) {
        while n >= 0x80 {
            self.out.push(n as u8 | 0x80);
            n >>= 7;
        }
        self.out.push(n as u8);
    }

    fn signed(&mut self, n: i64) {
        self.unsigned(((n << 1) ^ (n >> 63)) as u64);
    }

    fn timestamp(&mut self, timestamp: Timestamp) {
        self.signed(timestamp.wrapping_sub(self.base));
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.unsigned(bytes.len() as u64);
        self.out.extend_from_slice(bytes);
    }

    fn expiry(&mut self, ttl: i32, expiry: i64) {
        self.signed(i64::from(ttl));
        self.signed(expiry);
        self.expiry = (ttl, expiry);
    }

    fn flags(&self, cell: &Cell) -> u64 {
        let same = if cell.timestamp == self.base { SAME_TIMESTAMP } else { 0 };
        same | match cell.content {
            CellContent::Dead { .. } => DEAD,
            CellContent::Live { .. } => 0,
            CellContent::Expiring { ttl, expiry, .. } if (ttl, expiry) == self.expiry => {
                EXPIRING | SAME_EXPIRY
            }
            CellContent::Expiring { .. } => EXPIRING,
        }
    }

    fn cell(&mut self, flags: u64, cell: &Cell) {
        if flags & SAME_TIMESTAMP == 0 {
            self.timestamp(cell.timestamp);
        }
        match &cell.content {
            CellContent::Dead { deletion_time } => self.signed(*deletion_time),
            CellContent::Live { value } => self.bytes(value),
            CellContent::Expiring { value, ttl, expiry } => {
                if flags & SAME_EXPIRY == 0 {
                    self.expiry(*ttl, *expiry);
                }
                self.bytes(value);
            }
        }
    }
}

/// Writes a length so that it can be read from the end of the bytes.
pub(super) fn push_length(out: &mut Vec<u8>, length: usize) {
    match u8::try_from(length) {
        Ok(length) if length < RESERVED => out.push(length),
        _ => {
            out.extend((length as u32).to_be_bytes());
            out.push(LONG_KEY);
        }
    }
}

/// The length at the end of the bytes, and the bytes before it.
pub(super) fn take_length(bytes: &[u8]) -> (usize, &[u8]) {
    match bytes.split_last() {
        Some((&LONG_KEY, rest)) => match rest.split_last_chunk::<4>() {
            Some((rest, length)) => (u32::from_be_bytes(*length) as usize, rest),
            None => (0, &[]),
        },
        Some((length, rest)) => (usize::from(*length), rest),
        None => (0, &[]),
    }
}

/// A stored row, wherever its bytes are.
#[derive(Debug, Clone, Copy)]
pub(super) struct RowRef<'a>(&'a [u8]);

impl PackedRow {
    /// To read it.
    pub(super) fn get(&self) -> RowRef<'_> {
        RowRef(&self.0)
    }

    /// Its clustering key.
    pub(super) fn key(&self) -> &[u8] {
        self.get().key()
    }

    /// `supplement`: what the key's bytes do not tell of its values (`types::order`).
    pub(super) fn pack(key: &[u8], supplement: &[u8], row: &RowMutation) -> Self {
        // Written where there is room, kept in as much as it takes.
        SCRATCH.with_borrow_mut(|out| {
            out.clear();
            Self::write(key, supplement, row, out);
            let packed = Self(out[..].into());
            if out.capacity() > SCRATCH_LIMIT {
                *out = Vec::new();
            }
            packed
        })
    }

    fn write(key: &[u8], supplement: &[u8], row: &RowMutation, out: &mut Vec<u8>) {
        let first_cell = || match &row.columns.first()?.1 {
            ColumnValue::Atomic(cell) => Some(cell.timestamp),
            ColumnValue::Collection(cells) => cells.cells.first().map(|(_, c)| c.timestamp),
        };
        let base = row.marker.map(|m| m.timestamp).or_else(first_cell).unwrap_or(0);
        out.extend_from_slice(key);
        let mut p = Packer { out, base, expiry: (0, 0) };
        let mut flags = 0;
        if let Some(marker) = row.marker {
            flags |= MARKER;
            if marker.expiry.is_some() {
                flags |= MARKER_EXPIRES;
            }
        }
        if row.tombstone.is_some() {
            flags |= TOMBSTONE;
        }
        let mortal_cell = |cell: &Cell| !matches!(cell.content, CellContent::Live { .. });
        if row.tombstone.is_some()
            || flags & MARKER_EXPIRES != 0
            || row.columns.iter().any(|(_, value)| match value {
                ColumnValue::Atomic(cell) => mortal_cell(cell),
                ColumnValue::Collection(collection) => {
                    collection.tombstone.is_some()
                        || collection.cells.iter().any(|(_, cell)| mortal_cell(cell))
                }
            })
        {
            flags |= MORTAL;
        }
        if !supplement.is_empty() {
            flags |= SUPPLEMENT;
        }
        let bytes = base.to_le_bytes();
        let narrow = base << 8 >> 8 == base;
        p.out.push(if narrow { flags } else { flags | WIDE });
        p.out.extend_from_slice(if narrow { &bytes[..7] } else { &bytes });
        if !supplement.is_empty() {
            p.bytes(supplement);
        }
        if let Some((ttl, expiry)) = row.marker.and_then(|m| m.expiry) {
            p.expiry(ttl, expiry);
        }
        if let Some(tombstone) = row.tombstone {
            p.timestamp(tombstone.timestamp);
            p.signed(tombstone.deletion_time);
        }
        for (id, value) in &row.columns {
            let id = u64::from(*id) << FLAG_BITS;
            match value {
                ColumnValue::Atomic(cell) => {
                    let flags = p.flags(cell);
                    p.unsigned(id | flags);
                    p.cell(flags, cell);
                }
                ColumnValue::Collection(collection) => {
                    p.unsigned(id | COLLECTION);
                    match collection.tombstone {
                        Some(tombstone) => {
                            p.out.push(1);
                            p.timestamp(tombstone.timestamp);
                            p.signed(tombstone.deletion_time);
                        }
                        None => p.out.push(0),
                    }
                    p.unsigned(collection.cells.len() as u64);
                    for (key, cell) in &collection.cells {
                        p.bytes(key);
                        let flags = p.flags(cell);
                        p.out.push(flags as u8);
                        p.cell(flags, cell);
                    }
                }
            }
        }
        push_length(p.out, key.len());
    }
}

impl<'a> RowRef<'a> {
    /// Of the bytes that [`RowRef::bytes`] gave.
    pub(super) fn of_bytes(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// In memory of its own.
    pub(super) fn to_packed(self) -> PackedRow {
        PackedRow(self.0.into())
    }

    /// The parts: key, row.
    fn split(self) -> (&'a [u8], &'a [u8]) {
        let (length, rest) = take_length(self.0);
        rest.split_at(length)
    }

    /// Its clustering key.
    pub(super) fn key(self) -> &'a [u8] {
        self.split().0
    }

    /// What the key's bytes do not tell of its values; mostly empty.
    pub(super) fn supplement(self) -> Bytes {
        let row = self.split().1;
        if row.first().is_none_or(|flags| flags & SUPPLEMENT == 0) {
            return Bytes::new();
        }
        let bytes = Bytes::copy_from_slice(row);
        let mut reader = Reader::new(&bytes);
        reader.head();
        reader.supplement
    }

    /// All its bytes.
    pub(super) fn bytes(self) -> &'a [u8] {
        self.0
    }

    /// The row with everything that is dead in it.
    pub(super) fn unpack(self) -> RowMutation {
        let bytes = Bytes::copy_from_slice(self.split().1);
        let mut reader = Reader::new(&bytes);
        let (marker, tombstone) = reader.head();
        let mut columns = Vec::new();
        while let Some((id, flags)) = reader.column() {
            let value = if flags & COLLECTION == 0 {
                ColumnValue::Atomic(reader.cell(flags))
            } else {
                let tombstone = reader.collection_tombstone();
                let count = reader.unsigned();
                let cells = (0..count)
                    .map(|_| {
                        let key = reader.bytes();
                        let flags = u64::from(reader.byte());
                        (key, reader.cell(flags))
                    })
                    .collect();
                ColumnValue::Collection(CollectionCells { tombstone, cells })
            };
            columns.push((id, value));
        }
        RowMutation { marker, tombstone, columns }
    }

    /// Whether anything in the row is dead or expires.
    pub(super) fn is_mortal(self) -> bool {
        self.split().1.first().is_some_and(|flags| flags & MORTAL != 0)
    }

    /// What is alive at `now`: the marker, the wanted columns, and whether anything is.
    /// `hidden` columns are as if they were not there.
    pub(super) fn live(
        self,
        now: i64,
        wanted: &ColumnSelection,
        hidden: &[ColumnId],
    ) -> Option<LiveParts> {
        let bytes = Bytes::copy_from_slice(self.split().1);
        let mut reader = Reader::new(&bytes);
        let (marker, _) = reader.head();
        let marker = marker.filter(|m| m.expiry.is_none_or(|(_, expiry)| expiry > now));
        let mut alive = marker.is_some();
        let mut columns = Vec::new();
        while let Some((id, flags)) = reader.column() {
            if flags & COLLECTION == 0 {
                if let Some(cell) = live_cell(reader.cell(flags), now)
                    && !hidden.contains(&id)
                {
                    alive = true;
                    if wanted.contains(id) {
                        columns.push((id, LiveValue::Atomic(cell)));
                    }
                }
                continue;
            }
            reader.collection_tombstone();
            let mut cells = Vec::new();
            for _ in 0..reader.unsigned() {
                let key = reader.bytes();
                let flags = u64::from(reader.byte());
                if let Some(cell) = live_cell(reader.cell(flags), now) {
                    cells.push((key, cell));
                }
            }
            if !cells.is_empty() && !hidden.contains(&id) {
                alive = true;
                if wanted.contains(id) {
                    columns.push((id, LiveValue::Collection(cells)));
                }
            }
        }
        alive.then_some(LiveParts { marker, columns })
    }

    /// Bytes it takes, without the allocator's own.
    pub(super) fn size(self) -> usize {
        self.0.len()
    }
}

/// What is alive of a row.
pub(super) struct LiveParts {
    pub(super) marker: Option<RowMarker>,
    pub(super) columns: Vec<(ColumnId, LiveValue)>,
}

fn live_cell(cell: Cell, now: i64) -> Option<LiveCell> {
    let timestamp = cell.timestamp;
    match cell.content {
        CellContent::Dead { .. } => None,
        CellContent::Live { value } => Some(LiveCell { value, timestamp, ttl: None }),
        CellContent::Expiring { value, expiry, .. } => (expiry > now).then(|| {
            let left = i32::try_from(expiry - now).unwrap_or(i32::MAX);
            LiveCell { value, timestamp, ttl: Some(left) }
        }),
    }
}

struct Reader<'a> {
    bytes: &'a Bytes,
    at: usize,
    base: Timestamp,
    expiry: (i32, i64),
    supplement: Bytes,
}

impl<'a> Reader<'a> {
    fn new(bytes: &'a Bytes) -> Self {
        Self { bytes, at: 0, base: 0, expiry: (0, 0), supplement: Bytes::new() }
    }

    fn byte(&mut self) -> u8 {
        let byte = self.bytes[self.at];
        self.at += 1;
        byte
    }

    fn unsigned(&mut self) -> u64 {
        let mut n = 0;
        let mut shift = 0;
        loop {
            let byte = self.byte();
            n |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return n;
            }
            shift += 7;
        }
    }

    fn signed(&mut self) -> i64 {
        let n = self.unsigned();
        (n >> 1) as i64 ^ -((n & 1) as i64)
    }

    fn timestamp(&mut self) -> Timestamp {
        self.signed().wrapping_add(self.base)
    }

    fn bytes(&mut self) -> Bytes {
        let length = self.unsigned() as usize;
        let start = self.at;
        self.at += length;
        self.bytes.slice(start..self.at)
    }

    fn head(&mut self) -> (Option<RowMarker>, Option<Tombstone>) {
        let flags = self.byte();
        let width = if flags & WIDE != 0 { 8 } else { 7 };
        let mut base = [0; 8];
        base[8 - width..].copy_from_slice(&self.bytes[self.at..self.at + width]);
        // Of seven bytes the last one has the sign.
        self.base = i64::from_le_bytes(base) >> (8 * (8 - width));
        self.at += width;
        if flags & SUPPLEMENT != 0 {
            self.supplement = self.bytes();
        }
        let expiry = (flags & MARKER_EXPIRES != 0).then(|| self.read_expiry());
        let marker = (flags & MARKER != 0).then_some(RowMarker { timestamp: self.base, expiry });
        let tombstone = (flags & TOMBSTONE != 0)
            .then(|| Tombstone { timestamp: self.timestamp(), deletion_time: self.signed() });
        (marker, tombstone)
    }

    fn read_expiry(&mut self) -> (i32, i64) {
        self.expiry = (self.signed() as i32, self.signed());
        self.expiry
    }

    fn column(&mut self) -> Option<(ColumnId, u64)> {
        if self.at == self.bytes.len() {
            return None;
        }
        let head = self.unsigned();
        Some(((head >> FLAG_BITS) as ColumnId, head & ((1 << FLAG_BITS) - 1)))
    }

    fn collection_tombstone(&mut self) -> Option<Tombstone> {
        (self.byte() == 1)
            .then(|| Tombstone { timestamp: self.timestamp(), deletion_time: self.signed() })
    }

    fn cell(&mut self, flags: u64) -> Cell {
        let timestamp = if flags & SAME_TIMESTAMP != 0 { self.base } else { self.timestamp() };
        let content = if flags & DEAD != 0 {
            CellContent::Dead { deletion_time: self.signed() }
        } else if flags & EXPIRING != 0 {
            let (ttl, expiry) =
                if flags & SAME_EXPIRY != 0 { self.expiry } else { self.read_expiry() };
            CellContent::Expiring { value: self.bytes(), ttl, expiry }
        } else {
            CellContent::Live { value: self.bytes() }
        };
        Cell { timestamp, content }
    }
}

#[cfg(test)]
mod tests {
    use super::super::reconcile::tests::row;
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_packed_row_is_the_same_row(
            row in row(), far in any::<i64>(), length in prop_oneof![0usize..20, 250usize..300],
        ) {
            let key = vec![7; length];
            let packed = PackedRow::pack(&key, b"1.50", &row);
            prop_assert_eq!(packed.key(), &key[..]);
            prop_assert_eq!(&packed.get().supplement()[..], b"1.50");
            prop_assert_eq!(packed.get().unpack(), row.clone());
            let mut row = row;
            if let Some(marker) = &mut row.marker {
                marker.timestamp = far;
            }
            prop_assert_eq!(PackedRow::pack(&key, b"", &row).get().unpack(), row);
        }
    }

    #[test]
    fn a_log_row_with_a_ttl_takes_little_more_than_its_values() {
        let columns: Vec<_> = (0..12)
            .map(|id| {
                let content = CellContent::Expiring {
                    value: Bytes::from_static(b"0123456789"),
                    ttl: 86_400,
                    expiry: 1_800_000_000,
                };
                (id, ColumnValue::Atomic(Cell { timestamp: 1_800_000_000_000_000, content }))
            })
            .collect();
        let row = RowMutation { columns, ..RowMutation::default() };
        assert!(PackedRow::pack(b"key", b"", &row).get().size() <= 120 + 55);
    }
}

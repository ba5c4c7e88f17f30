//! Mutations as bytes.

use bytes::Bytes;

use super::codec::{Decoder, Encoder, Malformed};
use crate::store::mutation::{
    Cell, CellContent, ClusteringBound, ClusteringKey, ClusteringRange, CollectionCells, ColumnId,
    ColumnValue, Mutation, PartitionKey, RowMarker, RowMutation, Tombstone,
};
use crate::store::{ByteRange, PartitionRanges};

type Columns = Vec<(ColumnId, ColumnValue)>;

/// Writes mutations. Times are written as differences to `base` (µs since 1970).
#[derive(Debug)]
pub(super) struct MutationEncoder<'a> {
    out: Encoder<'a>,
    base: i64,
}

impl<'a> MutationEncoder<'a> {
    pub(super) fn new(out: &'a mut Vec<u8>, base: i64) -> Self {
        Self { out: Encoder(out), base }
    }

    pub(super) fn mutation(&mut self, mutation: &Mutation) {
        self.out.uuid(mutation.table);
        self.out.bytes(&mutation.key.0);
        self.tombstone(mutation.partition_tombstone);
        self.out.unsigned(mutation.range_tombstones.len() as u64);
        for (range, tombstone) in &mutation.range_tombstones {
            self.bound(&range.start);
            self.bound(&range.end);
            self.tombstone(Some(*tombstone));
        }
        self.columns(&mutation.static_columns);
        self.out.unsigned(mutation.rows.len() as u64);
        for (key, row) in &mutation.rows {
            self.out.bytes(&key.0);
            self.row(row);
        }
    }

    pub(super) fn ranges(&mut self, exported: &PartitionRanges) {
        self.out.uuid(exported.table);
        self.out.bytes(&exported.key.0);
        self.out.unsigned(exported.ranges.len() as u64);
        for (range, tombstone) in &exported.ranges {
            self.out.bytes(&range.low);
            match &range.high {
                Some(high) => {
                    self.out.byte(1);
                    self.out.bytes(high);
                }
                None => self.out.byte(0),
            }
            self.tombstone(Some(*tombstone));
        }
    }

    fn time(&mut self, micros: i64) {
        self.out.signed(micros.wrapping_sub(self.base));
    }

    fn second(&mut self, second: i64) {
        self.out.signed(second.wrapping_sub(self.base.div_euclid(1_000_000)));
    }

    fn tombstone(&mut self, tombstone: Option<Tombstone>) {
        match tombstone {
            Some(tombstone) => {
                self.out.byte(1);
                self.time(tombstone.timestamp);
                self.second(tombstone.deletion_time);
            }
            None => self.out.byte(0),
        }
    }

    fn bound(&mut self, bound: &ClusteringBound) {
        let (kind, key) = match bound {
            ClusteringBound::Unbounded => (0, None),
            ClusteringBound::Inclusive(key) => (1, Some(key)),
            ClusteringBound::Exclusive(key) => (2, Some(key)),
        };
        self.out.byte(kind);
        if let Some(key) = key {
            self.out.bytes(&key.0);
        }
    }

    fn row(&mut self, row: &RowMutation) {
        match row.marker {
            None => self.out.byte(0),
            Some(RowMarker { timestamp, expiry: None }) => {
                self.out.byte(1);
                self.time(timestamp);
            }
            Some(RowMarker { timestamp, expiry: Some((ttl, expiry)) }) => {
                self.out.byte(2);
                self.time(timestamp);
                self.out.signed(i64::from(ttl));
                self.second(expiry);
            }
        }
        self.tombstone(row.tombstone);
        self.columns(&row.columns);
    }

    fn columns(&mut self, columns: &Columns) {
        self.out.unsigned(columns.len() as u64);
        for (id, value) in columns {
            self.out.unsigned(u64::from(*id));
            match value {
                ColumnValue::Atomic(cell) => {
                    self.out.byte(0);
                    self.cell(cell);
                }
                ColumnValue::Collection(collection) => {
                    self.out.byte(1);
                    self.tombstone(collection.tombstone);
                    self.out.unsigned(collection.cells.len() as u64);
                    for (key, cell) in &collection.cells {
                        self.out.bytes(key);
                        self.cell(cell);
                    }
                }
            }
        }
    }

    fn cell(&mut self, cell: &Cell) {
        match &cell.content {
            CellContent::Dead { deletion_time } => {
                self.out.byte(0);
                self.time(cell.timestamp);
                self.second(*deletion_time);
            }
            CellContent::Live { value } => {
                self.out.byte(1);
                self.time(cell.timestamp);
                self.out.bytes(value);
            }
            CellContent::Expiring { value, ttl, expiry } => {
                self.out.byte(2);
                self.time(cell.timestamp);
                self.out.signed(i64::from(*ttl));
                self.second(*expiry);
                self.out.bytes(value);
            }
        }
    }
}

/// Reads what [`MutationEncoder`] wrote.
#[derive(Debug)]
pub(super) struct MutationDecoder {
    input: Decoder,
    base: i64,
}

impl MutationDecoder {
    pub(super) fn new(input: Decoder, base: i64) -> Self {
        Self { input, base }
    }

    /// All mutations to the end of the record.
    pub(super) fn mutations(mut self) -> Result<Vec<Mutation>, Malformed> {
        let mut mutations = Vec::new();
        while !self.input.is_empty() {
            mutations.push(self.mutation()?);
        }
        Ok(mutations)
    }

    fn many<T>(
        &mut self,
        mut one: impl FnMut(&mut Self) -> Result<T, Malformed>,
    ) -> Result<Vec<T>, Malformed> {
        let count = self.input.length()?;
        // Not with the capacity of a count that may be anything.
        let mut all = Vec::new();
        for _ in 0..count {
            all.push(one(self)?);
        }
        Ok(all)
    }

    fn mutation(&mut self) -> Result<Mutation, Malformed> {
        Ok(Mutation {
            table: self.input.uuid()?,
            key: PartitionKey(self.input.bytes()?),
            partition_tombstone: self.tombstone()?,
            range_tombstones: self.many(|this| {
                let range = ClusteringRange { start: this.bound()?, end: this.bound()? };
                Ok((range, this.tombstone()?.ok_or(Malformed)?))
            })?,
            static_columns: self.columns()?,
            rows: self.many(|this| Ok((ClusteringKey(this.input.bytes()?), this.row()?)))?,
        })
    }

    pub(super) fn ranges(mut self) -> Result<PartitionRanges, Malformed> {
        Ok(PartitionRanges {
            table: self.input.uuid()?,
            key: PartitionKey(self.input.bytes()?),
            ranges: self.many(|this| {
                let boxed = |bytes: Bytes| Box::<[u8]>::from(&bytes[..]);
                let low = boxed(this.input.bytes()?);
                let high = match this.input.byte()? {
                    0 => None,
                    _ => Some(boxed(this.input.bytes()?)),
                };
                Ok((ByteRange { low, high }, this.tombstone()?.ok_or(Malformed)?))
            })?,
        })
    }

    fn time(&mut self) -> Result<i64, Malformed> {
        Ok(self.input.signed()?.wrapping_add(self.base))
    }

    fn second(&mut self) -> Result<i64, Malformed> {
        Ok(self.input.signed()?.wrapping_add(self.base.div_euclid(1_000_000)))
    }

    fn ttl(&mut self) -> Result<i32, Malformed> {
        i32::try_from(self.input.signed()?).map_err(|_| Malformed)
    }

    fn tombstone(&mut self) -> Result<Option<Tombstone>, Malformed> {
        match self.input.byte()? {
            0 => Ok(None),
            1 => Ok(Some(Tombstone { timestamp: self.time()?, deletion_time: self.second()? })),
            _ => Err(Malformed),
        }
    }

    fn bound(&mut self) -> Result<ClusteringBound, Malformed> {
        match self.input.byte()? {
            0 => Ok(ClusteringBound::Unbounded),
            1 => Ok(ClusteringBound::Inclusive(ClusteringKey(self.input.bytes()?))),
            2 => Ok(ClusteringBound::Exclusive(ClusteringKey(self.input.bytes()?))),
            _ => Err(Malformed),
        }
    }

    fn row(&mut self) -> Result<RowMutation, Malformed> {
        let marker = match self.input.byte()? {
            0 => None,
            1 => Some(RowMarker { timestamp: self.time()?, expiry: None }),
            2 => Some(RowMarker {
                timestamp: self.time()?,
                expiry: Some((self.ttl()?, self.second()?)),
            }),
            _ => return Err(Malformed),
        };
        Ok(RowMutation { marker, tombstone: self.tombstone()?, columns: self.columns()? })
    }

    fn columns(&mut self) -> Result<Columns, Malformed> {
        self.many(|this| {
            let id = ColumnId::try_from(this.input.unsigned()?).map_err(|_| Malformed)?;
            let value = match this.input.byte()? {
                0 => ColumnValue::Atomic(this.cell()?),
                1 => ColumnValue::Collection(CollectionCells {
                    tombstone: this.tombstone()?,
                    cells: this.many(|this| Ok((this.input.bytes()?, this.cell()?)))?,
                }),
                _ => return Err(Malformed),
            };
            Ok((id, value))
        })
    }

    fn cell(&mut self) -> Result<Cell, Malformed> {
        let kind = self.input.byte()?;
        let timestamp = self.time()?;
        let content = match kind {
            0 => CellContent::Dead { deletion_time: self.second()? },
            1 => CellContent::Live { value: self.input.bytes()? },
            2 => {
                let (ttl, expiry) = (self.ttl()?, self.second()?);
                CellContent::Expiring { value: self.input.bytes()?, ttl, expiry }
            }
            _ => return Err(Malformed),
        };
        Ok(Cell { timestamp, content })
    }
}

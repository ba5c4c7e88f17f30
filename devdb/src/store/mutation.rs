//! The one description of a change: the coordinator's write, CDC's input and the
//! journal's record.

use bytes::Bytes;

/// Microseconds since 1970, as written by clients (`USING TIMESTAMP`).
pub type Timestamp = i64;

/// Index of a non-key column in [`crate::schema::Table::columns`]: stable for the life
/// of a table, never reused after a drop.
pub type ColumnId = u32;

/// A partition key: the column's value, or for a composite key each component as
/// `u16 length, bytes, 0x00` (what the token is computed from).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PartitionKey(pub Bytes);

/// A full or partial clustering key as bytes whose order is the table's clustering
/// order (DESC columns are inverted), so that `memcmp` decides. A partial key is a
/// prefix of every full key that it covers. Encoded and decoded by `types::order`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct ClusteringKey(pub Bytes);

/// One end of a range of clustering keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClusteringBound {
    /// No limit on this side.
    Unbounded,
    /// From (or to) the rows that have this prefix, those included.
    Inclusive(ClusteringKey),
    /// From (or to) the rows that have this prefix, those left out.
    Exclusive(ClusteringKey),
}

/// A range of clustering keys in clustering order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusteringRange {
    /// Where it begins.
    pub start: ClusteringBound,
    /// Where it ends.
    pub end: ClusteringBound,
}

/// When something that was deleted was deleted. Nothing older than `timestamp`, or of
/// the same age, survives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tombstone {
    /// Its write timestamp.
    pub timestamp: Timestamp,
    /// When it was written, seconds since 1970 (for dropping it later).
    pub deletion_time: i64,
}

/// A value with its age, or the mark that there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    /// Its write timestamp.
    pub timestamp: Timestamp,
    /// What it says.
    pub content: CellContent,
}

/// Dead, alive or alive for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CellContent {
    /// Deleted at `deletion_time` (seconds since 1970).
    Dead { deletion_time: i64 },
    /// A value.
    Live { value: Bytes },
    /// A value that dies at `expiry` (seconds since 1970), `ttl` seconds after it was written.
    Expiring { value: Bytes, ttl: i32, expiry: i64 },
}

/// A column of a row: one cell, or the cells of a multi-cell collection or UDT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ColumnValue {
    /// Scalars and everything frozen.
    Atomic(Cell),
    /// Non-frozen collections and UDTs.
    Collection(CollectionCells),
}

/// The cells of a non-frozen collection.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CollectionCells {
    /// Deletes elements of its age and older (an overwrite has one, at T−1 µs).
    pub tombstone: Option<Tombstone>,
    /// Element key (list: 16 bytes of timeuuid; set: the element; map: the key; UDT:
    /// field index as i16) and cell, sorted by the key type's order.
    pub cells: Vec<(Bytes, Cell)>,
}

/// The sign that a row exists even when all its columns are null: written by INSERT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowMarker {
    /// Its write timestamp.
    pub timestamp: Timestamp,
    /// `ttl` seconds and expiry (seconds since 1970), if it expires.
    pub expiry: Option<(i32, i64)>,
}

/// What a mutation does to one row.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RowMutation {
    /// INSERT's marker.
    pub marker: Option<RowMarker>,
    /// DELETE of the row.
    pub tombstone: Option<Tombstone>,
    /// Columns, sorted by id.
    pub columns: Vec<(ColumnId, ColumnValue)>,
}

/// Everything that a statement or batch does to one partition of one table.
///
/// All statements of a batch on one partition are merged into one mutation, rows in
/// clustering order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mutation {
    /// The table.
    pub table: uuid::Uuid,
    /// The partition.
    pub key: PartitionKey,
    /// DELETE of the whole partition.
    pub partition_tombstone: Option<Tombstone>,
    /// DELETEs of ranges, in order of the statements.
    pub range_tombstones: Vec<(ClusteringRange, Tombstone)>,
    /// The static row's columns.
    pub static_columns: Vec<(ColumnId, ColumnValue)>,
    /// Rows, sorted by key, each key once.
    pub rows: Vec<(ClusteringKey, RowMutation)>,
}

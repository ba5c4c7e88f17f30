//! What a read asks for and what it gets: live data only, as seen at one second.

use bytes::Bytes;

use super::mutation::{ClusteringBound, ClusteringKey, ClusteringRange, ColumnId, PartitionKey};
use super::mutation::{RowMarker, Timestamp};

/// Which rows and columns of a partition to read.
#[derive(Debug, Clone)]
pub struct ReadSpec {
    /// The ranges to visit, in clustering order and not overlapping (whatever
    /// `reversed` says). Empty: no rows, only the static ones.
    pub ranges: Vec<ClusteringRange>,
    /// Against clustering order: last row of the last range first.
    pub reversed: bool,
    /// Go on after this row (before it in clustering order when reversed), left out itself.
    pub after: Option<ClusteringKey>,
    /// At most so many live rows (in a scan: of each partition).
    pub limit: usize,
    /// Which columns' values are wanted. Others still decide whether a row is alive.
    pub columns: ColumnSelection,
    /// The second at which TTLs are judged.
    pub now: i64,
}

/// Which columns a read returns.
#[derive(Debug, Clone, Default)]
pub enum ColumnSelection {
    /// All of them, static and regular.
    #[default]
    All,
    /// These, sorted by id (static and regular together).
    Some(Vec<ColumnId>),
}

impl ColumnSelection {
    /// Whether the column is wanted.
    pub fn contains(&self, id: ColumnId) -> bool {
        match self {
            ColumnSelection::All => true,
            ColumnSelection::Some(ids) => ids.binary_search(&id).is_ok(),
        }
    }
}

impl ReadSpec {
    /// Every row and column, in clustering order, at this second.
    pub fn all(now: i64) -> Self {
        Self {
            ranges: vec![ClusteringRange::all()],
            reversed: false,
            after: None,
            limit: usize::MAX,
            columns: ColumnSelection::All,
            now,
        }
    }

    /// One row by its full key.
    pub fn row(key: ClusteringKey, now: i64) -> Self {
        Self { ranges: vec![ClusteringRange::prefix(key)], limit: 1, ..Self::all(now) }
    }
}

impl ClusteringRange {
    /// Every row.
    pub fn all() -> Self {
        Self { start: ClusteringBound::Unbounded, end: ClusteringBound::Unbounded }
    }

    /// The rows that have this prefix; the one row when it is a full key.
    pub fn prefix(key: ClusteringKey) -> Self {
        Self {
            start: ClusteringBound::Inclusive(key.clone()),
            end: ClusteringBound::Inclusive(key),
        }
    }
}

/// A value that is alive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveCell {
    /// The value.
    pub value: Bytes,
    /// Its write timestamp.
    pub timestamp: Timestamp,
    /// Seconds left, if it expires.
    pub ttl: Option<i32>,
}

/// A column's live content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LiveValue {
    /// Scalars and everything frozen.
    Atomic(LiveCell),
    /// The live elements of a non-frozen collection or UDT (at least one), by key:
    /// list: timeuuid; set: the element, its value empty; map: the key; UDT: the field's
    /// index as a big-endian i16.
    Collection(Vec<(Bytes, LiveCell)>),
}

/// A live row: it has a live marker or a live column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveRow {
    /// Its key; decoded by `types::order::decode_clustering`.
    pub key: ClusteringKey,
    /// Its marker, if there is a live one.
    pub marker: Option<RowMarker>,
    /// The wanted live columns, sorted by id. A column that is not here is null.
    pub columns: Vec<(ColumnId, LiveValue)>,
}

impl LiveRow {
    /// A column's live content.
    pub fn column(&self, id: ColumnId) -> Option<&LiveValue> {
        find_column(&self.columns, id)
    }
}

/// What a read found in a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionView {
    /// Its token.
    pub token: i64,
    /// Its key.
    pub key: PartitionKey,
    /// The wanted live static columns, sorted by id.
    pub static_columns: Vec<(ColumnId, LiveValue)>,
    /// Whether any static column is alive, wanted or not.
    pub has_static: bool,
    /// The live rows, in the order asked for.
    pub rows: Vec<LiveRow>,
    /// The limit was reached and there may be more rows.
    pub more: bool,
}

impl PartitionView {
    /// A static column's live content.
    pub fn static_column(&self, id: ColumnId) -> Option<&LiveValue> {
        find_column(&self.static_columns, id)
    }
}

fn find_column(columns: &[(ColumnId, LiveValue)], id: ColumnId) -> Option<&LiveValue> {
    let index = columns.binary_search_by_key(&id, |(id, _)| *id).ok()?;
    Some(&columns[index].1)
}

/// A range of tokens, both ends included. The ring's first token is `i64::MIN + 1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenRange {
    /// The first token.
    pub start: i64,
    /// The last token. An `end` below `start` is an empty range.
    pub end: i64,
}

impl TokenRange {
    /// The whole ring.
    pub const ALL: TokenRange = TokenRange { start: i64::MIN, end: i64::MAX };
}

/// Where a scan goes on; also fit for a paging state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScanPosition {
    /// Token of the last partition visited.
    pub token: i64,
    /// Its key.
    pub key: PartitionKey,
    /// `Some`: go on in this partition after this row. `None`: with the next partition.
    pub row: Option<ClusteringKey>,
    /// Rows of this partition already returned (they count for `ReadSpec::limit`).
    pub taken: usize,
}

/// A piece of a scan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScanChunk {
    /// Partitions in (token, key) order; each has live rows or a live static column. A
    /// partition continued from the last chunk comes again with its static columns.
    pub partitions: Vec<PartitionView>,
    /// Where to go on; `None`: the range is exhausted.
    pub next: Option<ScanPosition>,
}

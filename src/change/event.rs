//! A change of a row, a range or a partition.

use std::fmt;
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use scylla::value::CqlValue;

/// What a write did to a table, in one place of it.
///
/// A write (a statement, or what a batch did to one partition) may lead to several changes:
/// they have the same [`time`](Self::time) and follow each other by
/// [`sequence`](Self::sequence).
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ChangeEvent {
    /// The table, as the subscription names it.
    pub table: Arc<str>,
    /// What was done.
    pub operation: Operation,
    /// To which row, or partition.
    pub key: Key,
    /// Which rows of the partition, where the operation is [`Operation::RangeDelete`].
    pub range: Option<KeyRange>,
    /// What was written, by column: the columns that the statement named, no others. Empty
    /// for deletions of rows, ranges and partitions; `None` where the table's log has
    /// `'delta': 'keys'`, and so does not tell.
    pub columns: Option<Row<ColumnChange>>,
    /// The row before the write: `None` if there was none, if it was not asked for
    /// ([`with_before`](crate::change::SubscriptionBuilder::with_before)), or for ranges and
    /// partitions, of which ScyllaDB keeps no images. With `'preimage': true` it has only
    /// the columns that the write changes, with `'full'` all of them.
    pub before: Option<Row<CqlValue>>,
    /// The row after the write, with all columns that are not null: `None` if it is gone, if
    /// it was not asked for
    /// ([`with_after`](crate::change::SubscriptionBuilder::with_after)), or for ranges and
    /// partitions.
    pub after: Option<Row<CqlValue>>,
    /// The write's timestamp, µs since 1970. Of two changes of a cell the one with the
    /// greater timestamp counts: write a replica `USING TIMESTAMP` of it.
    pub time: i64,
    /// Place among the changes of one write, from 0; not without gaps.
    pub sequence: i32,
    /// How long what was written lives, if it does not stay.
    pub ttl: Option<Duration>,
    /// Whether an expired TTL made the change and no client. Only Alternator logs these.
    pub expired: bool,
}

/// Kinds of changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Operation {
    /// INSERT: the row exists from then on, whatever its columns hold.
    Insert,
    /// UPDATE, or DELETE of columns; of the static row as well.
    Update,
    /// DELETE of a row.
    RowDelete,
    /// DELETE of a range of a partition's rows.
    RangeDelete,
    /// DELETE of a partition.
    PartitionDelete,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Insert => "insert",
            Self::Update => "update",
            Self::RowDelete => "row delete",
            Self::RangeDelete => "range delete",
            Self::PartitionDelete => "partition delete",
        })
    }
}

/// The primary key of what was changed.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Key {
    /// The partition key, in its order.
    pub partition: Row<CqlValue>,
    /// The clustering key, in its order. Empty where the change is of the static row, of a
    /// range or of the partition, and in tables without clustering columns.
    pub clustering: Row<CqlValue>,
}

impl Key {
    /// A column of the key.
    pub fn get(&self, column: &str) -> Option<&CqlValue> {
        self.partition.get(column).or_else(|| self.clustering.get(column))
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (name, value)) in
            self.partition.iter().chain(self.clustering.iter()).enumerate()
        {
            let comma = if place == 0 { "" } else { ", " };
            write!(f, "{comma}{name} = {value}")?;
        }
        Ok(())
    }
}

/// A range of a partition's rows, in the order in which the table clusters them: with
/// `CLUSTERING ORDER BY (c DESC)` the greater `c` is at the start.
///
/// A bound is a prefix of the clustering key, by column; it stands for all rows that begin
/// with it.
#[derive(Debug, Clone, PartialEq)]
pub struct KeyRange {
    /// Where it begins.
    pub start: Bound<Row<CqlValue>>,
    /// Where it ends.
    pub end: Bound<Row<CqlValue>>,
}

/// Columns by name, few enough to look through.
#[derive(Debug, Clone, PartialEq)]
pub struct Row<T>(Vec<(Arc<str>, T)>);

impl<T> Default for Row<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Row<T> {
    /// A column's value; `None`: null, or not among them.
    pub fn get(&self, column: &str) -> Option<&T> {
        self.0.iter().find(|(name, _)| &**name == column).map(|(_, value)| value)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &T)> {
        self.0.iter().map(|(name, value)| (&**name, value))
    }

    /// All values, without their names.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|(_, value)| value)
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<T> FromIterator<(Arc<str>, T)> for Row<T> {
    fn from_iter<I: IntoIterator<Item = (Arc<str>, T)>>(columns: I) -> Self {
        Self(columns.into_iter().collect())
    }
}

/// What a write did to a column.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum ColumnChange {
    /// It has this value now.
    Set(CqlValue),
    /// It is null now; a collection is empty.
    Removed,
    /// Some elements of it changed: of a list, set, map or user-defined type that is not
    /// frozen.
    Elements(ElementChanges),
}

/// Changes inside of a collection.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ElementChanges {
    /// Whether what had been there was removed first (`SET s = {…}` rather than
    /// `s = s + {…}`).
    pub replaced: bool,
    /// Elements that are there now: those of a set by themselves (the value is `None`), a
    /// map's by key, a list's by place (a timeuuid: the list is in their order), a
    /// user-defined type's fields by index (a smallint).
    pub put: Vec<(CqlValue, Option<CqlValue>)>,
    /// Elements, keys, places or fields that are gone.
    pub removed: Vec<CqlValue>,
}

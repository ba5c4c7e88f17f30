//! From the rows of a log to changes: a write's rows are taken together, its images joined to
//! what they are images of, the two halves of a range to one.

use std::collections::HashMap;
use std::fmt::Write;
use std::hash::{BuildHasher, Hasher};
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use scylla::value::CqlValue;
use scylla_cdc::consumer::OperationType;
use uuid::Uuid;

use crate::change::event::{ChangeEvent, Key, KeyRange, Operation, Row};
use crate::change::log_row::LogRow;

/// Which images a subscription asks for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Images {
    pub(crate) before: bool,
    pub(crate) after: bool,
}

/// Between 1582-10-15, where version 1 uuids count from, and 1970, in 100 ns.
const GREGORIAN_OFFSET: u64 = 0x01B2_1DD2_1381_4000;

/// The timestamp of a write, µs since 1970, from the `cdc$time` of its rows.
pub(crate) fn micros_of(time: Uuid) -> Result<i64, String> {
    time.get_timestamp()
        .map(|timestamp| timestamp.to_gregorian().0)
        .and_then(|ticks| ticks.checked_sub(GREGORIAN_OFFSET))
        .and_then(|ticks| i64::try_from(ticks / 10).ok())
        .ok_or_else(|| format!("cdc$time {time} has no time"))
}

/// A hash of a value that has none of its own (floats): that of its text.
pub(crate) fn hash_values<'v>(
    hasher: &impl BuildHasher,
    values: impl Iterator<Item = &'v CqlValue>,
) -> u64 {
    struct Text<H>(H);
    impl<H: Hasher> Write for Text<H> {
        fn write_str(&mut self, text: &str) -> std::fmt::Result {
            self.0.write(text.as_bytes());
            Ok(())
        }
    }
    let mut text = Text(hasher.build_hasher());
    for value in values {
        // Writing into a hasher does not fail.
        let _ = write!(text, "{value:?}/");
    }
    text.0.finish()
}

/// The changes that the rows of one write are, in their order.
///
/// An image belongs to the write, not to one of its rows: where a write has several rows of
/// one key (parts with different TTLs), each has the same images.
///
/// # Errors
/// What of the rows does not fit together.
pub(crate) fn changes(
    table: &Arc<str>,
    keys_only: bool,
    rows: Vec<LogRow>,
    images: Images,
) -> Result<Vec<ChangeEvent>, String> {
    let (mut befores, mut afters) = (ImagesByKey::default(), ImagesByKey::default());
    let mut deltas = Vec::with_capacity(rows.len());
    for row in rows {
        match row.operation {
            OperationType::PreImage if images.before => befores.add(row),
            OperationType::PostImage if images.after => afters.add(row),
            OperationType::PreImage | OperationType::PostImage => {}
            _ => deltas.push(row),
        }
    }
    let mut changes = Vec::with_capacity(deltas.len());
    let mut open: Option<(Bound<Row<CqlValue>>, LogRow)> = None;
    for mut row in deltas {
        use OperationType as Log;
        let (operation, range) = match row.operation {
            Log::RowInsert => (Operation::Insert, None),
            Log::RowUpdate => (Operation::Update, None),
            Log::RowDelete => (Operation::RowDelete, None),
            Log::PartitionDelete => (Operation::PartitionDelete, None),
            Log::RowRangeDelInclLeft | Log::RowRangeDelExclLeft => {
                let inclusive = row.operation == Log::RowRangeDelInclLeft;
                let start = bound(std::mem::take(&mut row.key.clustering), inclusive);
                if let Some((_, left)) = open.replace((start, row)) {
                    return Err(format!(
                        "the range that begins at row {} has no end",
                        left.sequence
                    ));
                }
                continue;
            }
            Log::RowRangeDelInclRight | Log::RowRangeDelExclRight => {
                let Some((start, left)) = open.take() else {
                    return Err(format!(
                        "the range that ends at row {} has no start",
                        row.sequence
                    ));
                };
                let inclusive = row.operation == Log::RowRangeDelInclRight;
                let end = bound(std::mem::take(&mut row.key.clustering), inclusive);
                row.sequence = left.sequence;
                (Operation::RangeDelete, Some(KeyRange { start, end }))
            }
            Log::PreImage | Log::PostImage => continue,
        };
        let (before, after) = match operation {
            Operation::Insert | Operation::Update => (befores.of(&row.key), afters.of(&row.key)),
            Operation::RowDelete => (befores.of(&row.key), None),
            Operation::RangeDelete | Operation::PartitionDelete => (None, None),
        };
        changes.push(ChangeEvent {
            table: Arc::clone(table),
            operation,
            range,
            columns: (!keys_only).then_some(row.columns),
            before,
            after,
            time: micros_of(row.time)?,
            sequence: row.sequence,
            ttl: row.ttl.and_then(|ttl| u64::try_from(ttl).ok()).map(Duration::from_secs),
            expired: row.expired,
            key: row.key,
        });
    }
    match open {
        Some((_, left)) => {
            Err(format!("the range that begins at row {} has no end", left.sequence))
        }
        None => Ok(changes),
    }
}

/// No columns: the partition's own start or end.
fn bound(prefix: Row<CqlValue>, inclusive: bool) -> Bound<Row<CqlValue>> {
    match (prefix.is_empty(), inclusive) {
        (true, _) => Bound::Unbounded,
        (false, true) => Bound::Included(prefix),
        (false, false) => Bound::Excluded(prefix),
    }
}

/// A write's images of one kind; a batch may have thousands.
#[derive(Default)]
struct ImagesByKey {
    hasher: std::hash::RandomState,
    images: HashMap<u64, Vec<(Key, Row<CqlValue>)>>,
}

impl ImagesByKey {
    fn hash(&self, key: &Key) -> u64 {
        hash_values(&self.hasher, key.clustering.values())
    }

    fn add(&mut self, row: LogRow) {
        let hash = self.hash(&row.key);
        self.images.entry(hash).or_default().push((row.key, row.image));
    }

    fn of(&self, key: &Key) -> Option<Row<CqlValue>> {
        if self.images.is_empty() {
            return None;
        }
        let same = self.images.get(&self.hash(key))?;
        same.iter().find(|(of, _)| of == key).map(|(_, image)| image.clone())
    }
}

#[cfg(test)]
mod tests {
    use OperationType as Log;

    use super::*;

    fn key(clustering: Option<i32>) -> Key {
        Key {
            partition: [("p".into(), CqlValue::Int(1))].into_iter().collect(),
            clustering: clustering.map(|c| ("c".into(), CqlValue::Int(c))).into_iter().collect(),
        }
    }

    fn row(sequence: i32, operation: Log, clustering: Option<i32>) -> LogRow {
        let value: (Arc<str>, CqlValue) = ("v".into(), CqlValue::Int(sequence));
        LogRow {
            stream: 1,
            time: "50554d6e-29bb-11e5-b345-feff819cdc9f".parse().unwrap(),
            sequence,
            end_of_batch: false,
            operation,
            ttl: None,
            expired: false,
            key: key(clustering),
            image: [value].into_iter().collect(),
            columns: Row::default(),
        }
    }

    fn joined(rows: Vec<LogRow>) -> Result<Vec<ChangeEvent>, String> {
        changes(&"t".into(), false, rows, Images { before: true, after: true })
    }

    /// The `v` of an image: the sequence number of its row.
    fn image(row: &Option<Row<CqlValue>>) -> Option<i32> {
        row.as_ref()?.get("v")?.as_int()
    }

    #[test]
    fn images_are_joined_to_the_rows_that_they_are_images_of() {
        let rows = vec![
            row(0, Log::PreImage, Some(2)),
            row(1, Log::PreImage, Some(3)),
            row(2, Log::RowInsert, Some(1)),
            row(3, Log::RowUpdate, Some(2)),
            row(4, Log::RowDelete, Some(3)),
            row(5, Log::PostImage, Some(1)),
            row(6, Log::PostImage, Some(2)),
        ];
        let changes = joined(rows).unwrap();
        let images: Vec<_> =
            changes.iter().map(|c| (c.operation, image(&c.before), image(&c.after))).collect();
        assert_eq!(
            images,
            [
                (Operation::Insert, None, Some(5)),
                (Operation::Update, Some(0), Some(6)),
                (Operation::RowDelete, Some(1), None),
            ]
        );
        assert_eq!(changes[0].time, 1_436_832_018_805_899);
    }

    #[test]
    fn two_halves_are_a_range() {
        let rows = vec![
            row(0, Log::RowRangeDelExclLeft, Some(7)),
            row(1, Log::RowRangeDelInclRight, None),
            row(2, Log::RowRangeDelInclLeft, Some(1)),
            row(3, Log::RowRangeDelExclRight, Some(5)),
        ];
        let ranges: Vec<_> = joined(rows).unwrap().into_iter().map(|c| c.range.unwrap()).collect();
        let at = |c: i32| key(Some(c)).clustering;
        assert_eq!(
            ranges,
            [
                KeyRange { start: Bound::Excluded(at(7)), end: Bound::Unbounded },
                KeyRange { start: Bound::Included(at(1)), end: Bound::Excluded(at(5)) },
            ]
        );
    }

    #[test]
    fn half_a_range_is_an_error() {
        let error = joined(vec![row(3, Log::RowRangeDelInclLeft, None)]).unwrap_err();
        assert_eq!(error, "the range that begins at row 3 has no end");
        let error = joined(vec![row(4, Log::RowRangeDelInclRight, None)]).unwrap_err();
        assert_eq!(error, "the range that ends at row 4 has no start");
    }
}

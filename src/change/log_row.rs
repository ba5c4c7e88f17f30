//! A row of any table's CDC log.
//!
//! <https://docs.scylladb.com/manual/stable/features/cdc/cdc-log-table.html>

use std::sync::Arc;

use scylla::value::CqlValue;
use scylla_cdc::consumer::{CDCRow, OperationType};
use uuid::Uuid;

use crate::change::event::{ColumnChange, ElementChanges, Key, Row};
use crate::change::table::{Kind, Table};
use crate::consumer::{CurrentStream, StreamId};

/// A row of a log, apart from the reader that gave it.
#[derive(Debug, Clone)]
pub(crate) struct LogRow {
    pub(crate) stream: StreamId,
    pub(crate) time: Uuid,
    pub(crate) sequence: i32,
    pub(crate) end_of_batch: bool,
    pub(crate) operation: OperationType,
    /// Seconds.
    pub(crate) ttl: Option<i64>,
    pub(crate) expired: bool,
    /// Of a range's bounds the clustering key is a prefix.
    pub(crate) key: Key,
    /// Of an image: the row.
    pub(crate) image: Row<CqlValue>,
    /// Otherwise: what was written.
    pub(crate) columns: Row<ColumnChange>,
}

/// Whether the log has other columns than the table had when it was described.
pub(crate) fn has_changed(row: &CDCRow<'_>, table: &Table) -> bool {
    let known = table.partition_key.len() + table.clustering_key.len() + table.columns.len();
    row.get_non_cdc_column_names().count() != known
        || row.get_non_cdc_column_names().any(|name| !table.knows(name))
}

impl LogRow {
    /// # Errors
    /// What of the row is not as ScyllaDB's documentation says.
    pub(crate) fn of(
        mut row: CDCRow<'_>,
        table: &Table,
        streams: &mut CurrentStream,
    ) -> Result<Self, String> {
        let stream = streams.id(&row.stream_id)?;
        let key = Key {
            partition: values(&mut row, &table.partition_key),
            clustering: values(&mut row, &table.clustering_key),
        };
        if key.partition.len() != table.partition_key.len() {
            return Err(format!("the partition key ({key}) is not whole"));
        }
        let is_image = matches!(row.operation, OperationType::PreImage | OperationType::PostImage);
        let (mut image, mut columns) = (Vec::new(), Vec::new());
        for (name, kind) in &table.columns {
            if is_image {
                if let Some(value) = row.take_value(name) {
                    image.push((Arc::clone(name), imaged(*kind, value)));
                }
            } else if let Some(change) = change(&mut row, name, *kind) {
                columns.push((Arc::clone(name), change));
            }
        }
        Ok(Self {
            stream,
            time: row.time,
            sequence: row.batch_seq_no,
            end_of_batch: row.end_of_batch,
            operation: row.operation.clone(),
            ttl: row.ttl,
            expired: row.is_expiration,
            key,
            image: image.into_iter().collect(),
            columns: columns.into_iter().collect(),
        })
    }
}

/// The columns up to the first that is null.
fn values(row: &mut CDCRow<'_>, names: &[Arc<str>]) -> Row<CqlValue> {
    names.iter().map_while(|name| Some((Arc::clone(name), row.take_value(name)?))).collect()
}

/// What a write did to a column, if anything.
fn change(row: &mut CDCRow<'_>, name: &str, kind: Kind) -> Option<ColumnChange> {
    let deleted = row.column_deletable(name) && row.is_value_deleted(name);
    let value = row.take_value(name);
    if kind == Kind::Atomic {
        return value.map(ColumnChange::Set).or(deleted.then_some(ColumnChange::Removed));
    }
    let removed = row.take_deleted_elements(name);
    elements(value, deleted, removed)
}

fn elements(
    value: Option<CqlValue>,
    replaced: bool,
    removed: Vec<CqlValue>,
) -> Option<ColumnChange> {
    let put = match value {
        None if !replaced && removed.is_empty() => return None,
        None if removed.is_empty() => return Some(ColumnChange::Removed),
        None => Vec::new(),
        Some(CqlValue::Map(pairs)) => pairs.into_iter().map(|(k, v)| (k, Some(v))).collect(),
        Some(CqlValue::Set(elements)) => elements.into_iter().map(|e| (e, None)).collect(),
        Some(CqlValue::UserDefinedType { fields, .. }) => (0..)
            .zip(fields)
            .filter_map(|(place, (_, value))| Some((CqlValue::SmallInt(place), Some(value?))))
            .collect(),
        // A type that became a collection in a later version of the server.
        Some(other) => return Some(ColumnChange::Set(other)),
    };
    Some(ColumnChange::Elements(ElementChanges { replaced, put, removed }))
}

/// A column of an image as a SELECT would show it: a list's log column is a map from places,
/// in their order.
fn imaged(kind: Kind, value: CqlValue) -> CqlValue {
    match (kind, value) {
        (Kind::List, CqlValue::Map(places)) => {
            CqlValue::List(places.into_iter().map(|(_, value)| value).collect())
        }
        (_, value) => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_of_collections_say_what_came_what_went_and_whether_all_was_replaced() {
        let (one, two) = (CqlValue::Int(1), CqlValue::Int(2));
        assert_eq!(elements(None, false, vec![]), None);
        assert_eq!(elements(None, true, vec![]), Some(ColumnChange::Removed));
        assert_eq!(
            elements(Some(CqlValue::Set(vec![one.clone()])), true, vec![]),
            Some(ColumnChange::Elements(ElementChanges {
                replaced: true,
                put: vec![(one.clone(), None)],
                removed: vec![],
            }))
        );
        let map = CqlValue::Map(vec![(one.clone(), two.clone())]);
        assert_eq!(
            elements(Some(map.clone()), false, vec![two.clone()]),
            Some(ColumnChange::Elements(ElementChanges {
                replaced: false,
                put: vec![(one, Some(two.clone()))],
                removed: vec![two.clone()],
            }))
        );
        assert_eq!(imaged(Kind::List, map.clone()), CqlValue::List(vec![two]));
        assert_eq!(imaged(Kind::Map, map.clone()), map);
    }
}

//! Rows of system tables from values by column name.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use uuid::Uuid;

use crate::error::{CqlError, Result};
use crate::schema::{Catalog, ColumnKind, Table};
use crate::store::mutation::{
    Cell, CellContent, ColumnValue, Mutation, PartitionKey, RowMarker, RowMutation, Timestamp,
    Tombstone,
};
use crate::types::{collection, order, partition_key};

/// A row: values by column name.
pub type NamedValues<'a> = Vec<(&'a str, Bytes)>;

pub fn text(value: &str) -> Bytes {
    Bytes::copy_from_slice(value.as_bytes())
}

pub fn int(value: i32) -> Bytes {
    Bytes::copy_from_slice(&value.to_be_bytes())
}

pub fn tinyint(value: i8) -> Bytes {
    Bytes::copy_from_slice(&value.to_be_bytes())
}

pub fn bigint(value: i64) -> Bytes {
    Bytes::copy_from_slice(&value.to_be_bytes())
}

pub fn double(value: f64) -> Bytes {
    Bytes::copy_from_slice(&value.to_be_bytes())
}

pub fn boolean(value: bool) -> Bytes {
    Bytes::copy_from_slice(&[u8::from(value)])
}

pub fn uuid(value: Uuid) -> Bytes {
    Bytes::copy_from_slice(value.as_bytes())
}

pub fn inet(value: IpAddr) -> Bytes {
    match value {
        IpAddr::V4(v4) => Bytes::copy_from_slice(&v4.octets()),
        IpAddr::V6(v6) => Bytes::copy_from_slice(&v6.octets()),
    }
}

pub fn map(value: &BTreeMap<String, String>) -> Bytes {
    collection::encode_map(value.iter().map(|(k, v)| (k.as_bytes(), v.as_bytes())))
}

pub fn blob_map(value: &BTreeMap<String, Vec<u8>>) -> Bytes {
    collection::encode_map(value.iter().map(|(k, v)| (k.as_bytes(), &v[..])))
}

/// A list, or a set whose elements are sorted.
pub fn sequence<T: AsRef<[u8]>>(values: &[T]) -> Bytes {
    collection::encode_sequence(values.iter().map(AsRef::as_ref))
}

/// A table of the node's own.
pub fn table<'c>(catalog: &'c Catalog, keyspace: &str, name: &str) -> Result<&'c Arc<Table>> {
    catalog
        .keyspaces
        .get(keyspace)
        .and_then(|keyspace| keyspace.tables.get(name))
        .ok_or_else(|| CqlError::server(format!("no system table {keyspace}.{name}")))
}

/// Key of the partition that rows with these key values are in.
pub fn key(values: &[Bytes]) -> Result<PartitionKey> {
    partition_key::encode(values)
}

/// A write of rows of one partition. With `replace` everything else in it goes.
pub fn partition(
    table: &Table,
    key: PartitionKey,
    rows: &[NamedValues<'_>],
    timestamp: Timestamp,
    replace: bool,
) -> Mutation {
    let columns: Vec<_> = table.clustering().map(|c| (&c.cql_type, c.descending)).collect();
    let mut written: Vec<_> = rows
        .iter()
        .map(|values| {
            let find = |name: &str| values.iter().find(|(n, _)| *n == name).map(|(_, v)| v);
            let clustering: Vec<Bytes> =
                table.clustering().filter_map(|c| find(&c.name).cloned()).collect();
            let mut cells: Vec<_> = table
                .columns
                .iter()
                .filter(|c| c.kind == ColumnKind::Regular)
                .filter_map(|c| {
                    let value = find(&c.name)?.clone();
                    let cell = Cell { timestamp, content: CellContent::Live { value } };
                    Some((c.id, ColumnValue::Atomic(cell)))
                })
                .collect();
            cells.sort_by_key(|(id, _)| *id);
            let clustering = if columns.is_empty() {
                crate::store::mutation::ClusteringKey::default()
            } else {
                order::encode_clustering(&columns, &clustering)
            };
            let row = RowMutation {
                marker: Some(RowMarker { timestamp, expiry: None }),
                tombstone: None,
                columns: cells,
            };
            (clustering, row)
        })
        .collect();
    written.sort_by(|a, b| a.0.cmp(&b.0));
    Mutation {
        table: table.id,
        key,
        partition_tombstone: replace
            .then(|| Tombstone { timestamp: timestamp - 1, deletion_time: timestamp / 1_000_000 }),
        range_tombstones: Vec::new(),
        static_columns: Vec::new(),
        rows: written,
    }
}

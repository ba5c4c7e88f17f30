//! `system_schema`: the catalog as rows.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::rows::{
    NamedValues, bigint, blob_map, boolean, double, int, key, map, partition, sequence, table,
    text, uuid,
};
use crate::error::Result;
use crate::schema::{Catalog, Column, ColumnKind, DroppedColumn, Keyspace, Partitioner, Table};
use crate::store::mutation::{Mutation, Timestamp};
use crate::types::CqlType;

/// What drivers know ScyllaDB's partitioners by.
pub const MURMUR3_PARTITIONER: &str = "org.apache.cassandra.dht.Murmur3Partitioner";
const CDC_PARTITIONER: &str = "com.scylladb.dht.CDCPartitioner";

/// The rows of a keyspace, in place of those it had; of a dropped one, none.
pub fn mutations(catalog: &Catalog, name: &str, timestamp: Timestamp) -> Result<Vec<Mutation>> {
    let keyspace = catalog.keyspaces.get(name);
    let contents: [(&str, Vec<NamedValues<'_>>); 7] = match keyspace {
        // What describes a table before the table: who finds it finds its columns.
        Some(keyspace) => [
            ("types", types(keyspace)),
            (
                "columns",
                keyspace
                    .tables
                    .values()
                    .flat_map(|t| t.columns.iter().map(move |c| column_row(t, c)))
                    .collect(),
            ),
            (
                "dropped_columns",
                keyspace
                    .tables
                    .values()
                    .flat_map(|t| t.dropped.iter().map(move |(name, c)| dropped_row(t, name, c)))
                    .collect(),
            ),
            ("scylla_tables", keyspace.tables.values().filter_map(scylla_table_row).collect()),
            ("tables", keyspace.tables.values().map(table_row).collect()),
            ("scylla_keyspaces", scylla_keyspace_row(keyspace).into_iter().collect()),
            ("keyspaces", vec![keyspace_row(keyspace)]),
        ],
        None => [
            "keyspaces",
            "scylla_keyspaces",
            "tables",
            "scylla_tables",
            "dropped_columns",
            "columns",
            "types",
        ]
        .map(|name| (name, Vec::new())),
    };
    let mut mutations = Vec::with_capacity(contents.len());
    for (table_name, rows) in contents {
        let system = table(catalog, "system_schema", table_name)?;
        mutations.push(partition(system, key(&[text(name)])?, &rows, timestamp, true));
    }
    Ok(mutations)
}

fn keyspace_row(keyspace: &Keyspace) -> NamedValues<'static> {
    vec![
        ("durable_writes", boolean(keyspace.durable_writes)),
        ("replication", map(&keyspace.replication)),
    ]
}

/// Only keyspaces with something of ScyllaDB's own have a row. Who follows a CDC log knows
/// by `initial_tablets` where to look for its streams.
fn scylla_keyspace_row(keyspace: &Keyspace) -> Option<NamedValues<'static>> {
    let initial = i32::try_from(keyspace.tablets?).unwrap_or(i32::MAX);
    Some(vec![("initial_tablets", int(initial))])
}

fn table_row(table: &Arc<Table>) -> NamedValues<'static> {
    let options = &table.options;
    let mut extensions = BTreeMap::new();
    if let Some(cdc) = &table.cdc {
        extensions.insert("cdc".to_owned(), cdc.extension());
    }
    extensions.extend(options.extensions.iter().map(|(name, value)| (name.clone(), value.blob())));
    vec![
        ("table_name", text(&table.name)),
        ("bloom_filter_fp_chance", double(options.bloom_filter_fp_chance)),
        ("caching", map(&options.caching)),
        ("comment", text(&options.comment)),
        ("compaction", map(&options.compaction)),
        ("compression", map(&options.compression)),
        ("crc_check_chance", double(options.crc_check_chance)),
        ("dclocal_read_repair_chance", double(options.dclocal_read_repair_chance)),
        ("default_time_to_live", int(options.default_time_to_live)),
        ("extensions", blob_map(&extensions)),
        ("flags", sequence(&["compound"])),
        ("gc_grace_seconds", int(options.gc_grace_seconds)),
        ("id", uuid(table.id)),
        ("max_index_interval", int(options.max_index_interval)),
        ("memtable_flush_period_in_ms", int(options.memtable_flush_period_in_ms)),
        ("min_index_interval", int(options.min_index_interval)),
        ("read_repair_chance", double(options.read_repair_chance)),
        ("speculative_retry", text(&options.speculative_retry)),
    ]
}

/// Only tables with something of ScyllaDB's own have a row.
fn scylla_table_row(table: &Arc<Table>) -> Option<NamedValues<'static>> {
    (table.partitioner == Partitioner::Cdc)
        .then(|| vec![("table_name", text(&table.name)), ("partitioner", text(CDC_PARTITIONER))])
}

fn column_row(table: &Table, column: &Column) -> NamedValues<'static> {
    let (kind, position) = match column.kind {
        ColumnKind::PartitionKey(n) => ("partition_key", i32::try_from(n).unwrap_or(0)),
        ColumnKind::Clustering(n) => ("clustering", i32::try_from(n).unwrap_or(0)),
        ColumnKind::Static => ("static", -1),
        ColumnKind::Regular => ("regular", -1),
    };
    let order = match (column.kind, column.descending) {
        (ColumnKind::Clustering(_), true) => "DESC",
        (ColumnKind::Clustering(_), false) => "ASC",
        _ => "NONE",
    };
    vec![
        ("table_name", text(&table.name)),
        ("column_name", text(&column.name)),
        ("clustering_order", text(order)),
        ("column_name_bytes", text(&column.name)),
        ("kind", text(kind)),
        ("position", int(position)),
        ("type", text(&column.cql_type.to_string())),
    ]
}

/// ScyllaDB puts microseconds into `dropped_time`, a column of milliseconds, and so does this.
/// Source: db/schema_tables.cc, `add_dropped_column_to_schema_mutation`.
fn dropped_row(table: &Table, name: &str, column: &DroppedColumn) -> NamedValues<'static> {
    vec![
        ("table_name", text(&table.name)),
        ("column_name", text(name)),
        ("dropped_time", bigint(column.timestamp)),
        ("type", text(&without_names(&column.cql_type).to_string())),
    ]
}

/// UDTs as tuples: a UDT that only a dropped column had can be dropped itself.
fn without_names(cql_type: &CqlType) -> CqlType {
    let inner = |cql_type: &CqlType| Arc::new(without_names(cql_type));
    match cql_type {
        CqlType::List { element, frozen } => {
            CqlType::List { element: inner(element), frozen: *frozen }
        }
        CqlType::Set { element, frozen } => {
            CqlType::Set { element: inner(element), frozen: *frozen }
        }
        CqlType::Map { key, value, frozen } => {
            CqlType::Map { key: inner(key), value: inner(value), frozen: *frozen }
        }
        CqlType::Tuple(fields) => CqlType::Tuple(fields.iter().map(without_names).collect()),
        CqlType::Udt { definition, .. } => {
            CqlType::Tuple(definition.fields.iter().map(|(_, f)| without_names(f)).collect())
        }
        other => other.clone(),
    }
}

fn types(keyspace: &Keyspace) -> Vec<NamedValues<'static>> {
    keyspace
        .types
        .values()
        .map(|definition| {
            let names: Vec<&str> = definition.fields.iter().map(|(n, _)| n.as_str()).collect();
            let types: Vec<String> =
                definition.fields.iter().map(|(_, ty)| ty.to_string()).collect();
            vec![
                ("type_name", text(&definition.name)),
                ("field_names", sequence(&names)),
                ("field_types", sequence(&types)),
            ]
        })
        .collect()
}

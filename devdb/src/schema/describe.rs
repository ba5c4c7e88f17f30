//! Definitions as the statements that make them.

use std::fmt::Write;

use super::extensions::Extension;
use super::model::{ColumnKind, Keyspace, Table};
use crate::parse::quoted;
use crate::types::UdtDefinition;

/// A text as CQL constant.
fn constant(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn map<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let pairs = pairs.into_iter().map(|(k, v)| format!("{}: {}", constant(k), constant(v)));
    format!("{{{}}}", pairs.collect::<Vec<_>>().join(", "))
}

fn text_pairs(
    map: &std::collections::BTreeMap<String, String>,
) -> impl Iterator<Item = (&str, &str)> {
    map.iter().map(|(k, v)| (k.as_str(), v.as_str()))
}

fn names<'a>(names: impl Iterator<Item = &'a String>) -> String {
    names.map(|name| quoted(name)).collect::<Vec<_>>().join(", ")
}

/// CREATE KEYSPACE.
pub fn create_keyspace(keyspace: &Keyspace) -> String {
    let replication = map(text_pairs(&keyspace.replication));
    let mut text = format!(
        "CREATE KEYSPACE {} WITH replication = {replication} AND durable_writes = {}",
        quoted(&keyspace.name),
        keyspace.durable_writes
    );
    match keyspace.tablets {
        Some(0) => text.push_str(" AND tablets = {'enabled': true}"),
        Some(initial) => {
            text.push_str(&format!(" AND tablets = {{'initial': {initial}}}"));
        }
        None => {}
    }
    text.push(';');
    text
}

/// CREATE TYPE.
pub fn create_type(definition: &UdtDefinition) -> String {
    let fields = definition.fields.iter().map(|(name, ty)| format!("    {} {ty}", quoted(name)));
    format!(
        "CREATE TYPE {}.{} (\n{}\n);",
        quoted(&definition.keyspace),
        quoted(&definition.name),
        fields.collect::<Vec<_>>().join(",\n")
    )
}

/// CREATE TABLE. With `internals`, also how to have its id again.
///
/// A CDC log comes and goes with its base's option; its statement stands in a comment.
pub fn create_table(table: &Table, internals: bool) -> String {
    let mut text = format!("CREATE TABLE {}.{} (\n", quoted(&table.keyspace), quoted(&table.name));
    for column in &table.columns {
        let is_static = if column.kind == ColumnKind::Static { " static" } else { "" };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "    {} {}{is_static},", quoted(&column.name), column.cql_type);
    }
    let partition: Vec<_> = table.partition_key().map(|c| &c.name).collect();
    let mut key = match partition.as_slice() {
        [one] => quoted(one),
        several => format!("({})", names(several.iter().copied())),
    };
    if table.clustering().next().is_some() {
        key = format!("{key}, {}", names(table.clustering().map(|c| &c.name)));
    }
    let _ = writeln!(text, "    PRIMARY KEY ({key})");
    let clauses: Vec<String> = clauses(table, internals);
    let _ = write!(text, ") WITH {};", clauses.join("\n    AND "));
    if table.cdc_log_of.is_none() {
        return text;
    }
    format!("/* Made by the option cdc of the table that it is the log of.\n{text}\n*/")
}

fn clauses(table: &Table, internals: bool) -> Vec<String> {
    let options = &table.options;
    let mut clauses = Vec::new();
    if internals {
        clauses.push(format!("ID = {}", table.id));
    }
    if table.clustering().next().is_some() {
        let order = table
            .clustering()
            .map(|c| format!("{} {}", quoted(&c.name), if c.descending { "DESC" } else { "ASC" }));
        clauses.push(format!("CLUSTERING ORDER BY ({})", order.collect::<Vec<_>>().join(", ")));
    }
    clauses.extend([
        format!("bloom_filter_fp_chance = {}", options.bloom_filter_fp_chance),
        format!("caching = {}", map(text_pairs(&options.caching))),
        format!("comment = {}", constant(&options.comment)),
        format!("compaction = {}", map(text_pairs(&options.compaction))),
        format!("compression = {}", map(text_pairs(&options.compression))),
        format!("crc_check_chance = {}", options.crc_check_chance),
        format!("dclocal_read_repair_chance = {}", options.dclocal_read_repair_chance),
        format!("default_time_to_live = {}", options.default_time_to_live),
        format!("gc_grace_seconds = {}", options.gc_grace_seconds),
        format!("max_index_interval = {}", options.max_index_interval),
        format!("memtable_flush_period_in_ms = {}", options.memtable_flush_period_in_ms),
        format!("min_index_interval = {}", options.min_index_interval),
        format!("read_repair_chance = {}", options.read_repair_chance),
        format!("speculative_retry = {}", constant(&options.speculative_retry)),
    ]);
    if let Some(cdc) = table.cdc.as_ref().filter(|cdc| cdc.enabled) {
        let pairs = cdc.pairs();
        clauses.push(format!("cdc = {}", map(pairs.iter().map(|(k, v)| (*k, v.as_str())))));
    }
    clauses.extend(options.extensions.iter().map(|(name, value)| match value {
        Extension::Map(pairs) => format!("{name} = {}", map(text_pairs(pairs))),
        Extension::Int(number) => format!("{name} = {number}"),
        Extension::Flag(flag) => format!("{name} = {flag}"),
    }));
    clauses
}

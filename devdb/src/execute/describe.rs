//! DESCRIBE: names and definitions of what the catalog holds.
//!
//! Columns and rows as ScyllaDB's server-side DESCRIBE has them (from 5.2 on); cqlsh asks
//! for it and shows what it is given.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};

use crate::error::{CqlError, Result};
use crate::parse::ast::{Describe, DescribeKind, TableName};
use crate::parse::quoted;
use crate::plan::describe_columns;
use crate::request::Rows;
use crate::schema::{
    Catalog, Keyspace, create_keyspace, create_table, create_type, is_system_keyspace,
};
use crate::system::MURMUR3_PARTITIONER;
use crate::types::{CqlType, UdtDefinition, collection};

const SNITCH: &str = "org.apache.cassandra.locator.SimpleSnitch";

/// What DESCRIBE is answered from.
#[derive(Debug, Clone, Copy)]
pub struct Described<'a> {
    /// The definitions.
    pub catalog: &'a Catalog,
    /// The connection's keyspace.
    pub current: Option<&'a str>,
    /// `system.local.cluster_name`.
    pub cluster_name: &'a str,
    /// The node's address and tokens.
    pub ring: (&'a str, &'a [i64]),
}

/// What DESCRIBE answers.
pub fn describe(from: Described<'_>, describe: &Describe) -> Result<Rows> {
    let rows = match &describe.kind {
        DescribeKind::Cluster => vec![cluster(from)],
        DescribeKind::Keyspaces => {
            let names = from.catalog.keyspaces.keys();
            names.map(|name| texts([&quoted(name), "keyspace", &quoted(name)])).collect()
        }
        DescribeKind::Tables => {
            list(from, "table", |keyspace| keyspace.tables.keys().map(String::as_str).collect())?
        }
        DescribeKind::Types => {
            list(from, "type", |keyspace| keyspace.types.keys().map(String::as_str).collect())?
        }
        // There are none.
        DescribeKind::Functions | DescribeKind::Aggregates => Vec::new(),
        DescribeKind::Schema { full } => from
            .catalog
            .keyspaces
            .values()
            .filter(|keyspace| *full || !is_system_keyspace(&keyspace.name))
            .flat_map(|keyspace| whole(keyspace, describe.internals))
            .collect(),
        DescribeKind::Keyspace { name, only } => {
            let keyspace = match name.as_deref().or(from.current) {
                Some(name) => keyspace(from.catalog, name)?,
                None => {
                    return Err(CqlError::invalid("No keyspace specified and no current keyspace"));
                }
            };
            let rows = whole(keyspace, describe.internals);
            if *only { rows.into_iter().take(1).collect() } else { rows }
        }
        DescribeKind::Element { what, name } => element(from, *what, name, describe.internals)?,
    };
    let count = i32::try_from(rows.len()).unwrap_or(i32::MAX);
    let mut data = BytesMut::new();
    for value in rows.iter().flatten() {
        data.put_i32(i32::try_from(value.len()).unwrap_or(i32::MAX));
        data.put_slice(value);
    }
    Ok(Rows {
        columns: describe_columns(describe, from.current),
        count,
        data: data.freeze(),
        paging_state: None,
    })
}

type Row = Vec<Bytes>;

fn texts<const N: usize>(values: [&str; N]) -> Row {
    values.iter().map(|value| Bytes::copy_from_slice(value.as_bytes())).collect()
}

fn keyspace<'a>(catalog: &'a Catalog, name: &str) -> Result<&'a Arc<Keyspace>> {
    let keyspace = catalog.keyspaces.get(name);
    keyspace.ok_or_else(|| CqlError::invalid(format!("'{name}' not found in keyspaces")))
}

fn cluster(from: Described<'_>) -> Row {
    let mut row = texts([from.cluster_name, MURMUR3_PARTITIONER, SNITCH]);
    if from.current.is_some_and(|keyspace| !is_system_keyspace(keyspace)) {
        let (address, tokens) = from.ring;
        let endpoints = collection::encode_sequence([address.as_bytes()].into_iter());
        let owners: BTreeMap<String, Bytes> =
            tokens.iter().map(|token| (token.to_string(), endpoints.clone())).collect();
        row.push(collection::encode_map(owners.iter().map(|(k, v)| (k.as_bytes(), &v[..]))));
    }
    row
}

/// Names of the current keyspace, or of all.
fn list(
    from: Described<'_>,
    kind: &str,
    names: impl Fn(&Keyspace) -> Vec<&str>,
) -> Result<Vec<Row>> {
    let keyspaces = match from.current {
        Some(current) => vec![keyspace(from.catalog, current)?],
        None => from.catalog.keyspaces.values().collect(),
    };
    Ok(keyspaces
        .into_iter()
        .flat_map(|keyspace| {
            let of = quoted(&keyspace.name);
            names(keyspace)
                .into_iter()
                .map(|name| texts([&of, kind, &quoted(name)]))
                .collect::<Vec<_>>()
        })
        .collect())
}

/// A keyspace and all that is in it, each after what it needs.
fn whole(keyspace: &Keyspace, internals: bool) -> Vec<Row> {
    let of = quoted(&keyspace.name);
    let mut rows = vec![texts([&of, "keyspace", &of, &create_keyspace(keyspace)])];
    for definition in by_dependency(keyspace) {
        rows.push(texts([&of, "type", &quoted(&definition.name), &create_type(definition)]));
    }
    for table in keyspace.tables.values().filter(|table| table.cdc_log_of.is_none()) {
        rows.push(texts([&of, "table", &quoted(&table.name), &create_table(table, internals)]));
    }
    rows
}

/// Types, those first that others are made of.
fn by_dependency(keyspace: &Keyspace) -> Vec<&UdtDefinition> {
    fn names_of(ty: &CqlType, names: &mut Vec<String>) {
        match ty {
            CqlType::List { element, .. } | CqlType::Set { element, .. } => {
                names_of(element, names)
            }
            CqlType::Map { key, value, .. } => {
                names_of(key, names);
                names_of(value, names);
            }
            CqlType::Tuple(fields) => fields.iter().for_each(|ty| names_of(ty, names)),
            CqlType::Udt { definition, .. } => names.push(definition.name.clone()),
            _ => {}
        }
    }
    let mut left: Vec<&UdtDefinition> = keyspace.types.values().map(AsRef::as_ref).collect();
    let mut ordered = Vec::with_capacity(left.len());
    while !left.is_empty() {
        let waiting: Vec<&str> = left.iter().map(|definition| definition.name.as_str()).collect();
        let (now, later): (Vec<_>, Vec<_>) = left.iter().partition(|definition| {
            let mut names = Vec::new();
            definition.fields.iter().for_each(|(_, ty)| names_of(ty, &mut names));
            !names.iter().any(|name| waiting.contains(&name.as_str()))
        });
        // Types cannot contain each other; if they did, nothing would be first.
        if now.is_empty() {
            ordered.extend(later);
            break;
        }
        ordered.extend(now);
        left = later;
    }
    ordered
}

fn element(
    from: Described<'_>,
    what: Option<&str>,
    name: &TableName,
    internals: bool,
) -> Result<Vec<Row>> {
    if what.is_none() && name.keyspace.is_none() && from.catalog.keyspaces.contains_key(&name.name)
    {
        return Ok(whole(keyspace(from.catalog, &name.name)?, internals));
    }
    let of = match name.keyspace.as_deref().or(from.current) {
        Some(of) => keyspace(from.catalog, of)?,
        None if what.is_none() => {
            return Err(CqlError::invalid(format!("'{}' not found in keyspaces", name.name)));
        }
        None => return Err(CqlError::invalid("No keyspace specified and no current keyspace")),
    };
    let keyspace_name = quoted(&of.name);
    if let (None | Some("table"), Some(table)) = (what, of.tables.get(&name.name)) {
        let statement = create_table(table, internals);
        return Ok(vec![texts([&keyspace_name, "table", &quoted(&table.name), &statement])]);
    }
    if let (Some("type"), Some(definition)) = (what, of.types.get(&name.name)) {
        let statement = create_type(definition);
        return Ok(vec![texts([&keyspace_name, "type", &quoted(&definition.name), &statement])]);
    }
    Err(CqlError::invalid(match what {
        Some(what) => {
            let what = format!("{}{}", what[..1].to_uppercase(), &what[1..]);
            format!("{what} '{}' not found in keyspace '{}'", name.name, of.name)
        }
        None => format!("'{}' not found in keyspace '{}'", name.name, of.name),
    }))
}

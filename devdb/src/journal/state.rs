//! What the journal knows besides data: the schema, and who the node is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::record::{KeyspaceEdit, SchemaRecord, StreamsRecord};
use crate::cdc::StreamsState;
use crate::schema::{Catalog, Keyspace, SchemaEdit, Table, is_system_keyspace};

/// Who a node is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeState {
    /// `system.local.host_id`.
    pub host_id: Uuid,
    /// Its tokens and CDC streams.
    pub streams: StreamsState,
}

/// What is not data.
#[derive(Debug, Clone, Default)]
pub(crate) struct Persisted {
    /// The keyspaces of users; the node's own are made anew at each start.
    pub(crate) catalog: Catalog,
    /// `None` until the node's first start is on record.
    pub(crate) node: Option<NodeState>,
}

/// What a schema record does to the tables.
#[derive(Debug, Default)]
pub(super) struct TableChanges {
    pub(super) put: Vec<Arc<Table>>,
    pub(super) dropped: Vec<Uuid>,
}

impl Persisted {
    /// Takes a schema record over.
    pub(super) fn apply(&mut self, record: SchemaRecord) -> TableChanges {
        let mut changes = TableChanges::default();
        for edit in record.keyspaces {
            let old = self.catalog.keyspaces.remove(&edit.name);
            let mut tables = old.map(|keyspace| keyspace.tables.clone()).unwrap_or_default();
            match edit.keyspace {
                None => changes.dropped.extend(tables.values().map(|table| table.id)),
                Some(mut keyspace) => {
                    tables.retain(|_, table| !edit.dropped.contains(&table.id));
                    for table in &edit.tables {
                        tables.insert(table.name.clone(), table.clone());
                    }
                    keyspace.tables = tables;
                    self.catalog.keyspaces.insert(edit.name, Arc::new(keyspace));
                }
            }
            changes.dropped.extend(edit.dropped);
            changes.put.extend(edit.tables);
        }
        if let Some(node) = &mut self.node {
            for table in &changes.dropped {
                node.streams.tablets.remove(table);
            }
        }
        for streams in record.streams {
            self.apply_streams(streams);
        }
        changes
    }

    pub(super) fn apply_streams(&mut self, record: StreamsRecord) {
        let Some(node) = &mut self.node else { return };
        match record.log {
            Some(log) => {
                node.streams.tablets.insert(log, record.generations);
            }
            None => node.streams.vnodes = record.generations,
        }
    }

    /// The whole schema as a record.
    pub(super) fn schema_record(&self) -> SchemaRecord {
        let keyspaces = self.catalog.keyspaces.values().map(|keyspace| KeyspaceEdit {
            name: keyspace.name.clone(),
            keyspace: Some(without_tables(keyspace)),
            tables: keyspace.tables.values().cloned().collect(),
            dropped: Vec::new(),
        });
        SchemaRecord { keyspaces: keyspaces.collect(), streams: Vec::new() }
    }
}

/// What a statement changed, as a record. The node's own keyspaces are left out.
pub(super) fn record_of(edit: &SchemaEdit, streams: &StreamsState) -> SchemaRecord {
    let changed = || edit.created.iter().chain(&edit.altered);
    let names: BTreeSet<&String> = edit
        .touched
        .iter()
        .chain(changed().chain(&edit.dropped).map(|table| &table.keyspace))
        .filter(|name| !is_system_keyspace(name))
        .collect();
    let keyspaces = names.into_iter().map(|name| KeyspaceEdit {
        name: name.clone(),
        keyspace: edit.catalog.keyspaces.get(name).map(|keyspace| without_tables(keyspace)),
        tables: changed().filter(|table| table.keyspace == *name).cloned().collect(),
        dropped: edit.dropped.iter().filter(|t| t.keyspace == *name).map(|t| t.id).collect(),
    });
    let first = |table: &Arc<Table>| {
        let generations = streams.tablets.get(&table.id)?.clone();
        Some(StreamsRecord { log: Some(table.id), generations })
    };
    SchemaRecord {
        keyspaces: keyspaces.collect(),
        streams: edit.created.iter().filter_map(first).collect(),
    }
}

fn without_tables(keyspace: &Keyspace) -> Keyspace {
    Keyspace { tables: BTreeMap::new(), ..keyspace.clone() }
}

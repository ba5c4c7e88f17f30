//! Keyspaces, tables and columns, as values.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::extensions::Extension;
use crate::store::mutation::{ColumnId, Timestamp};
use crate::types::{CqlType, UdtDefinition};

/// All keyspaces: an immutable value, replaced whole by DDL, so that a statement sees
/// one schema from beginning to end.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    /// By name.
    pub keyspaces: BTreeMap<String, Arc<Keyspace>>,
}

/// A keyspace.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Keyspace {
    /// Its name.
    pub name: String,
    /// `replication`, with the full class name as `system_schema.keyspaces` shows it.
    pub replication: BTreeMap<String, String>,
    /// `durable_writes`.
    pub durable_writes: bool,
    /// `tablets = {…}`: how many its tables begin with, 0 for the node to decide; `None` for
    /// a keyspace on vnodes.
    pub tablets: Option<u32>,
    /// Tables by name, CDC log tables included.
    pub tables: BTreeMap<String, Arc<Table>>,
    /// User-defined types by name.
    pub types: BTreeMap<String, Arc<UdtDefinition>>,
}

/// What a column is in its table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ColumnKind {
    /// n-th column of the partition key.
    PartitionKey(usize),
    /// n-th clustering column.
    Clustering(usize),
    /// One value for the whole partition.
    Static,
    /// One value a row.
    Regular,
}

/// A column.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type.
    pub cql_type: CqlType,
    /// Its part in the table.
    pub kind: ColumnKind,
    /// Names its cells in mutations (key columns have none of those, but an id too).
    pub id: ColumnId,
    /// Clustering columns: descending order.
    pub descending: bool,
}

/// A column that a table has no more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DroppedColumn {
    /// Its type.
    pub cql_type: CqlType,
    /// Its part in the table.
    pub kind: ColumnKind,
    /// Its cells' name in mutations.
    pub id: ColumnId,
    /// Its values are gone that were written until then; later ones come back with it.
    pub timestamp: Timestamp,
}

/// How tokens are computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Partitioner {
    /// Murmur3 of the partition key.
    Murmur3,
    /// The first 8 bytes of the stream id: CDC log tables.
    Cdc,
}

/// A table.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Table {
    /// Its id, new with each CREATE.
    pub id: Uuid,
    /// Keyspace it lives in.
    pub keyspace: String,
    /// Its name.
    pub name: String,
    /// Columns as `SELECT *` returns them: partition key, clustering, static by name,
    /// regular by name.
    pub columns: Vec<Column>,
    /// The next column's id.
    pub next_column_id: ColumnId,
    /// Columns that were dropped, by name, also those that have come back.
    pub dropped: BTreeMap<String, DroppedColumn>,
    /// How tokens are computed.
    pub partitioner: Partitioner,
    /// `WITH …`.
    pub options: TableOptions,
    /// `WITH cdc = {…}`; `None` if the table never had the option.
    pub cdc: Option<CdcOptions>,
    /// For a CDC log: the table whose changes it holds.
    pub cdc_log_of: Option<Uuid>,
}

/// Table options that are kept and shown again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)] // CQL's own names
pub struct TableOptions {
    pub comment: String,
    pub default_time_to_live: i32,
    pub gc_grace_seconds: i32,
    pub bloom_filter_fp_chance: f64,
    pub caching: BTreeMap<String, String>,
    pub compaction: BTreeMap<String, String>,
    pub compression: BTreeMap<String, String>,
    pub crc_check_chance: f64,
    pub max_index_interval: i32,
    pub memtable_flush_period_in_ms: i32,
    pub min_index_interval: i32,
    pub speculative_retry: String,
    pub dclocal_read_repair_chance: f64,
    pub read_repair_chance: f64,
    /// Options without an effect here, by name.
    pub extensions: BTreeMap<String, Extension>,
}

/// `preimage` of a CDC option.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum PreimageMode {
    /// `false`.
    #[default]
    Off,
    /// `true`: the columns that change.
    On,
    /// `'full'`: the whole row.
    Full,
}

/// `cdc = {…}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CdcOptions {
    /// `enabled`.
    pub enabled: bool,
    /// `preimage`.
    pub preimage: PreimageMode,
    /// `postimage`.
    pub postimage: bool,
    /// `delta: 'keys'` instead of `'full'`.
    pub delta_keys_only: bool,
    /// Seconds that a log row lives; 0: for ever.
    pub ttl: i64,
}

impl Table {
    /// The columns of the partition key, in order.
    pub fn partition_key(&self) -> impl Iterator<Item = &Column> {
        self.columns.iter().filter(|c| matches!(c.kind, ColumnKind::PartitionKey(_)))
    }
    /// The clustering columns, in order.
    pub fn clustering(&self) -> impl Iterator<Item = &Column> {
        self.columns.iter().filter(|c| matches!(c.kind, ColumnKind::Clustering(_)))
    }
    /// A column by its name.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|c| c.name == name)
    }
    /// Of the columns that are dropped now: the ids of their cells, and the timestamps until
    /// which those are gone.
    pub fn hidden(&self) -> impl Iterator<Item = (ColumnId, Timestamp)> {
        let gone = self.dropped.iter().filter(|(name, _)| self.column(name).is_none());
        gone.map(|(_, dropped)| (dropped.id, dropped.timestamp))
    }
    /// A column by its id.
    pub fn column_by_id(&self, id: ColumnId) -> Option<&Column> {
        self.columns.iter().find(|c| c.id == id)
    }
}

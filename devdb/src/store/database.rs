//! The data of all tables.

use std::sync::Arc;

use uuid::Uuid;

use super::mutation::{ClusteringKey, Mutation, PartitionKey, RowMutation};
use super::read::{PartitionView, ReadSpec, ScanChunk, ScanPosition, TokenRange};
use crate::error::Result;
use crate::schema::Table;

/// The data of all tables: many threads may read and write at once; a mutation is seen
/// whole or not at all.
#[derive(Debug, Default)]
pub struct Database {}

/// Held by who reads a partition and writes it by what was read (LWT, counters).
#[derive(Debug)]
pub struct PartitionLock<'a> {
    _p: std::marker::PhantomData<&'a ()>,
}

impl Database {
    /// No tables.
    pub fn new() -> Self { Self::default() }
    /// An empty table; replaces the definition if it is there already.
    pub fn create_table(&self, _table: &Arc<Table>) {}
    /// Forgets a table and its data.
    pub fn drop_table(&self, _table: Uuid) {}
    /// Forgets a table's data.
    pub fn truncate(&self, _table: Uuid) {}
    /// Takes a changed definition (data of dropped columns goes).
    pub fn alter_table(&self, _table: &Arc<Table>) {}
    /// Writes, with the rules by which writes meet. Without CDC. Unknown table: an error.
    pub fn apply(&self, _mutation: &Mutation) -> Result<()> { Ok(()) }
    /// Waits for the partition's lock. Plain writes do not take it.
    pub fn lock_partition(&self, _table: Uuid, _key: &PartitionKey) -> PartitionLock<'_> {
        PartitionLock { _p: std::marker::PhantomData }
    }
    /// Waits for the locks of several partitions, in an order that cannot deadlock.
    pub fn lock_partitions(&self, _keys: &[(Uuid, PartitionKey)]) -> Vec<PartitionLock<'_>> {
        Vec::new()
    }
    /// Live static columns and rows of a partition; `None` if it has neither.
    pub fn read_partition(
        &self, _table: Uuid, _key: &PartitionKey, _spec: &ReadSpec,
    ) -> Result<Option<PartitionView>> { Ok(None) }
    /// Partitions in (token, key) order, up to `limit` rows in all (a partition that has
    /// only static columns counts as a row).
    pub fn scan(
        &self, _table: Uuid, _range: TokenRange, _from: Option<&ScanPosition>, _spec: &ReadSpec,
        _limit: usize,
    ) -> Result<ScanChunk> { Ok(ScanChunk { partitions: Vec::new(), next: None }) }
    /// A row as stored, with what is dead in it. `None` as key: the static row.
    pub fn stored_row(
        &self, _table: Uuid, _key: &PartitionKey, _row: Option<&ClusteringKey>,
    ) -> Result<Option<RowMutation>> { Ok(None) }
    /// Drops what expired and tombstones past their grace, a bounded amount of work each
    /// time it is called. True: it went once around all data.
    pub fn purge(&self, _now: i64) -> bool { true }
}

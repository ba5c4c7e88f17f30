//! The data of all tables.

mod export;
mod purge;
mod shard;

use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard, RwLock};
use uuid::Uuid;

use super::mutation::{ClusteringKey, ColumnId, Mutation, PartitionKey, RowMutation, Timestamp};
use super::partition::Layout;
use super::read::{PartitionView, ReadSpec, ScanChunk, ScanPosition, TokenRange};
use super::token::token;
use crate::error::{CqlError, Result};
use crate::schema::Table;
use purge::PurgeCursor;
use shard::{Shard, ring_key, split_ring_key};

pub(crate) use export::{ExportPosition, PartitionRanges};

/// Parts of the ring with a lock each: the first bits of a token.
const SHARD_BITS: u32 = 6;
const SHARDS: usize = 1 << SHARD_BITS;
/// Locks for LWT; partitions share them by hash.
const PARTITION_LOCKS: usize = 1024;

/// The data of all tables: many threads may read and write at once; a mutation is seen
/// whole or not at all.
#[derive(Debug)]
pub struct Database {
    tables: RwLock<HashMap<Uuid, Arc<TableData>>>,
    partition_locks: Box<[Mutex<()>]>,
    late: Mutex<VecDeque<(Instant, Mutation)>>,
    late_count: AtomicUsize,
    purging: Mutex<PurgeCursor>,
}

impl Default for Database {
    fn default() -> Self {
        Self {
            tables: RwLock::default(),
            partition_locks: (0..PARTITION_LOCKS).map(|_| Mutex::new(())).collect(),
            late: Mutex::default(),
            late_count: AtomicUsize::new(0),
            purging: Mutex::default(),
        }
    }
}

#[derive(Debug)]
struct TableData {
    layout: RwLock<Arc<Layout>>,
    shards: Box<[RwLock<Shard>]>,
}

fn shard_of(token: i64) -> usize {
    ((token ^ i64::MIN) as u64 >> (64 - SHARD_BITS)) as usize
}

/// Held by who reads a partition and writes it by what was read (LWT, counters).
#[derive(Debug)]
pub struct PartitionLock<'a> {
    _guard: MutexGuard<'a, ()>,
}

/// How much a table holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TableSize {
    /// Partitions, those with only tombstones included.
    pub partitions: usize,
    /// Rows, likewise.
    pub rows: usize,
    /// Bytes of rows and keys, without the overhead of maps and allocator.
    pub bytes: usize,
}

/// A partition, and the row of it to go on after.
type PartitionPosition = (Box<[u8]>, Option<Box<[u8]>>);

fn unknown_table(id: Uuid) -> CqlError {
    CqlError::invalid(format!("Can't find a column family with UUID {id}"))
}

impl Database {
    /// No tables.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty table. One that is there already keeps its data and takes the definition.
    pub fn create_table(&self, table: &Arc<Table>) {
        let mut tables = self.tables.write();
        if let Some(data) = tables.get(&table.id) {
            *data.layout.write() = Arc::new(Layout::new(table));
            return;
        }
        let data = TableData {
            layout: RwLock::new(Arc::new(Layout::new(table))),
            shards: (0..SHARDS).map(|_| RwLock::default()).collect(),
        };
        tables.insert(table.id, Arc::new(data));
    }

    /// Forgets a table and its data.
    pub fn drop_table(&self, table: Uuid) {
        self.tables.write().remove(&table);
        self.forget_late(table);
    }

    /// Forgets a table's data.
    pub fn truncate(&self, table: Uuid) {
        self.forget_late(table);
        if let Ok(data) = self.table(table) {
            for shard in &data.shards {
                *shard.write() = Shard::default();
            }
        }
    }

    /// Takes a changed definition (data of dropped columns goes).
    pub fn alter_table(&self, table: &Arc<Table>) {
        let Ok(data) = self.table(table.id) else { return };
        *data.layout.write() = Arc::new(Layout::new(table));
        let there = table.columns.iter().map(|column| (column.id, Timestamp::MIN));
        let keep: HashMap<ColumnId, Timestamp> = there.chain(table.hidden()).collect();
        for shard in &data.shards {
            let mut shard = shard.write();
            shard.update_all(|partition| {
                partition.keep_columns(&|id| keep.get(&id).copied());
                // The grace of tombstones may have changed.
                partition.next_purge = i64::MIN;
            });
            shard.next_purge = i64::MIN;
        }
    }

    fn table(&self, id: Uuid) -> Result<Arc<TableData>> {
        self.tables.read().get(&id).cloned().ok_or_else(|| unknown_table(id))
    }

    /// Writes, with the rules by which writes meet. Without CDC. Unknown table: an error.
    pub fn apply(&self, mutation: &Mutation) -> Result<()> {
        let data = self.table(mutation.table)?;
        let layout = Arc::clone(&data.layout.read());
        let token = token(layout.partitioner, &mutation.key);
        let key = ring_key(token, &mutation.key.0);
        let mut shard = data.shards[shard_of(token)].write();
        shard.update(&key, |partition| partition.apply(mutation, &layout));
        Ok(())
    }

    /// Writes each, at once or after a while.
    pub fn apply_each(
        &self,
        writes: impl IntoIterator<Item = (Mutation, Option<Duration>)>,
    ) -> Result<()> {
        for (mutation, delay) in writes {
            match delay {
                Some(delay) => self.apply_late(mutation, delay),
                None => self.apply(&mutation)?,
            }
        }
        Ok(())
    }

    /// Writes after a while: a replica that is late. Reads until then do not see it.
    pub fn apply_late(&self, mutation: Mutation, delay: Duration) {
        let mut late = self.late.lock();
        late.push_back((Instant::now() + delay, mutation));
        self.late_count.store(late.len(), Ordering::Release);
    }

    /// Writes what is late no longer.
    fn flush_late(&self) -> Result<()> {
        if self.late_count.load(Ordering::Acquire) == 0 {
            return Ok(());
        }
        let now = Instant::now();
        let mut late = self.late.lock();
        let (due, rest): (Vec<_>, Vec<_>) = late.drain(..).partition(|(at, _)| *at <= now);
        late.extend(rest);
        // Under the lock: who reads next must see what was due.
        let written = due.iter().try_for_each(|(_, mutation)| self.apply(mutation));
        self.late_count.store(late.len(), Ordering::Release);
        written
    }

    fn forget_late(&self, table: Uuid) {
        let mut late = self.late.lock();
        late.retain(|(_, mutation)| mutation.table != table);
        self.late_count.store(late.len(), Ordering::Release);
    }

    fn lock_index(&self, table: Uuid, key: &PartitionKey) -> usize {
        let mut hasher = DefaultHasher::new();
        (table, &key.0).hash(&mut hasher);
        hasher.finish() as usize % PARTITION_LOCKS
    }

    /// Waits for the partition's lock. Plain writes do not take it. Who holds one must not
    /// ask for another: partitions share locks (use [`Database::lock_partitions`]).
    pub fn lock_partition(&self, table: Uuid, key: &PartitionKey) -> PartitionLock<'_> {
        PartitionLock { _guard: self.partition_locks[self.lock_index(table, key)].lock() }
    }

    /// Waits for the locks of several partitions, in an order that cannot deadlock.
    pub fn lock_partitions(&self, keys: &[(Uuid, PartitionKey)]) -> Vec<PartitionLock<'_>> {
        let mut indices: Vec<usize> =
            keys.iter().map(|(table, key)| self.lock_index(*table, key)).collect();
        indices.sort_unstable();
        indices.dedup();
        indices
            .into_iter()
            .map(|index| PartitionLock { _guard: self.partition_locks[index].lock() })
            .collect()
    }

    /// Live static columns and rows of a partition; `None` if it has neither.
    pub fn read_partition(
        &self,
        table: Uuid,
        key: &PartitionKey,
        spec: &ReadSpec,
    ) -> Result<Option<PartitionView>> {
        self.flush_late()?;
        let data = self.table(table)?;
        let layout = Arc::clone(&data.layout.read());
        let token = token(layout.partitioner, key);
        let shard = data.shards[shard_of(token)].read();
        let Some(partition) = shard.get(&ring_key(token, &key.0)) else {
            return Ok(None);
        };
        let found = partition.read(&layout, spec, spec.after.as_ref(), spec.limit);
        if found.rows.is_empty() && !found.has_static {
            return Ok(None);
        }
        Ok(Some(PartitionView {
            token,
            key: key.clone(),
            static_columns: found.static_columns,
            has_static: found.has_static,
            rows: found.rows,
            more: found.more,
        }))
    }

    /// Partitions in (token, key) order, up to `limit` rows in all (a partition that has
    /// only static columns counts as a row); in each up to `spec.limit`.
    pub fn scan(
        &self,
        table: Uuid,
        range: TokenRange,
        from: Option<&ScanPosition>,
        spec: &ReadSpec,
        limit: usize,
    ) -> Result<ScanChunk> {
        self.flush_late()?;
        let data = self.table(table)?;
        let layout = Arc::clone(&data.layout.read());
        let mut chunk = ScanChunk { partitions: Vec::new(), next: None };
        if range.start > range.end {
            return Ok(chunk);
        }
        let start_key = match from {
            Some(position) => ring_key(position.token, &position.key.0),
            None => ring_key(range.start, &[]),
        };
        let first_shard = shard_of(from.map_or(range.start, |position| position.token));
        let last_shard = shard_of(range.end);
        let mut left = limit;
        for shard in data.shards.get(first_shard..=last_shard).unwrap_or_default() {
            let shard = shard.read();
            for (ring_key, partition) in shard.range(Bound::Included(&start_key)) {
                let (token, key) = split_ring_key(ring_key);
                if token > range.end {
                    return Ok(chunk);
                }
                let here = from.filter(|p| p.token == token && p.key == key);
                if here.is_some_and(|p| p.row.is_none()) {
                    continue;
                }
                let taken = here.map_or(0, |p| p.taken);
                let allowed = spec.limit.saturating_sub(taken);
                let after = here.and_then(|p| p.row.as_ref()).or(spec.after.as_ref());
                let found = partition.read(&layout, spec, after, left.min(allowed));
                let is_new = here.is_none();
                if found.rows.is_empty() && !(found.has_static && is_new) {
                    continue;
                }
                let count = found.rows.len().max(1);
                // Stopped by the chunk's limit and not by the partition's.
                let cut = found.more && found.rows.len() < allowed;
                let last = found.rows.last().map(|row| row.key.clone());
                let position = ScanPosition {
                    token,
                    key: key.clone(),
                    row: last.filter(|_| cut),
                    taken: taken + found.rows.len(),
                };
                chunk.partitions.push(PartitionView {
                    token,
                    key,
                    static_columns: found.static_columns,
                    has_static: found.has_static,
                    rows: found.rows,
                    more: found.more,
                });
                left = left.saturating_sub(count);
                if left == 0 {
                    chunk.next = Some(position);
                    return Ok(chunk);
                }
            }
        }
        Ok(chunk)
    }

    /// A row as stored, with what is dead in it. `None` as row: the static row.
    pub fn stored_row(
        &self,
        table: Uuid,
        key: &PartitionKey,
        row: Option<&ClusteringKey>,
    ) -> Result<Option<RowMutation>> {
        let data = self.table(table)?;
        let layout = Arc::clone(&data.layout.read());
        let token = token(layout.partitioner, key);
        let shard = data.shards[shard_of(token)].read();
        let partition = shard.get(&ring_key(token, &key.0));
        Ok(partition.and_then(|partition| partition.stored_row(&layout, row.map(|row| &row.0[..]))))
    }

    /// How much a table holds; walks all of it.
    pub fn table_size(&self, table: Uuid) -> Result<TableSize> {
        let data = self.table(table)?;
        let mut size = TableSize::default();
        for shard in &data.shards {
            for (key, partition) in shard.read().range(Bound::Unbounded) {
                let (rows, bytes) = partition.size();
                size.partitions += 1;
                size.rows += rows;
                size.bytes += key.len() + bytes;
            }
        }
        Ok(size)
    }
}

//! The data of all tables.

mod export;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::{Mutex, MutexGuard, RwLock};
use uuid::Uuid;

use super::mutation::{ClusteringKey, ColumnId, Mutation, PartitionKey, RowMutation, Timestamp};
use super::partition::{Layout, Partition};
use super::read::{PartitionView, ReadSpec, ScanChunk, ScanPosition, TokenRange};
use super::token::token;
use crate::error::{CqlError, Result};
use crate::schema::Table;

pub(crate) use export::{ExportPosition, PartitionRanges};

/// Parts of the ring with a lock each: the first bits of a token.
const SHARD_BITS: u32 = 6;
const SHARDS: usize = 1 << SHARD_BITS;
/// Locks for LWT; partitions share them by hash.
const PARTITION_LOCKS: usize = 1024;
/// Rows that a purge looks at under one lock, and in one call.
const PURGE_STEP: usize = 1000;
const PURGE_BUDGET: usize = 100_000;

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

#[derive(Debug)]
struct Shard {
    /// By token (big endian, sign bit flipped) and key, so that bytes are in ring order.
    partitions: BTreeMap<Box<[u8]>, Partition>,
    next_purge: i64,
}

impl Default for Shard {
    fn default() -> Self {
        Self { partitions: BTreeMap::new(), next_purge: i64::MAX }
    }
}

fn ring_key(token: i64, key: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(8 + key.len());
    bytes.extend((token ^ i64::MIN).to_be_bytes());
    bytes.extend_from_slice(key);
    bytes
}

fn split_ring_key(bytes: &[u8]) -> (i64, PartitionKey) {
    match bytes.split_first_chunk::<8>() {
        Some((token, key)) => {
            (i64::from_be_bytes(*token) ^ i64::MIN, PartitionKey(Bytes::copy_from_slice(key)))
        }
        None => (i64::MIN, PartitionKey(Bytes::new())),
    }
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

type PartitionPosition = (Box<[u8]>, Option<Box<[u8]>>);

#[derive(Debug, Default)]
struct PurgeCursor {
    /// Tables still to visit in this round.
    tables: Vec<Uuid>,
    started: bool,
    shard: usize,
    /// The partition to go on in, and the row of it to go on after.
    at: Option<PartitionPosition>,
    /// Of the shard at hand: the earliest second seen at which something is due.
    next: i64,
}

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
            for partition in shard.partitions.values_mut() {
                partition.keep_columns(&|id| keep.get(&id).copied());
                // The grace of tombstones may have changed.
                partition.next_purge = i64::MIN;
            }
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
        let shard = &mut *shard;
        let partition = match shard.partitions.get_mut(&key[..]) {
            Some(partition) => partition,
            None => shard.partitions.entry(key.clone().into_boxed_slice()).or_default(),
        };
        partition.apply(mutation, &layout);
        shard.next_purge = shard.next_purge.min(partition.next_purge);
        if partition.is_empty() {
            shard.partitions.remove(&key[..]);
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
        let Some(partition) = shard.partitions.get(&ring_key(token, &key.0)[..]) else {
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
            let rest = shard
                .partitions
                .range::<[u8], _>((Bound::Included(&start_key[..]), Bound::Unbounded));
            for (ring_key, partition) in rest {
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
        let partition = shard.partitions.get(&ring_key(token, &key.0)[..]);
        Ok(partition.and_then(|partition| partition.stored_row(&layout, row.map(|row| &row.0[..]))))
    }

    /// Drops what expired and tombstones past their grace, a bounded amount of work each
    /// time it is called. True: it has now been around all tables once more.
    pub fn purge(&self, now: i64) -> bool {
        let mut cursor = self.purging.lock();
        if !cursor.started {
            cursor.tables = self.tables.read().keys().copied().collect();
            cursor.started = true;
            cursor.next = i64::MAX;
        }
        let mut budget = PURGE_BUDGET;
        while let Some(id) = cursor.tables.last().copied() {
            let Ok(data) = self.table(id) else {
                cursor.next_table();
                continue;
            };
            let layout = Arc::clone(&data.layout.read());
            while let Some(shard) = data.shards.get(cursor.shard) {
                if budget == 0 {
                    return false;
                }
                let mut shard = shard.write();
                let step = PURGE_STEP.min(budget);
                let seen = cursor.purge_shard(&mut shard, now, &layout, step);
                budget = budget.saturating_sub(seen);
            }
            cursor.next_table();
        }
        cursor.started = false;
        true
    }

    /// How much a table holds; walks all of it.
    pub fn table_size(&self, table: Uuid) -> Result<TableSize> {
        let data = self.table(table)?;
        let mut size = TableSize::default();
        for shard in &data.shards {
            for (key, partition) in &shard.read().partitions {
                let (rows, bytes) = partition.size();
                size.partitions += 1;
                size.rows += rows;
                size.bytes += key.len() + bytes;
            }
        }
        Ok(size)
    }
}

impl PurgeCursor {
    fn next_table(&mut self) {
        self.tables.pop();
        self.shard = 0;
        self.at = None;
        self.next = i64::MAX;
    }

    /// Purges up to `budget` rows of the shard and moves on to the next one when it is done.
    fn purge_shard(
        &mut self,
        shard: &mut Shard,
        now: i64,
        layout: &Layout,
        budget: usize,
    ) -> usize {
        if self.at.is_none() {
            if shard.next_purge > now {
                self.shard += 1;
                return 0;
            }
            // Writes that come while the shard is being walked lower it again.
            shard.next_purge = i64::MAX;
            self.next = i64::MAX;
        }
        let mut left = budget;
        let (start, mut row) = match self.at.take() {
            Some((key, row)) => (Bound::Included(key), row),
            None => (Bound::Unbounded, None),
        };
        let mut emptied = Vec::new();
        let bounds = (start.as_ref().map(|key| &**key), Bound::Unbounded);
        for (key, partition) in shard.partitions.range_mut::<[u8], _>(bounds) {
            if left == 0 {
                self.at = Some((key.clone(), row.take()));
                break;
            }
            left -= 1;
            let from = row.take();
            if from.is_none() && partition.next_purge > now {
                self.next = self.next.min(partition.next_purge);
                continue;
            }
            if from.is_none() {
                partition.next_purge = i64::MAX;
            }
            let (more, next, seen) = partition.purge(now, layout, from.as_deref(), left.max(1));
            left = left.saturating_sub(seen);
            partition.next_purge = partition.next_purge.min(next);
            self.next = self.next.min(partition.next_purge);
            if more.is_some() {
                self.at = Some((key.clone(), more));
                break;
            }
            if partition.is_empty() {
                emptied.push(key.clone());
            }
        }
        for key in emptied {
            shard.partitions.remove(&key);
        }
        if self.at.is_none() {
            shard.next_purge = shard.next_purge.min(self.next);
            self.shard += 1;
        }
        budget - left
    }
}

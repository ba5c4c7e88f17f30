//! From a base table's mutation to the rows of its log.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::RwLock;
use rand::Rng;
use uuid::Uuid;

use super::generation::generation_for;
use super::images::{Affected, States, logged_elements};
use super::log_table::{LogLayout, LoggedColumn};
use super::split::{Change, records};
use super::streams::{Streams, StreamsState};
use crate::error::Result;
use crate::faults::Effects;
use crate::schema::{CdcOptions, Partitioner, PreimageMode, Table};
use crate::store::mutation::{
    Cell, CellContent, ClusteringBound, ClusteringKey, ColumnId, ColumnValue, Mutation,
    PartitionKey, RowMarker, RowMutation, Timestamp,
};
use crate::store::{Clock, Database, token};
use crate::types::order::{decode_clustering, encode_clustering};
use crate::types::{CqlType, collection, partition_key};

/// The values of `cdc$operation`.
mod operation {
    pub(super) const PREIMAGE: i8 = 0;
    pub(super) const UPDATE: i8 = 1;
    pub(super) const INSERT: i8 = 2;
    pub(super) const ROW_DELETE: i8 = 3;
    pub(super) const PARTITION_DELETE: i8 = 4;
    pub(super) const RANGE_START_INCLUSIVE: i8 = 5;
    pub(super) const RANGE_START_EXCLUSIVE: i8 = 6;
    pub(super) const RANGE_END_INCLUSIVE: i8 = 7;
    pub(super) const RANGE_END_EXCLUSIVE: i8 = 8;
    pub(super) const POSTIMAGE: i8 = 9;
}

/// Of which definitions a layout was made: a table only ever gets new column ids.
type LayoutVersion = (Uuid, usize, ColumnId, usize, ColumnId);

/// The node's streams, and how changes become log rows.
#[derive(Debug)]
pub struct Cdc {
    streams: Streams,
    layouts: RwLock<HashMap<Uuid, (LayoutVersion, Arc<LogLayout>)>>,
}

impl Cdc {
    /// With a first generation that began a minute ago and has one stream for each vnode.
    pub fn new(vnodes: usize, clock: Arc<Clock>) -> Self {
        Self { streams: Streams::new(vnodes, clock), layouts: RwLock::default() }
    }

    /// With the streams of an earlier run.
    pub fn restored(streams: StreamsState, clock: Arc<Clock>) -> Self {
        Self { streams: Streams::restored(streams, clock), layouts: RwLock::default() }
    }

    /// Which streams there are.
    pub fn streams(&self) -> &Streams {
        &self.streams
    }

    /// Forgets a log table that is gone. True: it had streams of its own.
    pub fn forget(&self, log: Uuid) -> bool {
        self.layouts.write().remove(&log);
        self.streams.close_table(log)
    }

    fn layout(&self, base: &Table, log: &Table) -> Result<Arc<LogLayout>> {
        let version = (
            base.id,
            base.columns.len(),
            base.next_column_id,
            log.columns.len(),
            log.next_column_id,
        );
        if let Some((known, layout)) = self.layouts.read().get(&log.id)
            && *known == version
        {
            return Ok(Arc::clone(layout));
        }
        let layout = Arc::new(LogLayout::new(base, log)?);
        self.layouts.write().insert(log.id, (version, Arc::clone(&layout)));
        Ok(layout)
    }

    /// Log mutations for a write to a base table with CDC; refuses timestamps that belong
    /// to no generation, as ScyllaDB does. To be called before the write is applied (images
    /// are read from `db`). `now_micros`: the node's time.
    pub fn augment(
        &self,
        base: &Table,
        log: &Table,
        mutation: &Mutation,
        db: &Database,
        now_micros: i64,
    ) -> Result<Vec<Mutation>> {
        let Some(options) = base.cdc.as_ref().filter(|options| options.enabled) else {
            return Ok(Vec::new());
        };
        let layout = self.layout(base, log)?;
        let now = now_micros.div_euclid(1_000_000);
        let preimage = options.preimage != PreimageMode::Off;
        let token = token(base.partitioner, &mutation.key);
        let key_count = base.partition_key().count();
        let key = partition_key::decode(key_count, &mutation.key);
        let records = records(mutation);

        // All streams first: nothing is logged of a write that is refused in part.
        let generations = self.streams.of(log.id);
        let mut streams: Vec<Bytes> = Vec::with_capacity(records.len());
        for record in &records {
            let generation = generation_for(&generations, record.timestamp, now_micros)?;
            streams.extend(generation.stream(token).cloned());
        }
        let mut states = if preimage || options.postimage {
            States::read(base, options, &layout, mutation, db, now)?
        } else {
            States::default()
        };
        let mut log_mutations: Vec<Mutation> = Vec::with_capacity(records.len());
        let last = records.len().saturating_sub(1);
        for (i, (record, stream)) in records.iter().zip(streams).enumerate() {
            let mut rows = LogRows::new(&layout, options, &key, record.timestamp, now);
            let images = preimage || options.postimage;
            let affected =
                if images { Affected::of(&record.changes, &layout) } else { Affected::default() };
            if preimage {
                let full = options.preimage == PreimageMode::Full;
                if !affected.static_columns.is_empty() {
                    let only = (!full).then_some(&affected.static_columns);
                    rows.image(operation::PREIMAGE, None, states.image(None, only, &layout));
                }
                for (row, columns) in &affected.rows {
                    let only = (!full).then_some(columns);
                    let image = states.image(Some(row), only, &layout);
                    rows.image(operation::PREIMAGE, Some(row), image);
                }
            }
            let follow = options.postimage || (preimage && i < last);
            for change in &record.changes {
                rows.change(change);
                if follow {
                    states.apply(change, &layout);
                }
            }
            if options.postimage {
                if !affected.static_columns.is_empty() {
                    rows.image(operation::POSTIMAGE, None, states.image(None, None, &layout));
                }
                for row in affected.rows.keys() {
                    let image = states.image(Some(row), None, &layout);
                    rows.image(operation::POSTIMAGE, Some(row), image);
                }
            }
            let rows = rows.finish();
            match log_mutations.iter_mut().find(|m| m.key.0 == stream) {
                Some(mutation) => mutation.rows.extend(rows),
                None => log_mutations.push(log_mutation(log, stream, rows)),
            }
        }
        for mutation in &mut log_mutations {
            mutation.rows.sort_by(|a, b| a.0.cmp(&b.0));
        }
        Ok(log_mutations)
    }

    /// What `augment` made, with what a fault does to it: each mutation with how late it is.
    pub fn with_effects(
        log: Vec<Mutation>,
        effects: Effects,
    ) -> impl Iterator<Item = (Mutation, Option<Duration>)> {
        log.into_iter().flat_map(move |mutation| {
            let again = effects.duplicate_log.then(|| (with_other_times(&mutation), None));
            again.into_iter().chain([(mutation, effects.late_log)])
        })
    }
}

fn log_mutation(log: &Table, stream: Bytes, rows: Vec<(ClusteringKey, RowMutation)>) -> Mutation {
    debug_assert_eq!(log.partitioner, Partitioner::Cdc);
    Mutation {
        table: log.id,
        key: PartitionKey(stream),
        partition_tombstone: None,
        range_tombstones: Vec::new(),
        static_columns: Vec::new(),
        rows,
    }
}

const LOG_KEY: [(&CqlType, bool); 2] = [(&CqlType::Timeuuid, false), (&CqlType::Int, false)];

/// A version 1 uuid of a write's timestamp with a random clock sequence and node: two writes
/// of one microsecond differ.
fn log_time(timestamp: Timestamp) -> Bytes {
    /// Microseconds from 1582-10-15, where the time of uuids begins, to 1970.
    const GREGORIAN_MICROS: i64 = 12_219_292_800_000_000;
    let ticks = (timestamp.saturating_add(GREGORIAN_MICROS) as u64).wrapping_mul(10);
    let mut low: u64 = rand::rng().random();
    low = low & 0x3fff_ffff_ffff_ffff | 0x8000_0000_0000_0000;
    let high = ticks << 32 | (ticks >> 32 & 0xffff) << 16 | 0x1000 | (ticks >> 48 & 0x0fff);
    let mut bytes = high.to_be_bytes().to_vec();
    bytes.extend(low.to_be_bytes());
    Bytes::from(bytes)
}

/// The same rows as another attempt would log them.
fn with_other_times(mutation: &Mutation) -> Mutation {
    let mut times: HashMap<Bytes, Bytes> = HashMap::new();
    let mut copy = mutation.clone();
    for (key, _) in &mut copy.rows {
        let mut values = decode_clustering(&LOG_KEY, key);
        if let Some(time) = values.first_mut() {
            let other = times.entry(time.clone()).or_insert_with(|| {
                let random: u64 = rand::rng().random();
                let random = random & 0x3fff_ffff_ffff_ffff | 0x8000_0000_0000_0000;
                let mut bytes = time[..8.min(time.len())].to_vec();
                bytes.extend(random.to_be_bytes());
                Bytes::from(bytes)
            });
            *time = other.clone();
        }
        *key = encode_clustering(&LOG_KEY, &values);
    }
    copy.rows.sort_by(|a, b| a.0.cmp(&b.0));
    copy
}

/// The log rows of one record.
struct LogRows<'a> {
    layout: &'a LogLayout,
    delta: bool,
    key: &'a [Bytes],
    time: Bytes,
    timestamp: Timestamp,
    /// TTL and expiry of the log's own cells.
    expiry: Option<(i32, i64)>,
    rows: Vec<(ClusteringKey, RowMutation)>,
}

impl<'a> LogRows<'a> {
    fn new(
        layout: &'a LogLayout,
        options: &CdcOptions,
        key: &'a [Bytes],
        timestamp: Timestamp,
        now: i64,
    ) -> Self {
        let ttl = i32::try_from(options.ttl).unwrap_or(i32::MAX);
        Self {
            layout,
            delta: !options.delta_keys_only,
            key,
            time: log_time(timestamp),
            timestamp,
            expiry: (ttl > 0).then(|| (ttl, now + i64::from(ttl))),
            rows: Vec::new(),
        }
    }

    fn set(&self, row: &mut RowMutation, column: ColumnId, value: Bytes) {
        let content = match self.expiry {
            Some((ttl, expiry)) => CellContent::Expiring { value, ttl, expiry },
            None => CellContent::Live { value },
        };
        let cell = Cell { timestamp: self.timestamp, content };
        row.columns.push((column, ColumnValue::Atomic(cell)));
    }

    fn set_true(&self, row: &mut RowMutation, column: ColumnId) {
        self.set(row, column, Bytes::from_static(&[1]));
    }

    /// A row with its operation and the base's key, as much of it as is given.
    fn row(&self, operation: i8, clustering: Option<&ClusteringKey>) -> RowMutation {
        let mut row = RowMutation::default();
        self.set(&mut row, self.layout.operation, Bytes::copy_from_slice(&operation.to_be_bytes()));
        for (column, value) in self.layout.partition_key.iter().zip(self.key) {
            self.set(&mut row, *column, value.clone());
        }
        if let Some(clustering) = clustering {
            let types: Vec<(&CqlType, bool)> =
                self.layout.clustering_types.iter().map(|(t, desc)| (t, *desc)).collect();
            let values = decode_clustering(&types, clustering);
            for (column, value) in self.layout.clustering.iter().zip(values) {
                self.set(&mut row, *column, value);
            }
        }
        row
    }

    fn push(&mut self, row: RowMutation) {
        let number = Bytes::copy_from_slice(&(self.rows.len() as i32).to_be_bytes());
        let key = encode_clustering(&LOG_KEY, &[self.time.clone(), number]);
        self.rows.push((key, row));
    }

    fn image(
        &mut self,
        operation: i8,
        key: Option<&ClusteringKey>,
        image: Option<Vec<(&LoggedColumn, Option<Bytes>)>>,
    ) {
        let Some(image) = image else { return };
        let mut row = self.row(operation, key);
        for (column, value) in image {
            match value {
                Some(value) => self.set(&mut row, column.value, value),
                // A preimage may show some columns only: null has to be told from left out.
                None if operation == operation::PREIMAGE => {
                    self.set_true(&mut row, column.deleted);
                }
                None => {}
            }
        }
        self.push(row);
    }

    fn change(&mut self, change: &Change) {
        match change {
            Change::Static(columns) => {
                let mut row = self.row(operation::UPDATE, None);
                self.columns(&mut row, None, columns);
                self.push(row);
            }
            Change::Upsert { key, marker, columns } => {
                let operation =
                    if marker.is_some() { operation::INSERT } else { operation::UPDATE };
                let mut row = self.row(operation, Some(key));
                self.columns(&mut row, marker.as_ref(), columns);
                self.push(row);
            }
            Change::DeleteRow(key) => self.push(self.row(operation::ROW_DELETE, Some(key))),
            Change::DeleteRange(range) => {
                // Without a limit: inclusive, of no key.
                let (start, key) = match &range.start {
                    ClusteringBound::Unbounded => (operation::RANGE_START_INCLUSIVE, None),
                    ClusteringBound::Inclusive(key) => {
                        (operation::RANGE_START_INCLUSIVE, Some(key))
                    }
                    ClusteringBound::Exclusive(key) => {
                        (operation::RANGE_START_EXCLUSIVE, Some(key))
                    }
                };
                self.push(self.row(start, key));
                let (end, key) = match &range.end {
                    ClusteringBound::Unbounded => (operation::RANGE_END_INCLUSIVE, None),
                    ClusteringBound::Inclusive(key) => (operation::RANGE_END_INCLUSIVE, Some(key)),
                    ClusteringBound::Exclusive(key) => (operation::RANGE_END_EXCLUSIVE, Some(key)),
                };
                self.push(self.row(end, key));
            }
            Change::DeletePartition => self.push(self.row(operation::PARTITION_DELETE, None)),
        }
    }

    /// The values and deletions of a change, and its TTL.
    fn columns(
        &self,
        row: &mut RowMutation,
        marker: Option<&RowMarker>,
        columns: &[(ColumnId, ColumnValue)],
    ) {
        let mut ttl = marker.and_then(|marker| marker.expiry).map(|(ttl, _)| ttl);
        for (id, value) in columns {
            let Some(column) = self.layout.column(*id) else { continue };
            match value {
                ColumnValue::Atomic(cell) => match &cell.content {
                    CellContent::Dead { .. } => {
                        if self.delta {
                            self.set_true(row, column.deleted);
                        }
                    }
                    CellContent::Live { value } | CellContent::Expiring { value, .. } => {
                        ttl = cell_ttl(cell);
                        if self.delta {
                            self.set(row, column.value, value.clone());
                        }
                    }
                },
                ColumnValue::Collection(change) => {
                    let mut added: Vec<(Bytes, Bytes)> = Vec::new();
                    let mut deleted: Vec<&[u8]> = Vec::new();
                    for (key, cell) in &change.cells {
                        match &cell.content {
                            CellContent::Dead { .. } => deleted.push(key),
                            CellContent::Live { value } | CellContent::Expiring { value, .. } => {
                                ttl = cell_ttl(cell);
                                added.push((key.clone(), value.clone()));
                            }
                        }
                    }
                    if !self.delta {
                        continue;
                    }
                    if change.tombstone.is_some() {
                        self.set_true(row, column.deleted);
                    }
                    if let Some(elements) = column.deleted_elements.filter(|_| !deleted.is_empty())
                    {
                        let keys = collection::encode_sequence(deleted.into_iter());
                        self.set(row, elements, keys);
                    }
                    // A UDT's fields are shown even if all of them are null.
                    if !added.is_empty() || matches!(column.cql_type, CqlType::Udt { .. }) {
                        let value = logged_elements(&column.cql_type, &added);
                        self.set(row, column.value, value);
                    }
                }
            }
        }
        if let Some(ttl) = ttl {
            let value = Bytes::copy_from_slice(&i64::from(ttl).to_be_bytes());
            self.set(row, self.layout.ttl, value);
        }
    }

    fn finish(mut self) -> Vec<(ClusteringKey, RowMutation)> {
        if let Some((key, mut row)) = self.rows.pop() {
            self.set_true(&mut row, self.layout.end_of_batch);
            self.rows.push((key, row));
        }
        for (_, row) in &mut self.rows {
            row.columns.sort_by_key(|(id, _)| *id);
        }
        self.rows
    }
}

fn cell_ttl(cell: &Cell) -> Option<i32> {
    match cell.content {
        CellContent::Expiring { ttl, .. } => Some(ttl),
        _ => None,
    }
}

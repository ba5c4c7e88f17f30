//! What statements write, gathered: one mutation for each partition.

use std::collections::HashMap;
use std::sync::Arc;

use uuid::Uuid;

use super::range_deletes::RangeDeletes;
use crate::faults::Effects;
use crate::schema::{PreimageMode, Table};
use crate::store::element_key_type;
use crate::store::mutation::{
    CellContent, ClusteringKey, ClusteringRange, ColumnId, ColumnValue, Mutation, PartitionKey,
    RowMutation, Tombstone,
};
use crate::types::CqlType;

/// The write to one partition under way.
#[derive(Debug)]
pub struct PartitionWrite {
    /// The table.
    pub table: Arc<Table>,
    /// Where it is logged, if it is.
    pub log: Option<Arc<Table>>,
    /// The partition.
    pub key: PartitionKey,
    partition_tombstone: Option<Tombstone>,
    range_tombstones: RangeDeletes,
    static_row: RowMutation,
    rows: Vec<(ClusteringKey, RowMutation)>,
}

impl PartitionWrite {
    /// DELETE of the partition.
    pub fn delete_partition(&mut self, tombstone: Tombstone) {
        self.partition_tombstone = self.partition_tombstone.max(Some(tombstone));
    }

    /// DELETE of a range of rows.
    pub fn delete_range(&mut self, range: ClusteringRange, tombstone: Tombstone) {
        self.range_tombstones.add(range, tombstone);
    }

    /// A write to a row.
    pub fn row(&mut self, key: ClusteringKey, row: RowMutation) {
        self.rows.push((key, row));
    }

    /// A write to the static row.
    pub fn static_row(&mut self, row: RowMutation) {
        let table = &self.table;
        self.static_row.absorb(row, |id| key_type(table, id));
    }

    /// The finished mutation: rows in clustering order, each once.
    pub fn finish(self) -> Mutation {
        let PartitionWrite { table, mut rows, .. } = self;
        // Statements come in any order; of equal cells the rules decide, not the order.
        if !rows.is_sorted_by(|a, b| a.0 < b.0) {
            rows.sort_by(|a, b| a.0.cmp(&b.0));
            let mut merged: Vec<(ClusteringKey, RowMutation)> = Vec::with_capacity(rows.len());
            for (key, row) in rows {
                match merged.last_mut() {
                    Some((last, existing)) if *last == key => {
                        existing.absorb(row, |id| key_type(&table, id));
                    }
                    _ => merged.push((key, row)),
                }
            }
            rows = merged;
        }
        Mutation {
            table: table.id,
            key: self.key,
            partition_tombstone: self.partition_tombstone,
            range_tombstones: self.range_tombstones.into_vec(),
            static_columns: self.static_row.columns,
            rows,
        }
    }
}

fn key_type(table: &Table, id: ColumnId) -> &CqlType {
    table.column_by_id(id).map_or(&CqlType::Blob, |column| element_key_type(&column.cql_type))
}

/// The writes of a statement or batch.
#[derive(Debug, Default)]
pub struct WriteSet {
    /// What a fault does to them.
    pub effects: Effects,
    writes: Vec<PartitionWrite>,
    index: HashMap<(Uuid, PartitionKey), usize>,
}

impl WriteSet {
    /// Without writes yet.
    pub fn new(effects: Effects) -> Self {
        Self { effects, ..Self::default() }
    }

    /// The write to a partition, begun or begun now.
    pub fn partition(
        &mut self,
        table: &Arc<Table>,
        log: Option<&Arc<Table>>,
        key: &PartitionKey,
    ) -> &mut PartitionWrite {
        let next = self.writes.len();
        // One partition after the other is the common case.
        let index = match self.writes.last() {
            Some(last) if last.table.id == table.id && last.key == *key => next - 1,
            _ => *self.index.entry((table.id, key.clone())).or_insert(next),
        };
        if index == next {
            self.writes.push(PartitionWrite {
                table: table.clone(),
                log: log.cloned(),
                key: key.clone(),
                partition_tombstone: None,
                range_tombstones: RangeDeletes::default(),
                static_row: RowMutation::default(),
                rows: Vec::new(),
            });
        }
        &mut self.writes[index]
    }

    /// How many partitions are written.
    pub fn len(&self) -> usize {
        self.writes.len()
    }

    /// The partitions of tables whose logs hold images.
    pub fn imaged(&self) -> Vec<(Uuid, PartitionKey)> {
        self.writes
            .iter()
            .filter(|write| {
                write.log.is_some()
                    && write
                        .table
                        .cdc
                        .as_ref()
                        .is_some_and(|cdc| cdc.postimage || cdc.preimage != PreimageMode::Off)
            })
            .map(|write| (write.table.id, write.key.clone()))
            .collect()
    }

    /// The writes.
    pub fn into_writes(self) -> Vec<PartitionWrite> {
        self.writes
    }

    /// About what ScyllaDB says its memory for the mutations is, which is what it limits
    /// batches by: some 300 small events of two rows with a dozen columns reach 1 MiB.
    pub fn size(&self) -> usize {
        const PARTITION: usize = 200;
        const ROW: usize = 200;
        const CELL: usize = 100;
        let cell = |content: &CellContent| match content {
            CellContent::Dead { .. } => CELL,
            CellContent::Live { value } | CellContent::Expiring { value, .. } => CELL + value.len(),
        };
        let column = |value: &ColumnValue| match value {
            ColumnValue::Atomic(value) => cell(&value.content),
            ColumnValue::Collection(cells) => cells
                .cells
                .iter()
                .map(|(key, value)| key.len() + cell(&value.content))
                .sum::<usize>(),
        };
        let row = |row: &RowMutation| {
            ROW + row.columns.iter().map(|(_, value)| column(value)).sum::<usize>()
        };
        self.writes
            .iter()
            .map(|write| {
                PARTITION
                    + row(&write.static_row)
                    + write.range_tombstones.len() * ROW
                    + write.rows.iter().map(|(key, r)| key.0.len() + row(r)).sum::<usize>()
            })
            .sum()
    }
}

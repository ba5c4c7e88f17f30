//! What statements are executed with, and how their writes reach the store.

use std::sync::Arc;

use bytes::Bytes;

use super::bindings::Bindings;
use super::conditional::{Item, check_consistency};
use super::functions::FunctionContext;
use super::mutations::WriteSet;
use super::ranges::{full_keys, partition_keys};
use super::timeuuid::{ListSequence, TimeUuids};
use crate::cdc::Cdc;
use crate::error::{CqlError, Result};
use crate::faults::{self, BatchPart, Effects};
use crate::journal::Journal;
use crate::parse::ast::BatchKind;
use crate::plan::{ModifyPlan, Operation, Rows, batch_result, check_batch};
use crate::request::{Consistency, Outcome, Value};
use crate::store::mutation::{
    Cell, CellContent, ClusteringKey, ColumnValue, PartitionKey, RowMutation, Timestamp,
};
use crate::store::read::{ColumnSelection, LiveValue, ReadSpec};
use crate::store::{Clock, Database};

/// ScyllaDB's `batch_size_fail_threshold_in_kb`.
const MAX_BATCH_BYTES: usize = 1024 * 1024;

/// Executes plans.
#[derive(Debug)]
pub struct Executor {
    /// The data.
    pub db: Arc<Database>,
    /// Changes of CDC-enabled tables.
    pub cdc: Arc<Cdc>,
    /// The node's clock.
    pub clock: Arc<Clock>,
    /// The node's timeuuids.
    pub uuids: TimeUuids,
    /// Where writes are recorded before they are applied, if they are to outlive the process.
    pub journal: Option<Journal>,
}

/// How a write is asked for.
#[derive(Debug, Clone, Copy)]
pub struct WriteParameters {
    /// Its consistency.
    pub consistency: Consistency,
    /// The consistency of its condition.
    pub serial_consistency: Option<Consistency>,
    /// The client's timestamp.
    pub default_timestamp: Option<Timestamp>,
    /// What a fault does to it.
    pub effects: Effects,
}

impl Executor {
    /// Expressions of a statement with these values.
    pub fn bindings<'a>(&'a self, values: &'a [Value], lists: &'a ListSequence) -> Bindings<'a> {
        let context = FunctionContext { clock: &self.clock, uuids: &self.uuids };
        Bindings { values, context, lists }
    }

    /// Executes an INSERT, UPDATE or DELETE.
    pub fn modify(
        &self,
        plan: &ModifyPlan,
        bindings: Bindings<'_>,
        parameters: WriteParameters,
    ) -> Result<Outcome> {
        if plan.is_conditional() {
            check_consistency(parameters.consistency, parameters.serial_consistency)?;
            let item = Item { plan, bindings };
            return self
                .transact(
                    &[item],
                    &plan.result_columns,
                    &plan.result_references,
                    parameters.effects,
                )
                .map(Outcome::Rows);
        }
        check_write_consistency(parameters.consistency)?;
        if plan.is_counter {
            self.count(plan, bindings, parameters)?;
            return Ok(Outcome::Void);
        }
        let timestamp = self.timestamp(plan, bindings, None, parameters)?;
        let mut set = WriteSet::new(parameters.effects);
        self.build(plan, bindings, timestamp, &mut set)?;
        self.commit(set)?;
        Ok(Outcome::Void)
    }

    /// USING TIMESTAMP, else the client's, else the node's.
    fn timestamp(
        &self,
        plan: &ModifyPlan,
        bindings: Bindings<'_>,
        batch: Option<Timestamp>,
        parameters: WriteParameters,
    ) -> Result<Timestamp> {
        let own = self.own_timestamp(plan.timestamp.as_ref(), bindings)?;
        Ok(match own.or(batch).or(parameters.default_timestamp) {
            Some(timestamp) => timestamp,
            None => self.clock.now_micros(),
        })
    }

    /// Executes a batch.
    pub fn batch(
        &self,
        kind: BatchKind,
        timestamp: Option<Timestamp>,
        items: &[Item<'_>],
        parameters: WriteParameters,
    ) -> Result<Outcome> {
        let plans: Vec<&ModifyPlan> = items.iter().map(|item| item.plan).collect();
        if plans.iter().any(|plan| faults::owns(&plan.table)) {
            return Err(CqlError::invalid("Tables of devdb cannot be written in a batch"));
        }
        check_batch(kind, timestamp.is_some(), &plans)?;
        if plans.iter().any(|plan| plan.is_conditional()) {
            check_consistency(parameters.consistency, parameters.serial_consistency)?;
            let (columns, references) = batch_result(&plans);
            return self
                .transact(items, &columns, &references, parameters.effects)
                .map(Outcome::Rows);
        }
        check_write_consistency(parameters.consistency)?;
        if plans.iter().any(|plan| plan.is_counter) {
            for item in items {
                self.count(item.plan, item.bindings, parameters)?;
            }
            return Ok(Outcome::Void);
        }
        // One time for the whole batch: its statements are one write.
        let common =
            timestamp.or(parameters.default_timestamp).unwrap_or_else(|| self.clock.now_micros());
        let mut set = WriteSet::new(parameters.effects);
        for item in items {
            let timestamp = self.timestamp(item.plan, item.bindings, Some(common), parameters)?;
            self.build(item.plan, item.bindings, timestamp, &mut set)?;
        }
        if set.len() > 1 && set.size() > MAX_BATCH_BYTES {
            return Err(CqlError::invalid("Batch too large"));
        }
        self.commit(set)?;
        Ok(Outcome::Void)
    }

    /// Writes what was gathered, with the log rows of tables that have CDC. If one of them
    /// is refused, nothing is written.
    pub fn commit(&self, set: WriteSet) -> Result<()> {
        // What is read for an image must not change before the write is applied.
        let imaged = set.imaged();
        let _locks = self.db.lock_partitions(&imaged);
        self.commit_locked(set)
    }

    /// The same for who holds the locks of the partitions already.
    pub fn commit_locked(&self, set: WriteSet) -> Result<()> {
        let effects = set.effects;
        // One partition is applied whole: there is no half of it.
        let half = effects.half.filter(|_| set.len() > 1);
        let first = match half {
            Some((BatchPart::Last, _)) => set.len() - 1,
            _ => 0,
        };
        // With how late they are.
        let mut mutations = Vec::with_capacity(set.len());
        let mut logged = Vec::new();
        let now = self.clock.read_micros();
        for (index, write) in set.into_writes().into_iter().enumerate() {
            let late = half.filter(|_| index != first).map(|(_, rest_after)| rest_after);
            let table = write.table.clone();
            let log = write.log.clone();
            let mutation = write.finish();
            if let Some(log) = log {
                let rows = self.cdc.augment(&table, &log, &mutation, &self.db, now)?;
                logged.extend(
                    Cdc::with_effects(rows, effects).map(|(rows, own)| (rows, own.max(late))),
                );
            }
            mutations.push((mutation, late));
        }
        // Held until all is applied: a snapshot or TRUNCATE comes before it all or after.
        let _recorded = match &self.journal {
            Some(journal) => {
                Some(journal.write(mutations.iter().chain(&logged).map(|(mutation, _)| mutation))?)
            }
            None => None,
        };
        self.db.apply_each(mutations)?;
        self.db.apply_each(logged)
    }

    /// Counters: read, add, write, one at a time on a partition.
    fn count(
        &self,
        plan: &ModifyPlan,
        bindings: Bindings<'_>,
        _parameters: WriteParameters,
    ) -> Result<()> {
        let counts = plan.operations.iter().any(|o| matches!(o, Operation::Count(..)));
        if !counts {
            // DELETE: no different from other tables.
            let mut set = WriteSet::default();
            self.build(plan, bindings, self.clock.now_micros(), &mut set)?;
            return self.commit(set);
        }
        let keys = partition_keys(&plan.partition, &plan.partition_columns, bindings)?;
        let rows: Vec<Option<ClusteringKey>> = match &plan.rows {
            Rows::Keys(restriction) => full_keys(restriction, &plan.clustering_types, bindings)?
                .into_iter()
                .map(Some)
                .collect(),
            _ => vec![None],
        };
        for key in &keys {
            let _lock = self.db.lock_partition(plan.table.id, key);
            let mut set = WriteSet::default();
            for row in &rows {
                let mut columns = Vec::new();
                for operation in &plan.operations {
                    let Operation::Count(target, expression, minus) = operation else {
                        return Err(CqlError::server("a counter that does not count"));
                    };
                    let delta = match bindings.value(expression)? {
                        Value::Unset => continue,
                        Value::Null => {
                            return Err(CqlError::invalid(
                                "Invalid null value for counter increment",
                            ));
                        }
                        Value::Bytes(bytes) => bytes
                            .as_ref()
                            .try_into()
                            .map(i64::from_be_bytes)
                            .map_err(|_| CqlError::invalid("Invalid counter increment"))?,
                    };
                    let current = self.counter(plan, key, row.as_ref(), target.id)?;
                    let value = if *minus {
                        current.wrapping_sub(delta)
                    } else {
                        current.wrapping_add(delta)
                    };
                    let value = Bytes::copy_from_slice(&value.to_be_bytes());
                    columns.push((
                        target.id,
                        ColumnValue::Atomic(Cell {
                            timestamp: self.clock.now_micros(),
                            content: CellContent::Live { value },
                        }),
                    ));
                }
                columns.sort_by_key(|(id, _)| *id);
                let mutation = RowMutation { columns, ..RowMutation::default() };
                let write = set.partition(&plan.table, plan.log.as_ref(), key);
                match row {
                    Some(row) => write.row(row.clone(), mutation),
                    None => write.static_row(mutation),
                }
            }
            self.commit_locked(set)?;
        }
        Ok(())
    }

    fn counter(
        &self,
        plan: &ModifyPlan,
        key: &PartitionKey,
        row: Option<&ClusteringKey>,
        column: u32,
    ) -> Result<i64> {
        let now = self.clock.now_seconds();
        let mut spec = match row {
            Some(row) => ReadSpec::row(row.clone(), now),
            None => ReadSpec { ranges: Vec::new(), ..ReadSpec::all(now) },
        };
        spec.columns = ColumnSelection::Some(vec![column]);
        let view = self.db.read_partition(plan.table.id, key, &spec)?;
        let live = view.as_ref().and_then(|view| match row {
            Some(_) => view.rows.first().and_then(|row| row.column(column)),
            None => view.static_column(column),
        });
        Ok(match live {
            Some(LiveValue::Atomic(cell)) => {
                cell.value.as_ref().try_into().map(i64::from_be_bytes).unwrap_or_default()
            }
            _ => 0,
        })
    }
}

fn check_write_consistency(consistency: Consistency) -> Result<()> {
    match consistency {
        Consistency::Serial | Consistency::LocalSerial => {
            Err(CqlError::invalid("You must use conditional updates for serializable writes"))
        }
        _ => Ok(()),
    }
}

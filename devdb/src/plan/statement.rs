//! Any statement, resolved.

use std::sync::Arc;

use uuid::Uuid;

use super::conditions::cas_result;
use super::describe::describe_columns;
use super::expression::Expression;
use super::modify::ModifyPlan;
use super::planner::{Planner, named_spec};
use super::restrictions::{ColumnRef, KeyValues, PartitionRestriction};
use super::select::SelectPlan;
use crate::error::{CqlError, Result};
use crate::parse::ast::{Batch, BatchKind, Describe, Parsed, Statement};
use crate::request::ColumnSpec;
use crate::schema::{Catalog, ColumnKind, Table, is_system_keyspace};
use crate::types::CqlType;

/// A statement that can be executed.
#[derive(Debug)]
pub enum Plan {
    /// SELECT.
    Select(Box<SelectPlan>),
    /// INSERT, UPDATE, DELETE.
    Modify(Box<ModifyPlan>),
    /// BEGIN … APPLY BATCH.
    Batch(Box<BatchPlan>),
    /// TRUNCATE.
    Truncate(Arc<Table>),
    /// USE.
    Use(String),
    /// DESCRIBE: answered from the catalog when it is executed.
    Describe(Describe),
    /// DDL: judged against the catalog when it is executed.
    Schema(Box<Statement>),
}

/// A batch that can be executed.
#[derive(Debug)]
pub struct BatchPlan {
    /// Logged, unlogged, counter.
    pub kind: BatchKind,
    /// USING TIMESTAMP of the batch.
    pub timestamp: Option<Expression>,
    /// Its statements.
    pub statements: Vec<ModifyPlan>,
    /// For a conditional batch: the result's columns.
    pub result_columns: Arc<[ColumnSpec]>,
}

/// A plan with what PREPARE tells about it.
#[derive(Debug)]
pub struct Planned {
    /// The plan.
    pub plan: Plan,
    /// The markers.
    pub markers: Arc<[ColumnSpec]>,
    /// Markers that make up the partition key.
    pub partition_key: Arc<[u16]>,
    /// The result's columns.
    pub columns: Arc<[ColumnSpec]>,
    /// Conditional.
    pub is_lwt: bool,
    /// Tables whose definitions it rests on.
    pub tables: Vec<Uuid>,
}

/// Resolves a parsed statement.
pub fn plan(catalog: &Catalog, keyspace: Option<&str>, parsed: Parsed) -> Result<Planned> {
    let Parsed { statement, markers } = parsed;
    let mut planner = Planner::new(catalog, keyspace, markers);
    let plan = match statement {
        Statement::Select(select) => Plan::Select(Box::new(planner.select(&select)?)),
        Statement::Insert(_) | Statement::Update(_) | Statement::Delete(_) => {
            Plan::Modify(Box::new(planner.modify(&statement)?))
        }
        Statement::Batch(batch) => Plan::Batch(Box::new(planner.batch(&batch)?)),
        Statement::Truncate(truncate) => {
            let table = planner.enter(&truncate.table)?;
            if let Some(timeout) = &truncate.using.timeout {
                planner.term(timeout, &named_spec(&table, "[timeout]", CqlType::Duration))?;
            }
            if is_system_keyspace(&table.keyspace) && !crate::faults::owns(&table) {
                return Err(CqlError::unauthorized(format!(
                    "{} keyspace is not user-modifiable.",
                    table.keyspace
                )));
            }
            Plan::Truncate(table)
        }
        Statement::Use(name) => Plan::Use(name),
        Statement::Describe(describe) => Plan::Describe(describe),
        schema => Plan::Schema(Box::new(schema)),
    };
    let (partition_key, columns, is_lwt, tables) = match &plan {
        Plan::Select(select) => (
            match &select.restrictions.partition {
                PartitionRestriction::Keys(keys) => key_markers(keys),
                _ => Vec::new(),
            },
            select.columns.clone(),
            false,
            vec![select.table.id],
        ),
        Plan::Modify(modify) => (
            key_markers(&modify.partition),
            modify.result_columns.clone(),
            modify.is_conditional(),
            dependencies(modify),
        ),
        Plan::Batch(batch) => (
            batch.statements.first().map(|s| key_markers(&s.partition)).unwrap_or_default(),
            batch.result_columns.clone(),
            batch.statements.iter().any(ModifyPlan::is_conditional),
            batch.statements.iter().flat_map(dependencies).collect(),
        ),
        Plan::Truncate(table) => (Vec::new(), Arc::from([]), false, vec![table.id]),
        Plan::Describe(describe) => {
            (Vec::new(), describe_columns(describe, keyspace), false, Vec::new())
        }
        Plan::Use(_) | Plan::Schema(_) => (Vec::new(), Arc::from([]), false, Vec::new()),
    };
    Ok(Planned {
        markers: planner.markers.finish()?,
        partition_key: partition_key.into(),
        columns,
        is_lwt,
        tables,
        plan,
    })
}

fn dependencies(modify: &ModifyPlan) -> Vec<Uuid> {
    std::iter::once(modify.table.id).chain(modify.log.as_ref().map(|log| log.id)).collect()
}

/// The markers that are the partition key; none unless they are all of it.
fn key_markers(keys: &[KeyValues]) -> Vec<u16> {
    keys.iter()
        .map(|values| match values {
            KeyValues::One(value) => value.bind_index().and_then(|i| u16::try_from(i).ok()),
            _ => None,
        })
        .collect::<Option<_>>()
        .unwrap_or_default()
}

impl Planner<'_> {
    /// Resolves an INSERT, UPDATE or DELETE.
    pub fn modify(&mut self, statement: &Statement) -> Result<ModifyPlan> {
        match statement {
            Statement::Insert(insert) => self.insert(insert),
            Statement::Update(update) => self.update(update),
            Statement::Delete(delete) => self.delete(delete),
            _ => Err(CqlError::invalid(
                "Invalid statement in batch: only UPDATE, INSERT and DELETE statements are allowed.",
            )),
        }
    }

    fn batch(&mut self, batch: &Batch) -> Result<BatchPlan> {
        let timestamp = match &batch.using.timestamp {
            Some(term) => {
                let spec = ColumnSpec {
                    keyspace: String::new(),
                    table: String::new(),
                    name: "[timestamp]".to_owned(),
                    cql_type: CqlType::Bigint,
                };
                Some(self.term(term, &spec)?)
            }
            None => None,
        };
        if batch.using.ttl.is_some() {
            return Err(CqlError::invalid("Global TTL on the BATCH statement is not supported."));
        }
        let statements = batch
            .statements
            .iter()
            .map(|statement| self.modify(statement))
            .collect::<Result<Vec<_>>>()?;
        check_batch(batch.kind, timestamp.is_some(), &statements)?;
        let result_columns = batch_result(&statements).0;
        Ok(BatchPlan { kind: batch.kind, timestamp, statements, result_columns })
    }
}

/// What can be said of a batch before its values are known.
/// (ScyllaDB, cql3/statements/batch_statement.cc, validate.)
pub fn check_batch<S: std::borrow::Borrow<ModifyPlan>>(
    kind: BatchKind,
    has_timestamp: bool,
    statements: &[S],
) -> Result<()> {
    let conditional = statements.iter().any(|s| s.borrow().is_conditional());
    let counters = statements.iter().filter(|s| s.borrow().is_counter).count();
    let own_timestamp = statements.iter().any(|s| s.borrow().timestamp.is_some());
    if has_timestamp {
        if conditional {
            return Err(CqlError::invalid("Cannot provide custom timestamp for conditional BATCH"));
        }
        if kind == BatchKind::Counter {
            return Err(CqlError::invalid("Cannot provide custom timestamp for counter BATCH"));
        }
        if own_timestamp {
            return Err(CqlError::invalid(
                "Timestamp must be set either on BATCH or individual statements",
            ));
        }
    }
    match kind {
        BatchKind::Counter if counters < statements.len() => {
            return Err(CqlError::invalid(
                "Cannot include non-counter statement in a counter batch",
            ));
        }
        BatchKind::Logged if counters > 0 => {
            return Err(CqlError::invalid("Cannot include a counter statement in a logged batch"));
        }
        BatchKind::Unlogged if counters > 0 && counters < statements.len() => {
            return Err(CqlError::invalid(
                "Counter and non-counter mutations cannot exist in the same batch",
            ));
        }
        _ => {}
    }
    if conditional {
        let first = statements.first().map(|s| s.borrow().table.id);
        if statements.iter().any(|s| Some(s.borrow().table.id) != first) {
            return Err(CqlError::invalid("BATCH with conditions cannot span multiple tables"));
        }
    }
    Ok(())
}

/// The columns that a conditional batch shows: the key, and what its conditions name.
#[allow(clippy::type_complexity)]
pub fn batch_result<S: std::borrow::Borrow<ModifyPlan>>(
    statements: &[S],
) -> (Arc<[ColumnSpec]>, Vec<(ColumnRef, CqlType)>) {
    let conditional: Vec<&ModifyPlan> =
        statements.iter().map(S::borrow).filter(|s| s.is_conditional()).collect();
    let Some(first) = conditional.first() else {
        return (Arc::from([]), Vec::new());
    };
    let table = &first.table;
    let shown: Vec<_> = table
        .columns
        .iter()
        .filter(|c| {
            matches!(c.kind, ColumnKind::PartitionKey(_) | ColumnKind::Clustering(_))
                || conditional
                    .iter()
                    .any(|s| s.result_references.iter().any(|(r, _)| *r == ColumnRef::of(c)))
        })
        .collect();
    cas_result(table, &shown)
}

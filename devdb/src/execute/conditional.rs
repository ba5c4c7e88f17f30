//! Lightweight transactions: conditions on the rows as they stand, then the write.

use bytes::{Bytes, BytesMut};

use super::bindings::Bindings;
use super::executor::Executor;
use super::modify::with_document;
use super::mutations::WriteSet;
use super::ranges::{clustering_ranges, clustering_values, full_keys, partition_keys};
use super::rows::{RowView, field_index, live_bytes, put, satisfies};
use crate::error::{CqlError, Result};
use crate::faults::Effects;
use crate::parse::ast::Operator;
use crate::plan::{
    ColumnCondition, ColumnRef, ConditionAccess, ConditionPlan, ConditionValue, ModifyPlan,
    Operation, Rows,
};
use crate::request::{ColumnSpec, Consistency};
use crate::schema::ColumnKind;
use crate::store::mutation::{ClusteringBound, ClusteringKey, ClusteringRange, PartitionKey};
use crate::store::read::{LiveValue, PartitionView, ReadSpec};
use crate::types::{CqlType, collection, compare, partition_key};
use std::sync::Arc;

/// A statement of a transaction with its values.
#[derive(Debug, Clone, Copy)]
pub struct Item<'a> {
    /// The statement.
    pub plan: &'a ModifyPlan,
    /// Its values.
    pub bindings: Bindings<'a>,
}

/// What the statement looked at, by the rules of what it returns.
struct OldRow<'v> {
    view: &'v PartitionView,
    row: Option<&'v crate::store::read::LiveRow>,
}

/// Consistency levels that a conditional write can have.
pub fn check_consistency(consistency: Consistency, serial: Option<Consistency>) -> Result<()> {
    let name = match consistency {
        Consistency::Serial => Some("SERIAL"),
        Consistency::LocalSerial => Some("LOCAL_SERIAL"),
        _ => None,
    };
    if let Some(name) = name {
        return Err(CqlError::invalid(format!(
            "{name} is not supported as conditional update commit consistency. Use ANY if you mean \"make sure it is accepted but I don't care how many replicas commit it for non-SERIAL reads\""
        )));
    }
    match serial {
        None | Some(Consistency::Serial | Consistency::LocalSerial) => Ok(()),
        Some(_) => Err(CqlError::invalid(
            "Invalid consistency for conditional update. Must be one of SERIAL or LOCAL_SERIAL",
        )),
    }
}

impl Executor {
    /// Executes the statements of a transaction on one partition: all or none.
    pub fn transact(
        &self,
        items: &[Item<'_>],
        columns: &Arc<[ColumnSpec]>,
        references: &[(ColumnRef, CqlType)],
        effects: Effects,
    ) -> Result<crate::request::Rows> {
        let mut plans = Vec::with_capacity(items.len());
        let mut keys: Option<PartitionKey> = None;
        let mut subjects = Vec::with_capacity(items.len());
        for item in items {
            let plan = with_document(item.plan, item.bindings)?;
            let mut found =
                partition_keys(&plan.partition, &plan.partition_columns, item.bindings)?;
            let key = match (found.pop(), found.is_empty()) {
                (Some(key), true) => key,
                (None, _) => {
                    return Err(CqlError::invalid(
                        "partition key ranges empty - probably caused by an unset value",
                    ));
                }
                (Some(_), false) => {
                    return Err(CqlError::invalid(
                        "IN on the partition key is not supported with conditional updates",
                    ));
                }
            };
            if *keys.get_or_insert_with(|| key.clone()) != key {
                return Err(CqlError::invalid(
                    "BATCH with conditions cannot span multiple partitions",
                ));
            }
            subjects.push(subject_of(&plan, item.bindings)?);
            plans.push(plan);
        }
        let (Some(key), Some(first)) = (keys, plans.first()) else {
            return Err(CqlError::server("a transaction without statements"));
        };
        let table = first.table.clone();
        let types = first.clustering_types.clone();
        let _lock = self.db.lock_partition(table.id, &key);
        let now = self.clock.now_seconds();
        let view = self.db.read_partition(table.id, &key, &read_spec(&subjects, now))?;
        let old: Vec<Option<OldRow<'_>>> = plans
            .iter()
            .zip(&subjects)
            .map(|(plan, subject)| old_row(plan, subject.first.as_ref(), view.as_ref()))
            .collect();
        let mut applied = true;
        for ((plan, item), old) in plans.iter().zip(items).zip(&old) {
            applied = applied && applies(plan, old.as_ref(), item.bindings)?;
        }
        if applied {
            let timestamp = self.clock.ballot_micros();
            let mut set = WriteSet::new(effects);
            for (plan, item) in plans.iter().zip(items) {
                self.build(plan, item.bindings, timestamp, &mut set)?;
            }
            self.commit_locked(set)?;
        }
        let mut data = BytesMut::new();
        let partition = partition_key::decode(table.partition_key().count(), &key);
        for old in &old {
            put(&mut data, Some(&[u8::from(applied)]));
            let clustering = old
                .as_ref()
                .and_then(|old| old.row)
                .map(|row| clustering_values(&types, &row.key))
                .unwrap_or_default();
            for (reference, ty) in references {
                let value = old.as_ref().and_then(|old| {
                    RowView {
                        view: old.view,
                        partition: &partition,
                        row: old.row,
                        clustering: &clustering,
                    }
                    .value(*reference, ty)
                });
                put(&mut data, value.as_deref());
            }
        }
        Ok(crate::request::Rows {
            columns: columns.clone(),
            count: i32::try_from(old.len()).unwrap_or(i32::MAX),
            data: data.freeze(),
            paging_state: None,
        })
    }
}

/// The rows that a statement is about.
struct Subject {
    /// The first one's key; `None` when it is about the partition.
    first: Option<ClusteringKey>,
    /// Those that have to be read, to check its conditions or to know what it writes.
    ranges: Vec<ClusteringRange>,
}

fn subject_of(plan: &ModifyPlan, bindings: Bindings<'_>) -> Result<Subject> {
    let reads = plan.operations.iter().any(Operation::needs_read)
        || plan.is_conditional() && !plan.has_only_static_conditions();
    let (first, ranges) = match &plan.rows {
        _ if plan.clustering_types.is_empty() => {
            let key = ClusteringKey::default();
            (Some(key.clone()), vec![ClusteringRange::prefix(key)])
        }
        Rows::Keys(restriction) => {
            let keys = full_keys(restriction, &plan.clustering_types, bindings)?;
            if keys.is_empty() {
                return Err(CqlError::invalid(
                    "clustering key ranges empty - probably caused by an unset value",
                ));
            }
            (keys.first().cloned(), keys.into_iter().map(ClusteringRange::prefix).collect())
        }
        Rows::Ranges(restriction) => {
            let ranges = clustering_ranges(restriction, &plan.clustering_types, bindings)?;
            let first = match ranges.first().map(|range| &range.start) {
                Some(ClusteringBound::Inclusive(key) | ClusteringBound::Exclusive(key)) => {
                    Some(key.clone())
                }
                _ => None,
            };
            (first, Vec::new())
        }
        Rows::Static | Rows::Partition => (None, Vec::new()),
    };
    Ok(Subject { first, ranges: if reads { ranges } else { Vec::new() } })
}

/// What has to be read: the statements' rows; or, with conditions on static columns only,
/// any row, to tell a partition without static values from none.
/// (ScyllaDB, cas_request.cc, read_command.)
fn read_spec(subjects: &[Subject], now: i64) -> ReadSpec {
    let mut ranges: Vec<ClusteringRange> =
        subjects.iter().flat_map(|subject| subject.ranges.iter().cloned()).collect();
    if ranges.is_empty() {
        return ReadSpec { limit: 1, ..ReadSpec::all(now) };
    }
    let key = |range: &ClusteringRange| match &range.start {
        ClusteringBound::Inclusive(key) => key.clone(),
        _ => ClusteringKey::default(),
    };
    ranges.sort_by_cached_key(key);
    ranges.dedup();
    ReadSpec { ranges, ..ReadSpec::all(now) }
}

/// The statement's own row if it was read; else the static row, unless the statement asks
/// whether its row exists. (ScyllaDB, cas_request.cc, find_old_row, and
/// update_parameters.cc: a partition of which something was found has a static row, if
/// only of nulls, where the table has static columns.)
fn old_row<'v>(
    plan: &ModifyPlan,
    first: Option<&ClusteringKey>,
    view: Option<&'v PartitionView>,
) -> Option<OldRow<'v>> {
    let view = view.filter(|view| view.has_static || !view.rows.is_empty())?;
    if let Some(key) = first
        && let Some(found) = view.rows.iter().find(|r| r.key == *key)
    {
        return Some(OldRow { view, row: Some(found) });
    }
    let asks_for_row = matches!(plan.condition, ConditionPlan::NotExists | ConditionPlan::Exists);
    let has_static_row = !plan.clustering_types.is_empty()
        && plan.table.columns.iter().any(|column| column.kind == ColumnKind::Static);
    (has_static_row && (first.is_none() || !asks_for_row)).then_some(OldRow { view, row: None })
}

fn applies(plan: &ModifyPlan, old: Option<&OldRow<'_>>, bindings: Bindings<'_>) -> Result<bool> {
    // A partition without static values has no static row, whatever rows it has.
    let old = old.filter(|old| !plan.has_only_static_conditions() || old.view.has_static);
    match &plan.condition {
        ConditionPlan::None => Ok(true),
        ConditionPlan::NotExists => Ok(old.is_none()),
        ConditionPlan::Exists => Ok(old.is_some()),
        ConditionPlan::Columns(conditions) => {
            for condition in conditions {
                if !holds(condition, old, bindings)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
    }
}

fn holds(
    condition: &ColumnCondition,
    old: Option<&OldRow<'_>>,
    bindings: Bindings<'_>,
) -> Result<bool> {
    let target = &condition.target;
    let live = old.and_then(|old| {
        if target.is_static {
            old.view.static_column(target.id)
        } else {
            old.row.and_then(|row| row.column(target.id))
        }
    });
    let value = accessed(condition, live, bindings)?;
    let ty = &condition.value_type;
    match &condition.test {
        ConditionValue::Compare(operator, expression) => {
            let mut wanted = bindings.known(expression, "condition")?;
            if *operator == Operator::Like && (wanted.is_none() || value.is_none()) {
                return Ok(false);
            }
            if wanted.is_none() && !matches!(operator, Operator::Eq | Operator::Ne) {
                let symbol = match operator {
                    Operator::Lt => "<",
                    Operator::Le => "<=",
                    Operator::Gt => ">",
                    _ => ">=",
                };
                return Err(CqlError::invalid(format!(
                    "Invalid comparison with null for operator \"{symbol}\""
                )));
            }
            // A non-frozen collection without elements is null.
            if ty.is_multi_cell() && wanted.as_deref() == Some(&[0, 0, 0, 0]) {
                wanted = None;
            }
            satisfies(ty, *operator, value.as_deref(), wanted.as_deref())
        }
        ConditionValue::In(values) => {
            let wanted = bindings
                .values_of(values)?
                .ok_or_else(|| CqlError::invalid("Invalid unset value in IN condition"))?;
            Ok(wanted.iter().any(|w| match (&value, w) {
                (Some(value), Some(w)) => compare(ty, value, w).is_eq(),
                (None, None) => true,
                // As ScyllaDB has it: without a value, an empty one will do
                // (cql3/column_condition.cc, applies_to).
                (None, Some(w)) => w.is_empty(),
                (Some(_), None) => false,
            }))
        }
    }
}

fn accessed(
    condition: &ColumnCondition,
    live: Option<&LiveValue>,
    bindings: Bindings<'_>,
) -> Result<Option<Bytes>> {
    let ty = &condition.target.cql_type;
    let Some(live) = live else {
        // Reaching into nothing is null; a bad key is refused all the same.
        if let ConditionAccess::Element(key) = &condition.access {
            element_key(ty, key, bindings)?;
        }
        return Ok(None);
    };
    match &condition.access {
        ConditionAccess::Whole => Ok(Some(live_bytes(live, ty))),
        ConditionAccess::Field(index) => match live {
            LiveValue::Collection(cells) => Ok(cells
                .iter()
                .find(|(key, _)| field_index(key) == Some(*index))
                .map(|(_, cell)| cell.value.clone())),
            LiveValue::Atomic(cell) => {
                Ok(collection::decode_tuple(&cell.value)?.into_iter().nth(*index).flatten())
            }
        },
        ConditionAccess::Element(key) => {
            let key = element_key(ty, key, bindings)?;
            let whole = live_bytes(live, ty);
            match ty {
                CqlType::List { .. } => {
                    let index = key
                        .as_ref()
                        .try_into()
                        .map(i32::from_be_bytes)
                        .map_err(|_| CqlError::invalid("Invalid list index"))?;
                    let index = usize::try_from(index).map_err(|_| {
                        CqlError::invalid(format!("Invalid negative list index {index}"))
                    })?;
                    Ok(collection::decode_sequence(&whole)?.into_iter().nth(index))
                }
                CqlType::Map { key: key_type, .. } => Ok(collection::decode_map(&whole)?
                    .into_iter()
                    .find(|(k, _)| compare(key_type, k, &key).is_eq())
                    .map(|(_, value)| value)),
                _ => Ok(None),
            }
        }
    }
}

fn element_key(
    ty: &CqlType,
    key: &crate::plan::Expression,
    bindings: Bindings<'_>,
) -> Result<Bytes> {
    bindings.known(key, "collection element")?.ok_or_else(|| {
        CqlError::invalid(match ty {
            CqlType::List { .. } => "Invalid null value for list element access",
            _ => "Invalid null value for map element access",
        })
    })
}

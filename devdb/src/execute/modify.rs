//! INSERT, UPDATE and DELETE become mutations.

use std::borrow::Cow;

use bytes::Bytes;

use super::bindings::Bindings;
use super::executor::Executor;
use super::mutations::WriteSet;
use super::ranges::{clustering_ranges, full_keys, partition_keys};
use super::timeuuid::ListSequence;
use crate::error::{CqlError, Result};
use crate::plan::{ModifyKind, ModifyPlan, Operation, Rows, Target, place, target_of};
use crate::request::Value;
use crate::schema::MAX_TTL;
use crate::store::mutation::{
    Cell, CellContent, ClusteringKey, CollectionCells, ColumnId, ColumnValue, PartitionKey,
    RowMarker, RowMutation, Timestamp, Tombstone,
};
use crate::store::read::{ColumnSelection, LiveCell, LiveValue, ReadSpec};
use crate::types::{CqlType, collection, compare};

/// When and for how long a statement writes.
#[derive(Debug, Clone, Copy)]
pub struct WriteTime {
    /// The write timestamp.
    pub timestamp: Timestamp,
    /// The node's second.
    pub now: i64,
    /// The TTL, if the values expire.
    pub ttl: Option<i32>,
}

impl WriteTime {
    fn tombstone(self) -> Tombstone {
        Tombstone { timestamp: self.timestamp, deletion_time: self.now }
    }

    /// What an overwritten collection's elements die of.
    fn tombstone_just_before(self) -> Tombstone {
        Tombstone { timestamp: self.timestamp.saturating_sub(1), deletion_time: self.now }
    }

    fn live(self, value: Bytes) -> Cell {
        let content = match self.ttl {
            Some(ttl) => CellContent::Expiring { value, ttl, expiry: self.now + i64::from(ttl) },
            None => CellContent::Live { value },
        };
        Cell { timestamp: self.timestamp, content }
    }

    fn dead(self) -> Cell {
        Cell { timestamp: self.timestamp, content: CellContent::Dead { deletion_time: self.now } }
    }

    fn cell(self, value: Option<Bytes>) -> Cell {
        match value {
            Some(value) => self.live(value),
            None => self.dead(),
        }
    }
}

/// A plan with its values: for INSERT JSON the plan that the document makes of it.
pub fn with_document<'p>(
    plan: &'p ModifyPlan,
    bindings: Bindings<'_>,
) -> Result<Cow<'p, ModifyPlan>> {
    let Some(json) = &plan.json else {
        return Ok(Cow::Borrowed(plan));
    };
    let text = bindings
        .known(&json.document, "JSON document")?
        .ok_or_else(|| CqlError::invalid("Got null for INSERT JSON values"))?;
    let text = std::str::from_utf8(&text)
        .map_err(|_| CqlError::invalid("Could not decode JSON string as a map: it is not UTF-8"))?;
    let document: serde_json::Value = serde_json::from_str(text).map_err(|error| {
        CqlError::invalid(format!(
            "Could not decode JSON string as a map: {error}. (String was: {text})"
        ))
    })?;
    let serde_json::Value::Object(members) = document else {
        return Err(CqlError::invalid(format!(
            "Could not decode JSON string as a map: it is no object. (String was: {text})"
        )));
    };
    let mut members: std::collections::BTreeMap<String, serde_json::Value> = members
        .into_iter()
        .map(|(name, value)| {
            // As in CQL: quoted names keep their case, others have none.
            let quoted = name.strip_prefix('"').and_then(|n| n.strip_suffix('"'));
            (quoted.map_or_else(|| name.to_lowercase(), str::to_owned), value)
        })
        .collect();
    let mut given = Vec::new();
    for column in &plan.table.columns {
        let value = match members.remove(&column.name) {
            Some(value) => match crate::types::from_json(&column.cql_type, &value, &column.name)? {
                Some(bytes) => Value::Bytes(bytes),
                None => Value::Null,
            },
            None if target_of(column).is_none() => continue,
            None if json.default_unset => Value::Unset,
            None => Value::Null,
        };
        given.push((column.clone(), crate::plan::Expression::Constant(value)));
    }
    if let Some(name) = members.keys().next() {
        return Err(CqlError::invalid(format!(
            "JSON values map contains unrecognized column: {name}"
        )));
    }
    let mut expanded = plan.clone();
    place(&mut expanded, given)?;
    expanded.json = None;
    Ok(Cow::Owned(expanded))
}

impl Executor {
    /// The statement's own timestamp, where it has one.
    pub fn own_timestamp(
        &self,
        timestamp: Option<&crate::plan::Expression>,
        bindings: Bindings<'_>,
    ) -> Result<Option<Timestamp>> {
        let Some(expression) = timestamp else {
            return Ok(None);
        };
        match bindings.value(expression)? {
            Value::Unset => Ok(None),
            Value::Null => Err(CqlError::invalid("Invalid null value of timestamp")),
            Value::Bytes(bytes) => {
                let value = bytes
                    .as_ref()
                    .try_into()
                    .map(i64::from_be_bytes)
                    .map_err(|_| CqlError::invalid("Invalid timestamp value"))?;
                if value == i64::MIN {
                    return Err(CqlError::invalid(format!(
                        "Timestamp {value} is reserved: it means that there is none"
                    )));
                }
                self.check_future(value)?;
                Ok(Some(value))
            }
        }
    }

    /// A statement's own timestamp that is days ahead is mostly one in the wrong unit, and
    /// could not be overwritten for as long. Source: ScyllaDB, cql3/util.cc,
    /// `validate_timestamp`; since 5.0, `restrict_future_timestamp` is on by default.
    fn check_future(&self, timestamp: Timestamp) -> Result<()> {
        const THREE_DAYS_MICROS: i64 = 3 * 86_400 * 1_000_000;
        if timestamp.saturating_sub(self.clock.read_micros()) > THREE_DAYS_MICROS {
            return Err(CqlError::invalid(
                "Cannot provide a timestamp more than 3 days into the future. If this was not \
                 intended, make sure the timestamp is in microseconds. You can also disable this \
                 check by setting the restrict_future_timestamp configuration option to false.",
            ));
        }
        Ok(())
    }

    fn ttl(&self, plan: &ModifyPlan, bindings: Bindings<'_>) -> Result<Option<i32>> {
        let default = plan.table.options.default_time_to_live;
        let ttl = match &plan.ttl {
            None => default,
            Some(expression) => match bindings.value(expression)? {
                Value::Unset => default,
                Value::Null => return Err(CqlError::invalid("Invalid null value of TTL")),
                Value::Bytes(bytes) => bytes
                    .as_ref()
                    .try_into()
                    .map(i32::from_be_bytes)
                    .map_err(|_| CqlError::invalid("Invalid TTL value"))?,
            },
        };
        if ttl < 0 {
            return Err(CqlError::invalid("A TTL must be greater or equal to 0"));
        }
        if i64::from(ttl) > MAX_TTL {
            return Err(CqlError::invalid(format!(
                "ttl is too large. requested ({ttl}) maximum ({MAX_TTL})"
            )));
        }
        Ok((ttl > 0 && !plan.is_counter).then_some(ttl))
    }

    /// Adds what a statement writes, at `timestamp`, to the set.
    pub fn build(
        &self,
        plan: &ModifyPlan,
        bindings: Bindings<'_>,
        timestamp: Timestamp,
        set: &mut WriteSet,
    ) -> Result<()> {
        let plan = with_document(plan, bindings)?;
        let plan = plan.as_ref();
        let keys = partition_keys(&plan.partition, &plan.partition_columns, bindings)?;
        let time = WriteTime {
            timestamp,
            now: self.clock.now_seconds(),
            ttl: match plan.kind {
                ModifyKind::Delete => None,
                _ => self.ttl(plan, bindings)?,
            },
        };
        let rows = match &plan.rows {
            Rows::Keys(restriction) => full_keys(restriction, &plan.clustering_types, bindings)?,
            _ => Vec::new(),
        };
        // A row that is unset: nothing is written, not even its static columns.
        if matches!(plan.rows, Rows::Keys(_)) && rows.is_empty() {
            return Ok(());
        }
        for key in &keys {
            let statics = self.columns(plan, bindings, time, key, None)?;
            let write = set.partition(&plan.table, plan.log.as_ref(), key);
            if !statics.is_empty() {
                write.static_row(RowMutation { columns: statics, ..RowMutation::default() });
            }
            match &plan.rows {
                Rows::Static => {}
                Rows::Partition => write.delete_partition(time.tombstone()),
                Rows::Ranges(restriction) => {
                    let ranges = clustering_ranges(restriction, &plan.clustering_types, bindings)?;
                    for range in ranges {
                        write.delete_range(range, time.tombstone());
                    }
                }
                Rows::Keys(_) => {
                    for row in &rows {
                        let columns = self.columns(plan, bindings, time, key, Some(row))?;
                        let mutation = RowMutation {
                            marker: (plan.kind == ModifyKind::Insert).then(|| RowMarker {
                                timestamp,
                                expiry: time.ttl.map(|ttl| (ttl, time.now + i64::from(ttl))),
                            }),
                            tombstone: (plan.kind == ModifyKind::Delete
                                && plan.operations.is_empty())
                            .then(|| time.tombstone()),
                            columns,
                        };
                        let only_static = plan.kind != ModifyKind::Insert
                            && !plan.operations.is_empty()
                            && plan.operations.iter().all(|o| o.target().is_static);
                        // Of nothing but unset values there is no row at all.
                        if !only_static && !mutation.is_empty() {
                            write.row(row.clone(), mutation);
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// The columns that the operations write: those of a row, or the static ones.
    fn columns(
        &self,
        plan: &ModifyPlan,
        bindings: Bindings<'_>,
        time: WriteTime,
        key: &PartitionKey,
        row: Option<&ClusteringKey>,
    ) -> Result<Vec<(ColumnId, ColumnValue)>> {
        let mut columns: Vec<(ColumnId, ColumnValue)> = Vec::with_capacity(plan.operations.len());
        for operation in &plan.operations {
            let target = operation.target();
            if target.is_static == row.is_some() {
                continue;
            }
            let stored = if operation.needs_read() {
                Some(self.stored_list(plan, target, key, row)?)
            } else {
                None
            };
            let value = self.column(operation, bindings, time, stored.as_deref())?;
            let Some(value) = value else {
                continue;
            };
            match columns.iter_mut().find(|(id, _)| *id == target.id) {
                Some((_, existing)) => {
                    existing.merge(value, crate::store::element_key_type(&target.cql_type));
                }
                None => columns.push((target.id, value)),
            }
        }
        columns.sort_by_key(|(id, _)| *id);
        Ok(columns)
    }

    fn stored_list(
        &self,
        plan: &ModifyPlan,
        target: &Target,
        key: &PartitionKey,
        row: Option<&ClusteringKey>,
    ) -> Result<Vec<(Bytes, LiveCell)>> {
        let now = self.clock.now_seconds();
        let mut spec = match row {
            Some(row) => ReadSpec::row(row.clone(), now),
            None => ReadSpec { ranges: Vec::new(), ..ReadSpec::all(now) },
        };
        spec.columns = ColumnSelection::Some(vec![target.id]);
        let view = self.db.read_partition(plan.table.id, key, &spec)?;
        let live = view.as_ref().and_then(|view| match row {
            Some(_) => view.rows.first().and_then(|row| row.column(target.id)),
            None => view.static_column(target.id),
        });
        Ok(match live {
            Some(LiveValue::Collection(cells)) => cells.clone(),
            _ => Vec::new(),
        })
    }

    /// What an operation makes of its column; `None` when its value is unset.
    fn column(
        &self,
        operation: &Operation,
        bindings: Bindings<'_>,
        time: WriteTime,
        stored: Option<&[(Bytes, LiveCell)]>,
    ) -> Result<Option<ColumnValue>> {
        let given = |expression| -> Result<Option<Option<Bytes>>> {
            Ok(match bindings.value(expression)? {
                Value::Bytes(bytes) => Some(Some(bytes)),
                Value::Null => Some(None),
                Value::Unset => None,
            })
        };
        let cells = |cells: Vec<(Bytes, Cell)>| {
            Ok(Some(ColumnValue::Collection(CollectionCells { tombstone: None, cells })))
        };
        let stored = stored.unwrap_or_default();
        match operation {
            Operation::Set(target, expression) => {
                let Some(value) = given(expression)? else {
                    return Ok(None);
                };
                if !target.cql_type.is_multi_cell() {
                    return Ok(Some(ColumnValue::Atomic(time.cell(value))));
                }
                let elements = match value {
                    Some(value) => self.elements(&target.cql_type, &value, time, bindings.lists)?,
                    None => Vec::new(),
                };
                Ok(Some(ColumnValue::Collection(CollectionCells {
                    tombstone: Some(time.tombstone_just_before()),
                    cells: elements,
                })))
            }
            Operation::Add(target, expression) => match given(expression)? {
                Some(Some(value)) => {
                    cells(self.elements(&target.cql_type, &value, time, bindings.lists)?)
                }
                _ => Ok(None),
            },
            Operation::Prepend(_, expression) => match given(expression)? {
                Some(Some(value)) => {
                    let elements = collection::decode_sequence(&value)?;
                    let keys =
                        self.uuids.prepend_keys(time.timestamp, bindings.lists, elements.len())?;
                    let live = elements.into_iter().map(|e| time.live(e));
                    cells(keys.into_iter().zip(live).collect())
                }
                _ => Ok(None),
            },
            Operation::Subtract(target, expression) => {
                let Some(Some(value)) = given(expression)? else {
                    return Ok(None);
                };
                let removed = collection::decode_sequence(&value)?;
                match &target.cql_type {
                    CqlType::List { element, .. } => cells(
                        stored
                            .iter()
                            .filter(|(_, cell)| {
                                removed.iter().any(|r| compare(element, r, &cell.value).is_eq())
                            })
                            .map(|(key, _)| (key.clone(), time.dead()))
                            .collect(),
                    ),
                    ty => {
                        let key_type = crate::store::element_key_type(ty);
                        let mut dead: Vec<(Bytes, Cell)> =
                            removed.into_iter().map(|r| (r, time.dead())).collect();
                        dead.sort_by(|a, b| compare(key_type, &a.0, &b.0));
                        dead.dedup_by(|a, b| a.0 == b.0);
                        cells(dead)
                    }
                }
            }
            Operation::SetElement(target, key, expression) => {
                let Some(value) = given(expression)? else {
                    return Ok(None);
                };
                let key = match bindings.known(key, "collection element key")? {
                    Some(key) => key,
                    None if matches!(target.cql_type, CqlType::List { .. }) => {
                        return Err(CqlError::invalid("Invalid null value for list index"));
                    }
                    None => return Err(CqlError::invalid("Invalid null map key")),
                };
                let cell_key = match &target.cql_type {
                    CqlType::List { .. } => list_cell(stored, &key, "set")?,
                    _ => key,
                };
                cells(vec![(cell_key, time.cell(value))])
            }
            Operation::SetListCell(_, key, expression) => {
                let Some(value) = given(expression)? else {
                    return Ok(None);
                };
                let key = bindings
                    .known(key, "list element key")?
                    .ok_or_else(|| CqlError::invalid("Invalid null value for list index"))?;
                cells(vec![(key, time.cell(value))])
            }
            Operation::SetField(_, index, expression) => {
                let Some(value) = given(expression)? else {
                    return Ok(None);
                };
                cells(vec![(field_key(*index), time.cell(value))])
            }
            Operation::Delete(target) if target.cql_type.is_multi_cell() => {
                Ok(Some(ColumnValue::Collection(CollectionCells {
                    tombstone: Some(time.tombstone()),
                    cells: Vec::new(),
                })))
            }
            Operation::Delete(_) => Ok(Some(ColumnValue::Atomic(time.dead()))),
            Operation::DeleteElement(target, key) => {
                let key = bindings.known(key, "collection element key")?.ok_or_else(|| {
                    CqlError::invalid("Invalid null value for a collection element key")
                })?;
                let cell_key = match &target.cql_type {
                    CqlType::List { .. } => list_cell(stored, &key, "delete")?,
                    _ => key,
                };
                cells(vec![(cell_key, time.dead())])
            }
            Operation::DeleteField(_, index) => cells(vec![(field_key(*index), time.dead())]),
            Operation::Count(..) => {
                Err(CqlError::server("a counter outside of the counters' path"))
            }
        }
    }

    /// The cells of a collection's elements, sorted by their keys.
    fn elements(
        &self,
        ty: &CqlType,
        value: &Bytes,
        time: WriteTime,
        lists: &ListSequence,
    ) -> Result<Vec<(Bytes, Cell)>> {
        let mut cells: Vec<(Bytes, Cell)> = match ty {
            CqlType::List { .. } => {
                let elements = collection::decode_sequence(value)?;
                let keys = self.uuids.append_keys(time.timestamp, lists, elements.len())?;
                let live = elements.into_iter().map(|e| time.live(e));
                return Ok(keys.into_iter().zip(live).collect());
            }
            CqlType::Set { .. } => collection::decode_sequence(value)?
                .into_iter()
                .map(|element| (element, time.live(Bytes::new())))
                .collect(),
            CqlType::Map { .. } => collection::decode_map(value)?
                .into_iter()
                .map(|(key, value)| (key, time.live(value)))
                .collect(),
            CqlType::Udt { .. } => collection::decode_tuple(value)?
                .into_iter()
                .enumerate()
                .filter_map(|(index, field)| Some((field_key(index), time.live(field?))))
                .collect(),
            other => return Err(CqlError::server(format!("{other} has no elements"))),
        };
        let key_type = crate::store::element_key_type(ty);
        cells.sort_by(|a, b| compare(key_type, &a.0, &b.0));
        cells.dedup_by(|a, b| a.0 == b.0);
        Ok(cells)
    }
}

fn field_key(index: usize) -> Bytes {
    Bytes::copy_from_slice(&i16::try_from(index).unwrap_or(i16::MAX).to_be_bytes())
}

fn list_cell(stored: &[(Bytes, LiveCell)], index: &Bytes, what: &str) -> Result<Bytes> {
    let index = index
        .as_ref()
        .try_into()
        .map(i32::from_be_bytes)
        .map_err(|_| CqlError::invalid("Invalid list index"))?;
    if stored.is_empty() {
        return Err(CqlError::invalid(match what {
            "set" => "Attempted to set an element on a list which is null",
            _ => "Attempted to delete an element from a list which is null",
        }));
    }
    usize::try_from(index)
        .ok()
        .and_then(|index| stored.get(index))
        .map(|(key, _)| key.clone())
        .ok_or_else(|| {
            CqlError::invalid(format!(
                "List index {index} out of bound, list has size {}",
                stored.len()
            ))
        })
}

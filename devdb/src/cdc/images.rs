//! Rows before and after a change.
//!
//! Source: ScyllaDB, cdc/log.cc, `transformer`: the rows that a mutation touches are read
//! once, before it; what comes after is worked out from the changes.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::log_table::{LogLayout, LoggedColumn};
use super::split::Change;
use crate::error::Result;
use crate::schema::{CdcOptions, PreimageMode, Table};
use crate::store::mutation::{
    CellContent, ClusteringKey, ClusteringRange, ColumnId, ColumnValue, Mutation,
};
use crate::store::read::{ColumnSelection, LiveValue, ReadSpec};
use crate::store::{ByteRange, Database, element_key_type};
use crate::types::{CqlType, collection, compare};

/// A column's content, or `None` where it is known to be null.
#[derive(Debug, Clone)]
enum Content {
    Value(Bytes),
    /// The elements of a multi-cell collection or UDT.
    Elements(Vec<(Bytes, Bytes)>),
}

type RowState = BTreeMap<ColumnId, Option<Content>>;

/// What is known of the rows that a mutation touches.
#[derive(Debug, Default)]
pub(super) struct States {
    rows: BTreeMap<ClusteringKey, RowState>,
    static_row: RowState,
    touched_static: bool,
}

/// Elements (of a collection or UDT) in the form of the log's column.
pub(super) fn logged_elements(cql_type: &CqlType, elements: &[(Bytes, Bytes)]) -> Bytes {
    match cql_type {
        CqlType::Set { .. } => {
            collection::encode_sequence(elements.iter().map(|(key, _)| &key[..]))
        }
        CqlType::Udt { definition, .. } => {
            let field = |index: usize| {
                let key = (index as u16).to_be_bytes();
                elements.iter().find(|(k, _)| k[..] == key).map(|(_, value)| &value[..])
            };
            collection::encode_tuple((0..definition.fields.len()).map(field))
        }
        _ => collection::encode_map(elements.iter().map(|(k, v)| (&k[..], &v[..]))),
    }
}

/// The columns that a record's changes touch: of the static row, and of each row.
#[derive(Debug, Default)]
pub(super) struct Affected {
    pub(super) static_columns: BTreeSet<ColumnId>,
    pub(super) rows: BTreeMap<ClusteringKey, BTreeSet<ColumnId>>,
}

impl Affected {
    pub(super) fn of(changes: &[Change], layout: &LogLayout) -> Self {
        let mut affected = Affected::default();
        for change in changes {
            match change {
                Change::Static(columns) => {
                    affected.static_columns.extend(columns.iter().map(|(id, _)| *id));
                }
                Change::Upsert { key, columns, .. } => {
                    let row = affected.rows.entry(key.clone()).or_default();
                    row.extend(columns.iter().map(|(id, _)| *id));
                }
                Change::DeleteRow(key) => {
                    let row = affected.rows.entry(key.clone()).or_default();
                    row.extend(layout.columns.iter().filter(|c| !c.is_static).map(|c| c.base));
                }
                Change::DeleteRange(_) | Change::DeletePartition => {}
            }
        }
        affected
    }
}

impl States {
    /// Reads what the mutation touches, as it is before.
    pub(super) fn read(
        base: &Table,
        options: &CdcOptions,
        layout: &LogLayout,
        mutation: &Mutation,
        db: &Database,
        now: i64,
    ) -> Result<Self> {
        let mut states = States::default();
        let has_static = !mutation.static_columns.is_empty();
        if mutation.rows.is_empty() && !has_static {
            return Ok(states);
        }
        let all = options.postimage || options.preimage == PreimageMode::Full;
        let mut wanted: Vec<ColumnId> = Vec::new();
        if has_static {
            if all {
                wanted.extend(layout.columns.iter().filter(|c| c.is_static).map(|c| c.base));
            } else {
                wanted.extend(mutation.static_columns.iter().map(|(id, _)| *id));
            }
        }
        let deletes = mutation.rows.iter().any(|(_, row)| row.tombstone.is_some());
        if let Some((_, first)) = mutation.rows.first() {
            if all || deletes {
                wanted.extend(layout.columns.iter().filter(|c| !c.is_static).map(|c| c.base));
            } else {
                // ScyllaDB takes the first row's columns to be those of all rows of a batch.
                wanted.extend(first.columns.iter().map(|(id, _)| *id));
            }
        }
        wanted.sort_unstable();
        let spec = ReadSpec {
            ranges: mutation
                .rows
                .iter()
                .map(|(key, _)| ClusteringRange::prefix(key.clone()))
                .collect(),
            columns: ColumnSelection::Some(wanted),
            ..ReadSpec::all(now)
        };
        let Some(view) = db.read_partition(base.id, &mutation.key, &spec)? else {
            return Ok(states);
        };
        let state = |columns: Vec<(ColumnId, LiveValue)>| -> RowState {
            columns
                .into_iter()
                .map(|(id, value)| {
                    let content = match value {
                        LiveValue::Atomic(cell) => Content::Value(cell.value),
                        LiveValue::Collection(cells) => Content::Elements(
                            cells.into_iter().map(|(key, cell)| (key, cell.value)).collect(),
                        ),
                    };
                    (id, Some(content))
                })
                .collect()
        };
        states.static_row = state(view.static_columns);
        for row in view.rows {
            states.rows.insert(row.key, state(row.columns));
        }
        Ok(states)
    }

    /// What an image of a row (`None`: the static row) shows: for each column its value in
    /// the log's form, or that it is null. `None`: there is no such row.
    pub(super) fn image<'a>(
        &self,
        key: Option<&ClusteringKey>,
        only: Option<&BTreeSet<ColumnId>>,
        layout: &'a LogLayout,
    ) -> Option<Vec<(&'a LoggedColumn, Option<Bytes>)>> {
        let state = match key {
            Some(key) => self.rows.get(key)?,
            None if self.static_row.is_empty() && !self.touched_static => return None,
            None => &self.static_row,
        };
        let image = layout
            .columns
            .iter()
            .filter(|column| column.is_static == key.is_none())
            .filter(|column| only.is_none_or(|only| only.contains(&column.base)))
            .map(|column| {
                let value = state.get(&column.base).and_then(Option::as_ref);
                let value = value.map(|content| match content {
                    Content::Value(value) => value.clone(),
                    Content::Elements(elements) => logged_elements(&column.cql_type, elements),
                });
                (column, value)
            })
            .collect();
        Some(image)
    }

    /// Notes what a change does.
    pub(super) fn apply(&mut self, change: &Change, layout: &LogLayout) {
        match change {
            Change::Static(columns) => {
                self.touched_static = true;
                update(&mut self.static_row, columns, layout);
            }
            Change::Upsert { key, columns, .. } => {
                update(self.rows.entry(key.clone()).or_default(), columns, layout);
            }
            Change::DeleteRow(key) => {
                self.rows.remove(key);
            }
            Change::DeleteRange(range) => {
                if let Some(range) = ByteRange::new(range) {
                    self.rows.retain(|key, _| !range.contains(&key.0));
                }
            }
            Change::DeletePartition => self.rows.clear(),
        }
    }
}

fn update(state: &mut RowState, columns: &[(ColumnId, ColumnValue)], layout: &LogLayout) {
    for (id, value) in columns {
        let content = match value {
            ColumnValue::Atomic(cell) => match &cell.content {
                CellContent::Dead { .. } => None,
                CellContent::Live { value } | CellContent::Expiring { value, .. } => {
                    Some(Content::Value(value.clone()))
                }
            },
            ColumnValue::Collection(change) => {
                let Some(column) = layout.column(*id) else { continue };
                // An overwrite forgets what was there.
                let before = match state.get(id) {
                    Some(Some(Content::Elements(elements))) if change.tombstone.is_none() => {
                        Some(elements.clone())
                    }
                    _ => None,
                };
                let dead = |content: &CellContent| matches!(content, CellContent::Dead { .. });
                let adds = change.cells.iter().any(|(_, cell)| !dead(&cell.content))
                    || matches!(column.cql_type, CqlType::Udt { .. });
                let deletes = change.cells.iter().any(|(_, cell)| dead(&cell.content));
                (adds || (deletes && before.is_some())).then(|| {
                    let key_type = element_key_type(&column.cql_type);
                    let mut elements = before.unwrap_or_default();
                    for (key, cell) in &change.cells {
                        let place = elements
                            .binary_search_by(|(k, _)| -> Ordering { compare(key_type, k, key) });
                        match (&cell.content, place) {
                            (CellContent::Dead { .. }, Ok(index)) => {
                                elements.remove(index);
                            }
                            (CellContent::Dead { .. }, Err(_)) => {}
                            (
                                CellContent::Live { value } | CellContent::Expiring { value, .. },
                                place,
                            ) => match place {
                                Ok(index) => elements[index].1 = value.clone(),
                                Err(index) => {
                                    elements.insert(index, (key.clone(), value.clone()));
                                }
                            },
                        }
                    }
                    Content::Elements(elements)
                })
            }
        };
        state.insert(*id, content);
    }
}

//! The columns of a log table, and where the changes of a base table's columns go in it.

use crate::error::{CqlError, Result};
use crate::schema::{Column, ColumnKind, Table};
use crate::store::element_key_type;
use crate::store::mutation::ColumnId;
use crate::types::CqlType;

/// What a log table's name ends with.
pub const LOG_SUFFIX: &str = "_scylla_cdc_log";

/// The name of a base table's log.
pub fn log_name(base: &str) -> String {
    format!("{base}{LOG_SUFFIX}")
}

fn frozen(cql_type: &CqlType) -> CqlType {
    match cql_type.clone() {
        CqlType::List { element, .. } => CqlType::List { element, frozen: true },
        CqlType::Set { element, .. } => CqlType::Set { element, frozen: true },
        CqlType::Map { key, value, .. } => CqlType::Map { key, value, frozen: true },
        CqlType::Udt { definition, .. } => CqlType::Udt { definition, frozen: true },
        other => other,
    }
}

fn is_key(column: &Column) -> bool {
    matches!(column.kind, ColumnKind::PartitionKey(_) | ColumnKind::Clustering(_))
}

/// The columns of a base table's log, in a table's order, and the next free column id.
/// `previous`: the log as it is (ALTER TABLE): columns that stay keep their ids.
///
/// Source: <https://opensource.docs.scylladb.com/stable/features/cdc/cdc-log-table.html>
pub fn log_columns(base: &Table, previous: Option<&Table>) -> (Vec<Column>, ColumnId) {
    let mut next_id = previous.map_or(0, |log| log.next_column_id);
    let mut columns = Vec::new();
    let mut add = |name: String, cql_type: CqlType, kind: ColumnKind| {
        let id = match previous.and_then(|log| log.column(&name)) {
            Some(column) => column.id,
            None => {
                next_id += 1;
                next_id - 1
            }
        };
        columns.push(Column { name, cql_type, kind, id, descending: false });
    };
    add("cdc$stream_id".to_owned(), CqlType::Blob, ColumnKind::PartitionKey(0));
    add("cdc$time".to_owned(), CqlType::Timeuuid, ColumnKind::Clustering(0));
    add("cdc$batch_seq_no".to_owned(), CqlType::Int, ColumnKind::Clustering(1));
    add("cdc$operation".to_owned(), CqlType::Tinyint, ColumnKind::Regular);
    add("cdc$ttl".to_owned(), CqlType::Bigint, ColumnKind::Regular);
    add("cdc$end_of_batch".to_owned(), CqlType::Boolean, ColumnKind::Regular);
    for column in &base.columns {
        // The position of a list's element is its key, a timeuuid.
        let logged = match &column.cql_type {
            CqlType::List { element, frozen: false } => {
                CqlType::Map { key: CqlType::Timeuuid.into(), value: element.clone(), frozen: true }
            }
            other => frozen(other),
        };
        add(column.name.clone(), logged, ColumnKind::Regular);
        if is_key(column) {
            continue;
        }
        add(format!("cdc$deleted_{}", column.name), CqlType::Boolean, ColumnKind::Regular);
        if column.cql_type.is_multi_cell() {
            let element = element_key_type(&column.cql_type).clone().into();
            add(
                format!("cdc$deleted_elements_{}", column.name),
                CqlType::Set { element, frozen: true },
                ColumnKind::Regular,
            );
        }
    }
    let rank = |kind: ColumnKind| match kind {
        ColumnKind::PartitionKey(n) => (0, n),
        ColumnKind::Clustering(n) => (1, n),
        ColumnKind::Static => (2, 0),
        ColumnKind::Regular => (3, 0),
    };
    columns.sort_by(|a, b| rank(a.kind).cmp(&rank(b.kind)).then_with(|| a.name.cmp(&b.name)));
    (columns, next_id)
}

/// Where a base column's changes go.
#[derive(Debug, Clone)]
pub(super) struct LoggedColumn {
    pub(super) base: ColumnId,
    pub(super) cql_type: CqlType,
    pub(super) is_static: bool,
    pub(super) value: ColumnId,
    pub(super) deleted: ColumnId,
    /// Of multi-cell columns.
    pub(super) deleted_elements: Option<ColumnId>,
}

/// Ids of a log's columns, looked up by name once.
#[derive(Debug)]
pub(super) struct LogLayout {
    pub(super) operation: ColumnId,
    pub(super) ttl: ColumnId,
    pub(super) end_of_batch: ColumnId,
    /// The log's columns for the base's partition key, in key order.
    pub(super) partition_key: Vec<ColumnId>,
    /// The log's columns for the base's clustering key, in key order.
    pub(super) clustering: Vec<ColumnId>,
    /// Types and directions of the base's clustering columns.
    pub(super) clustering_types: Vec<(CqlType, bool)>,
    /// Static and regular columns of the base.
    pub(super) columns: Vec<LoggedColumn>,
}

impl LogLayout {
    pub(super) fn new(base: &Table, log: &Table) -> Result<Self> {
        let id = |name: &str| {
            log.column(name).map(|column| column.id).ok_or_else(|| {
                CqlError::invalid(format!(
                    "CDC log schema for {}.{} does not have base column {name}",
                    log.keyspace, log.name
                ))
            })
        };
        let names = |columns: Vec<&Column>| -> Result<Vec<ColumnId>> {
            columns.into_iter().map(|column| id(&column.name)).collect()
        };
        let columns: Result<Vec<LoggedColumn>> = base
            .columns
            .iter()
            .filter(|column| !is_key(column))
            .map(|column| {
                Ok(LoggedColumn {
                    base: column.id,
                    cql_type: column.cql_type.clone(),
                    is_static: column.kind == ColumnKind::Static,
                    value: id(&column.name)?,
                    deleted: id(&format!("cdc$deleted_{}", column.name))?,
                    deleted_elements: column
                        .cql_type
                        .is_multi_cell()
                        .then(|| id(&format!("cdc$deleted_elements_{}", column.name)))
                        .transpose()?,
                })
            })
            .collect();
        Ok(Self {
            operation: id("cdc$operation")?,
            ttl: id("cdc$ttl")?,
            end_of_batch: id("cdc$end_of_batch")?,
            partition_key: names(base.partition_key().collect())?,
            clustering: names(base.clustering().collect())?,
            clustering_types: base
                .clustering()
                .map(|column| (column.cql_type.clone(), column.descending))
                .collect(),
            columns: columns?,
        })
    }

    pub(super) fn column(&self, base: ColumnId) -> Option<&LoggedColumn> {
        self.columns.iter().find(|column| column.base == base)
    }
}

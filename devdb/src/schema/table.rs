//! CREATE and DROP TABLE.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::catalog::log_table_name;
use super::ddl::{DdlContext, SchemaEdit, check_modifiable, check_name};
use super::log_table::log_table;
use super::model::{Catalog, Column, ColumnKind, Keyspace, Partitioner, Table, TableOptions};
use super::options::apply_table_options;
use super::resolve::resolve_type;
use crate::error::{CqlError, ErrorKind, Result};
use crate::parse::ast::{CreateTable, TableName};
use crate::types::CqlType;

pub(super) fn create(context: DdlContext<'_>, create: &CreateTable) -> Result<Option<SchemaEdit>> {
    let name = &create.table.name;
    let keyspace_name = Catalog::keyspace_name(&create.table, context.current)?;
    check_modifiable(context, keyspace_name)?;
    check_name("table", name)?;
    let keyspace =
        context.catalog.keyspaces.get(keyspace_name).ok_or_else(|| {
            CqlError::config(format!("Keyspace '{keyspace_name}' does not exist"))
        })?;
    let table = define(keyspace, create)?;
    if keyspace.tables.contains_key(name) {
        if create.if_not_exists {
            return Ok(None);
        }
        return Err(CqlError {
            kind: ErrorKind::AlreadyExists {
                keyspace: keyspace_name.to_owned(),
                table: name.clone(),
            },
            message: format!(
                "Cannot add already existing table \"{name}\" to keyspace \"{keyspace_name}\""
            ),
        });
    }
    let mut edit = SchemaEdit::new(context.catalog, "CREATED", "TABLE", keyspace_name, name);
    if table.cdc.as_ref().is_some_and(|cdc| cdc.enabled) {
        check_loggable(context.catalog, &table)?;
        edit.put_new(log_table(&table, None))?;
    }
    edit.put_new(table)?;
    Ok(Some(edit))
}

/// Why a table cannot have a CDC log.
pub(super) fn check_loggable(catalog: &Catalog, table: &Table) -> Result<()> {
    if table.columns.iter().any(|c| c.cql_type == CqlType::Counter) {
        return Err(CqlError::invalid(format!(
            "Cannot create CDC log for table {}.{}. Counter support not implemented",
            table.keyspace, table.name
        )));
    }
    if let Some(column) = table.columns.iter().find(|c| c.name.starts_with("cdc$")) {
        return Err(CqlError::invalid(format!(
            "Cannot create CDC log for table {}.{}: it has a column named {}",
            table.keyspace, table.name, column.name
        )));
    }
    let log = log_table_name(&table.name);
    let taken = catalog
        .keyspaces
        .get(&table.keyspace)
        .and_then(|keyspace| keyspace.tables.get(&log))
        .is_some_and(|other| other.cdc_log_of != Some(table.id));
    if taken {
        return Err(CqlError::invalid(format!(
            "Cannot create CDC log table for table {}.{} because a table of name {}.{log} already exists",
            table.keyspace, table.name, table.keyspace
        )));
    }
    Ok(())
}

fn define(keyspace: &Keyspace, create: &CreateTable) -> Result<Table> {
    if create.compact_storage {
        return Err(CqlError::unsupported("COMPACT STORAGE"));
    }
    let mut types: BTreeMap<&str, (CqlType, bool)> = BTreeMap::new();
    for column in &create.columns {
        let ty = resolve_type(&column.type_name, keyspace)?;
        if types.insert(&column.name, (ty, column.is_static)).is_some() {
            return Err(CqlError::invalid(format!(
                "Multiple definition of identifier {}",
                column.name
            )));
        }
    }
    let mut primary_keys = create.primary_keys.clone();
    for column in create.columns.iter().filter(|c| c.primary_key) {
        primary_keys.push((vec![column.name.clone()], Vec::new()));
    }
    let (partition, clustering) = match primary_keys.as_slice() {
        [] => {
            return Err(CqlError::invalid("No PRIMARY KEY specified (exactly one required)"));
        }
        [one] => one,
        _ => {
            return Err(CqlError::invalid(
                "Multiple PRIMARY KEYs specified (exactly one required)",
            ));
        }
    };
    let mut table = Table {
        id: Uuid::new_v4(),
        keyspace: keyspace.name.clone(),
        name: create.table.name.clone(),
        columns: Vec::with_capacity(create.columns.len()),
        next_column_id: 0,
        dropped: BTreeMap::new(),
        partitioner: Partitioner::Murmur3,
        options: TableOptions::default(),
        cdc: None,
        cdc_log_of: None,
    };
    let partition = partition.iter().enumerate().map(|(i, c)| (c, ColumnKind::PartitionKey(i)));
    let clustering_kinds =
        clustering.iter().enumerate().map(|(i, c)| (c, ColumnKind::Clustering(i)));
    for (name, kind) in partition.chain(clustering_kinds) {
        if table.columns.iter().any(|c| c.name == *name) {
            return Err(CqlError::invalid(format!("Multiple definition of identifier {name}")));
        }
        let (cql_type, is_static) = types.remove(name.as_str()).ok_or_else(|| {
            CqlError::invalid(format!("Unknown definition {name} referenced in PRIMARY KEY"))
        })?;
        check_key_type(name, &cql_type, is_static)?;
        push(&mut table, name, cql_type, kind);
    }
    let has_clustering = !clustering.is_empty();
    for (name, (cql_type, is_static)) in types {
        if is_static && !has_clustering {
            return Err(CqlError::invalid(
                "Static columns are only useful (and thus allowed) if the table has at least one clustering column",
            ));
        }
        let kind = if is_static { ColumnKind::Static } else { ColumnKind::Regular };
        push(&mut table, name, cql_type, kind);
    }
    clustering_order(&mut table, clustering, &create.clustering_order)?;
    check_counters(&table)?;
    apply_table_options(&create.options, &mut table.options, &mut table.cdc)?;
    if table.options.default_time_to_live > 0
        && table.columns.iter().any(|c| c.cql_type == CqlType::Counter)
    {
        return Err(CqlError::invalid("Cannot set default_time_to_live on a table with counters"));
    }
    sort_columns(&mut table.columns);
    Ok(table)
}

fn push(table: &mut Table, name: &str, cql_type: CqlType, kind: ColumnKind) {
    table.columns.push(Column {
        name: name.to_owned(),
        cql_type,
        kind,
        id: table.next_column_id,
        descending: false,
    });
    table.next_column_id += 1;
}

/// Puts columns in the order of `SELECT *`.
pub(super) fn sort_columns(columns: &mut [Column]) {
    let rank = |kind: ColumnKind| match kind {
        ColumnKind::PartitionKey(n) => (0, n),
        ColumnKind::Clustering(n) => (1, n),
        ColumnKind::Static => (2, 0),
        ColumnKind::Regular => (3, 0),
    };
    columns.sort_by(|a, b| rank(a.kind).cmp(&rank(b.kind)).then_with(|| a.name.cmp(&b.name)));
}

fn check_key_type(name: &str, ty: &CqlType, is_static: bool) -> Result<()> {
    if is_static {
        return Err(CqlError::invalid(format!(
            "Static column {name} cannot be part of the PRIMARY KEY"
        )));
    }
    let refused = match ty {
        CqlType::Counter => format!("counter type is not supported for PRIMARY KEY part {name}"),
        CqlType::Duration => format!("duration type is not supported for PRIMARY KEY part {name}"),
        CqlType::Udt { frozen: false, .. } => {
            format!("Invalid non-frozen user-defined type for PRIMARY KEY component {name}")
        }
        ty if ty.is_multi_cell() => {
            format!("Invalid non-frozen collection type for PRIMARY KEY component {name}")
        }
        _ => return Ok(()),
    };
    Err(CqlError::invalid(refused))
}

fn clustering_order(
    table: &mut Table,
    clustering: &[String],
    order: &[(String, bool)],
) -> Result<()> {
    if order.is_empty() {
        return Ok(());
    }
    for (name, _) in order {
        if !clustering.contains(name) {
            return Err(CqlError::invalid(
                "Only clustering key columns can be defined in CLUSTERING ORDER directive",
            ));
        }
    }
    for (index, name) in clustering.iter().enumerate() {
        match order.get(index) {
            Some((ordered, _)) if ordered == name => {}
            _ if !order.iter().any(|(ordered, _)| ordered == name) => {
                return Err(CqlError::invalid(format!(
                    "Missing CLUSTERING ORDER for column {name}"
                )));
            }
            _ => {
                return Err(CqlError::invalid(format!(
                    "The order of columns in the CLUSTERING ORDER directive must be the one of the clustering key ({name} must appear at position {index})"
                )));
            }
        }
    }
    for (name, descending) in order {
        if let Some(column) = table.columns.iter_mut().find(|c| c.name == *name) {
            column.descending = *descending;
        }
    }
    Ok(())
}

/// A table counts or it does not.
pub(super) fn check_counters(table: &Table) -> Result<()> {
    let mut values = table
        .columns
        .iter()
        .filter(|c| matches!(c.kind, ColumnKind::Static | ColumnKind::Regular))
        .map(|c| c.cql_type == CqlType::Counter);
    let Some(first) = values.next() else {
        return Ok(());
    };
    if values.any(|counter| counter != first) {
        return Err(CqlError::invalid(
            "Cannot mix counter and non counter columns in the same table",
        ));
    }
    Ok(())
}

pub(super) fn drop(
    context: DdlContext<'_>,
    name: &TableName,
    if_exists: bool,
) -> Result<Option<SchemaEdit>> {
    let keyspace_name = Catalog::keyspace_name(name, context.current)?;
    check_modifiable(context, keyspace_name)?;
    let table = match context.catalog.table(name, context.current) {
        Ok(table) => table.clone(),
        Err(_) if if_exists => return Ok(None),
        Err(error) => return Err(error),
    };
    if let Some(base) = table.cdc_log_of {
        let still_logs = context
            .catalog
            .keyspace(keyspace_name)?
            .tables
            .values()
            .any(|t| t.id == base && t.cdc.as_ref().is_some_and(|cdc| cdc.enabled));
        if still_logs {
            return Err(CqlError::unauthorized(format!(
                "Cannot DROP cdc log table <table {keyspace_name}.{}>",
                table.name
            )));
        }
    }
    let mut edit = SchemaEdit::new(context.catalog, "DROPPED", "TABLE", keyspace_name, &table.name);
    let log = context.catalog.log_table_of(&table);
    let keyspace = edit.keyspace_mut(keyspace_name)?;
    keyspace.tables.remove(&table.name);
    if let Some(log) = log {
        keyspace.tables.remove(&log.name);
        edit.dropped.push(log);
    }
    edit.dropped.push(table);
    Ok(Some(edit))
}

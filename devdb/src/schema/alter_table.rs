//! ALTER TABLE.

use super::ddl::{DdlContext, SchemaEdit, check_modifiable};
use super::log_table::log_table;
use super::model::{Catalog, Column, ColumnKind, DroppedColumn, Table};
use super::options::apply_table_options;
use super::resolve::resolve_type;
use super::table::{check_counters, check_loggable, sort_columns};
use crate::error::{CqlError, Result};
use crate::parse::ast::{ColumnDefinition, Literal, TableChange, TableName, Term};
use crate::store::mutation::{ColumnId, Timestamp};
use crate::types::CqlType;

pub(super) fn alter(
    context: DdlContext<'_>,
    name: &TableName,
    change: &TableChange,
) -> Result<Option<SchemaEdit>> {
    let keyspace_name = Catalog::keyspace_name(name, context.current)?;
    check_modifiable(context, keyspace_name)?;
    let old = context.catalog.table(name, context.current)?;
    if old.cdc_log_of.is_some() && !matches!(change, TableChange::Options(_)) {
        return Err(CqlError::invalid(
            "You cannot modify the set of columns of a CDC log table directly. \
             Modify the base table instead.",
        ));
    }
    let mut table = (**old).clone();
    match change {
        TableChange::Add(columns) => add(context, &mut table, columns)?,
        TableChange::Drop { columns, timestamp } => {
            let timestamp = match timestamp {
                Some(term) => constant(term)?,
                None => context.now,
            };
            for column in columns {
                drop_column(&mut table, column, timestamp)?;
            }
        }
        TableChange::Rename(renames) => {
            for (from, to) in renames {
                rename(&mut table, from, to)?;
            }
        }
        TableChange::AlterType { column, type_name } => {
            let keyspace = context.catalog.keyspace(keyspace_name)?;
            let new = resolve_type(type_name, keyspace)?;
            alter_type(&mut table, column, new)?;
        }
        TableChange::Options(options) => {
            if options.is_empty() {
                return Err(CqlError::syntax(
                    "ALTER COLUMNFAMILY WITH invoked, but no parameters found",
                ));
            }
            if table.cdc_log_of.is_some() && options.iter().any(|(name, _)| name == "cdc") {
                return Err(CqlError::invalid("Cannot enable CDC on a CDC log table"));
            }
            apply_table_options(options, &mut table.options, &mut table.cdc)?;
        }
    }
    sort_columns(&mut table.columns);
    let mut edit = SchemaEdit::new(context.catalog, "UPDATED", "TABLE", keyspace_name, &table.name);
    if table.cdc.as_ref().is_some_and(|cdc| cdc.enabled) {
        check_loggable(context.catalog, &table)?;
        match context.catalog.log_table_of(old) {
            Some(log) => edit.put_altered(follow(&table, &log, change))?,
            None => edit.put_new(log_table(&table, None))?,
        }
    }
    edit.put_altered(table)?;
    Ok(Some(edit))
}

/// The log after a change of its base: what was renamed or dropped there is so in it.
fn follow(base: &Table, log: &Table, change: &TableChange) -> Table {
    let mut log = log.clone();
    if let TableChange::Drop { columns, .. } = change {
        for name in columns {
            let Some(timestamp) = base.dropped.get(name).map(|dropped| dropped.timestamp) else {
                continue;
            };
            let prefixes = ["", "cdc$deleted_", "cdc$deleted_elements_"];
            for of_log in prefixes.map(|prefix| format!("{prefix}{name}")) {
                if let Some(column) = log.column(&of_log) {
                    let dropped = dropped(column, timestamp);
                    log.dropped.insert(of_log, dropped);
                }
            }
        }
    }
    if let TableChange::Rename(renames) = change {
        for (from, to) in renames {
            for column in log.columns.iter_mut().filter(|c| c.name == *from) {
                column.name.clone_from(to);
            }
        }
    }
    log_table(base, Some(&log))
}

fn add(context: DdlContext<'_>, table: &mut Table, columns: &[ColumnDefinition]) -> Result<()> {
    let keyspace = context.catalog.keyspace(&table.keyspace)?;
    for column in columns {
        if column.primary_key {
            return Err(CqlError::invalid("Cannot add a PRIMARY KEY column"));
        }
        let cql_type = resolve_type(&column.type_name, keyspace)?;
        if table.column(&column.name).is_some() {
            return Err(CqlError::invalid(format!(
                "Invalid column name {} because it conflicts with an existing column",
                column.name
            )));
        }
        let kind = if column.is_static {
            if table.clustering().next().is_none() {
                return Err(CqlError::invalid(
                    "Static columns are only useful (and thus allowed) if the table has at least one clustering column",
                ));
            }
            ColumnKind::Static
        } else {
            ColumnKind::Regular
        };
        let id = match returning(table, &column.name, &cql_type, kind)? {
            Some(id) => id,
            None => {
                table.next_column_id += 1;
                table.next_column_id - 1
            }
        };
        let name = column.name.clone();
        table.columns.push(Column { name, cql_type, kind, id, descending: false });
    }
    check_counters(table)
}

/// Of a column that comes back: its cells' name, if those that were written after it had
/// been dropped can be read by its new definition; else those stay hidden.
///
/// Source: ScyllaDB, cql3/statements/alter_table_statement.cc, `add_column`.
fn returning(
    table: &Table,
    name: &str,
    cql_type: &CqlType,
    kind: ColumnKind,
) -> Result<Option<ColumnId>> {
    let Some(dropped) = table.dropped.get(name) else {
        return Ok(None);
    };
    // Counters are sums: a new one would begin with what replicas remember of the old.
    if dropped.cql_type == CqlType::Counter {
        return Err(CqlError::invalid(format!(
            "Cannot re-add previously dropped counter column {name}"
        )));
    }
    let is_collection =
        |cql_type: &CqlType| cql_type.is_multi_cell() && !matches!(cql_type, CqlType::Udt { .. });
    let same = dropped.cql_type == *cql_type;
    if is_collection(cql_type) && is_collection(&dropped.cql_type) && !same {
        return Err(CqlError::invalid(format!(
            "Cannot add a collection with the name {name} because a collection with the same name \
             and a different type has already been used in the past"
        )));
    }
    Ok((same && dropped.kind == kind).then_some(dropped.id))
}

fn constant(term: &Term) -> Result<Timestamp> {
    match term {
        Term::Literal(Literal::Integer(text)) => {
            text.parse().map_err(|_| CqlError::invalid(format!("Invalid timestamp {text}")))
        }
        _ => Err(CqlError::unsupported("a marker in ALTER TABLE … DROP … USING TIMESTAMP")),
    }
}

fn dropped(column: &Column, timestamp: Timestamp) -> DroppedColumn {
    DroppedColumn { cql_type: column.cql_type.clone(), kind: column.kind, id: column.id, timestamp }
}

fn drop_column(table: &mut Table, name: &str, timestamp: Timestamp) -> Result<()> {
    let column = table.column(name).ok_or_else(|| {
        CqlError::invalid(format!("Column {name} was not found in table {}", table.name))
    })?;
    if matches!(column.kind, ColumnKind::PartitionKey(_) | ColumnKind::Clustering(_)) {
        return Err(CqlError::invalid(format!("Cannot drop PRIMARY KEY part {name}")));
    }
    let dropped = dropped(column, timestamp);
    table.dropped.insert(name.to_owned(), dropped);
    table.columns.retain(|c| c.name != name);
    Ok(())
}

fn rename(table: &mut Table, from: &str, to: &str) -> Result<()> {
    let kind = table.column(from).map(|c| c.kind).ok_or_else(|| {
        CqlError::invalid(format!("Cannot rename unknown column {from} in table {}", table.name))
    })?;
    if table.column(to).is_some() {
        return Err(CqlError::invalid(format!(
            "Cannot rename column {from} to {to} in table {}; another column of that name already exist",
            table.name
        )));
    }
    if !matches!(kind, ColumnKind::PartitionKey(_) | ColumnKind::Clustering(_)) {
        return Err(CqlError::invalid(format!("Cannot rename non PRIMARY KEY part {from}")));
    }
    if let Some(column) = table.columns.iter_mut().find(|c| c.name == from) {
        to.clone_into(&mut column.name);
    }
    Ok(())
}

fn alter_type(table: &mut Table, name: &str, new: CqlType) -> Result<()> {
    let table_name = table.name.clone();
    let column = table.columns.iter_mut().find(|c| c.name == name).ok_or_else(|| {
        CqlError::invalid(format!("Column {name} was not found in table {table_name}"))
    })?;
    let is_key = matches!(column.kind, ColumnKind::PartitionKey(_) | ColumnKind::Clustering(_));
    // Only changes under which every stored value stays what it is, and keys keep
    // their order.
    let compatible = column.cql_type == new
        || matches!((&column.cql_type, &new), (CqlType::Ascii, CqlType::Text))
        || (!is_key && new == CqlType::Blob && !column.cql_type.is_multi_cell())
        || matches!((&column.cql_type, &new), (CqlType::Timeuuid, CqlType::Uuid) if !is_key);
    if !compatible {
        return Err(CqlError::config(format!(
            "Cannot change {name} from type {} to type {new}: types are incompatible.",
            column.cql_type
        )));
    }
    column.cql_type = new;
    Ok(())
}

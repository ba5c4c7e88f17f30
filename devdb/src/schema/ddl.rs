//! DDL as a function: a catalog and a statement give another catalog and what changed.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::catalog::is_system_keyspace;
use super::model::{Catalog, Keyspace, Table};
use super::{alter_table, keyspace, table, user_type};
use crate::error::{CqlError, Result};
use crate::parse::ast::Statement;
use crate::request::SchemaChange;
use crate::store::mutation::Timestamp;

/// What a DDL statement is judged by.
#[derive(Debug, Clone, Copy)]
pub struct DdlContext<'a> {
    /// The catalog before.
    pub catalog: &'a Catalog,
    /// The connection's keyspace.
    pub current: Option<&'a str>,
    /// Whether `tablets = {…}` is an option of keyspaces.
    pub knows_tablets: bool,
    /// The node's time, microseconds since 1970.
    pub now: Timestamp,
    /// The node itself is at work, which may touch the system's keyspaces.
    pub internal: bool,
}

/// What a DDL statement does.
#[derive(Debug, Clone)]
pub struct SchemaEdit {
    /// The catalog after.
    pub catalog: Catalog,
    /// New tables.
    pub created: Vec<Arc<Table>>,
    /// Tables with other columns or options.
    pub altered: Vec<Arc<Table>>,
    /// Tables that are gone.
    pub dropped: Vec<Arc<Table>>,
    /// Keyspaces whose rows in `system_schema` must be written again.
    pub touched: BTreeSet<String>,
    /// What clients are told.
    pub event: SchemaChange,
}

impl SchemaEdit {
    pub(super) fn new(
        catalog: &Catalog,
        change: &'static str,
        target: &'static str,
        keyspace: &str,
        name: &str,
    ) -> Self {
        SchemaEdit {
            catalog: catalog.clone(),
            created: Vec::new(),
            altered: Vec::new(),
            dropped: Vec::new(),
            touched: BTreeSet::from([keyspace.to_owned()]),
            event: SchemaChange {
                change,
                target,
                keyspace: keyspace.to_owned(),
                name: name.to_owned(),
            },
        }
    }

    /// The keyspace's value, to be changed.
    pub(super) fn keyspace_mut(&mut self, name: &str) -> Result<&mut Keyspace> {
        match self.catalog.keyspaces.get_mut(name) {
            Some(keyspace) => Ok(Arc::make_mut(keyspace)),
            None => Err(CqlError::invalid(format!("Keyspace {name} does not exist"))),
        }
    }

    pub(super) fn put_new(&mut self, table: Table) -> Result<()> {
        let table = Arc::new(table);
        self.keyspace_mut(&table.keyspace.clone())?
            .tables
            .insert(table.name.clone(), table.clone());
        self.created.push(table);
        Ok(())
    }

    pub(super) fn put_altered(&mut self, table: Table) -> Result<()> {
        let table = Arc::new(table);
        self.keyspace_mut(&table.keyspace.clone())?
            .tables
            .insert(table.name.clone(), table.clone());
        self.altered.push(table);
        Ok(())
    }
}

/// Judges a DDL statement; `None` when `IF [NOT] EXISTS` leaves nothing to do.
pub fn apply(context: DdlContext<'_>, statement: &Statement) -> Result<Option<SchemaEdit>> {
    match statement {
        Statement::CreateKeyspace(create) => keyspace::create(context, create),
        Statement::AlterKeyspace { name, options } => keyspace::alter(context, name, options),
        Statement::DropKeyspace { name, if_exists } => keyspace::drop(context, name, *if_exists),
        Statement::CreateTable(create) => table::create(context, create),
        Statement::AlterTable { table, change } => alter_table::alter(context, table, change),
        Statement::DropTable { table, if_exists } => table::drop(context, table, *if_exists),
        Statement::CreateType { name, if_not_exists, fields } => {
            user_type::create(context, name, *if_not_exists, fields)
        }
        Statement::AlterType { name, change } => user_type::alter(context, name, change),
        Statement::DropType { name, if_exists } => user_type::drop(context, name, *if_exists),
        _ => Err(CqlError::server("not a schema statement")),
    }
}

/// Refuses statements on the keyspaces that belong to the node.
pub(super) fn check_modifiable(context: DdlContext<'_>, keyspace: &str) -> Result<()> {
    if is_system_keyspace(keyspace) && !context.internal {
        return Err(CqlError::unauthorized(format!("{keyspace} keyspace is not user-modifiable.")));
    }
    Ok(())
}

/// Names that ScyllaDB takes: letters, digits, underscore; at most 48 of them.
pub(super) fn check_name(kind: &str, name: &str) -> Result<()> {
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        return Err(CqlError::invalid(format!("\"{name}\" is not a valid {kind} name")));
    }
    if name.len() > 48 && !name.ends_with("_scylla_cdc_log") {
        return Err(CqlError::invalid(format!(
            "{}{} names shouldn't be more than 48 characters long (got \"{name}\")",
            kind[..1].to_uppercase(),
            &kind[1..]
        )));
    }
    Ok(())
}

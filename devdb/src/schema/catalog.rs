//! Look-ups in the catalog, with ScyllaDB's words for what is not there.

use std::sync::Arc;

use parking_lot::RwLock;

use super::model::{Catalog, Keyspace, Table};
use crate::error::{CqlError, Result};
use crate::parse::ast::TableName;

/// The current catalog: readers take the value as it stands, DDL puts another in its place.
#[derive(Debug, Default)]
pub struct SharedCatalog {
    current: RwLock<Arc<Catalog>>,
}

impl SharedCatalog {
    /// The catalog as it stands.
    pub fn load(&self) -> Arc<Catalog> {
        self.current.read().clone()
    }

    /// Puts another in its place.
    pub fn store(&self, catalog: Catalog) {
        *self.current.write() = Arc::new(catalog);
    }
}

impl Catalog {
    /// The keyspace that a name belongs to: its own, or the connection's.
    pub fn keyspace_name<'a>(name: &'a TableName, current: Option<&'a str>) -> Result<&'a str> {
        name.keyspace.as_deref().or(current).ok_or_else(|| {
            CqlError::invalid(
                "No keyspace has been specified. USE a keyspace, or explicitly specify keyspace.tablename",
            )
        })
    }

    /// The keyspace of a statement that reads or writes.
    pub fn keyspace(&self, name: &str) -> Result<&Arc<Keyspace>> {
        self.keyspaces
            .get(name)
            .ok_or_else(|| CqlError::invalid(format!("Keyspace {name} does not exist")))
    }

    /// The table of a statement.
    pub fn table(&self, name: &TableName, current: Option<&str>) -> Result<&Arc<Table>> {
        let keyspace = self.keyspace(Self::keyspace_name(name, current)?)?;
        keyspace
            .tables
            .get(&name.name)
            .ok_or_else(|| CqlError::invalid(format!("unconfigured table {}", name.name)))
    }

    /// The CDC log that the writes of a table go to; `None` if CDC is off.
    pub fn log_of(&self, base: &Table) -> Option<Arc<Table>> {
        if !base.cdc.as_ref().is_some_and(|cdc| cdc.enabled) {
            return None;
        }
        self.log_table_of(base)
    }

    /// The CDC log that belongs to a table, also when CDC has been turned off since.
    pub fn log_table_of(&self, base: &Table) -> Option<Arc<Table>> {
        let keyspace = self.keyspaces.get(&base.keyspace)?;
        let log = keyspace.tables.get(&log_table_name(&base.name))?;
        (log.cdc_log_of == Some(base.id)).then(|| log.clone())
    }
}

/// What ScyllaDB calls the CDC log of a table.
pub fn log_table_name(base: &str) -> String {
    format!("{base}_scylla_cdc_log")
}

/// The keyspaces that belong to the node.
pub fn is_system_keyspace(name: &str) -> bool {
    matches!(
        name,
        "system" | "system_schema" | "system_distributed" | "system_auth" | "system_traces"
    ) || name == crate::faults::KEYSPACE
}

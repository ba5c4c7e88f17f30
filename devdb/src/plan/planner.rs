//! What planning carries along.

use std::sync::Arc;

use super::markers::Markers;
use crate::error::Result;
use crate::parse::ast::{TableName, TypeName};
use crate::request::ColumnSpec;
use crate::schema::{Catalog, Column, Table, resolve_type};
use crate::types::CqlType;

/// Resolves one statement against a catalog.
#[derive(Debug)]
pub struct Planner<'a> {
    /// The schema as it stands.
    pub catalog: &'a Catalog,
    /// The connection's keyspace.
    pub keyspace: Option<&'a str>,
    /// The statement's markers.
    pub markers: Markers,
    /// The table of the statement (or part of a batch) at hand.
    pub table: Option<Arc<Table>>,
}

impl<'a> Planner<'a> {
    /// For a statement with these markers.
    pub fn new(
        catalog: &'a Catalog,
        keyspace: Option<&'a str>,
        markers: Vec<Option<String>>,
    ) -> Self {
        Planner { catalog, keyspace, markers: Markers::new(markers), table: None }
    }

    /// Enters a table: its columns and its `token` are meant from now on.
    pub fn enter(&mut self, name: &TableName) -> Result<Arc<Table>> {
        let table = self.catalog.table(name, self.keyspace)?.clone();
        self.table = Some(table.clone());
        Ok(table)
    }

    /// A type named in the statement.
    pub fn resolve_type(&self, name: &TypeName) -> Result<CqlType> {
        let keyspace = match &self.table {
            Some(table) => self.catalog.keyspace(&table.keyspace)?,
            None => self.catalog.keyspace(self.keyspace.unwrap_or_default())?,
        };
        resolve_type(name, keyspace)
    }
}

/// A column as receiver of a value.
pub fn column_spec(table: &Table, column: &Column) -> ColumnSpec {
    named_spec(table, &column.name, column.cql_type.clone())
}

/// A receiver that is no column: `[limit]` and the like.
pub fn named_spec(table: &Table, name: &str, cql_type: CqlType) -> ColumnSpec {
    ColumnSpec {
        keyspace: table.keyspace.clone(),
        table: table.name.clone(),
        name: name.to_owned(),
        cql_type,
    }
}

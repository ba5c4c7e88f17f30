//! Bind markers: their names and types, as PREPARE tells them to the client.

use std::sync::Arc;

use crate::error::{CqlError, Result};
use crate::parse::ast::BindMarker;
use crate::request::ColumnSpec;

/// The markers of a statement, filled in as planning meets them.
#[derive(Debug)]
pub struct Markers {
    names: Vec<Option<String>>,
    specs: Vec<Option<ColumnSpec>>,
}

impl Markers {
    /// As many as the parser counted; names for `:name`.
    pub fn new(names: Vec<Option<String>>) -> Self {
        let specs = vec![None; names.len()];
        Markers { names, specs }
    }

    /// Says what a marker stands for. Its own name goes before the receiver's.
    pub fn set(&mut self, marker: &BindMarker, receiver: &ColumnSpec) -> Result<()> {
        let mut spec = receiver.clone();
        if let Some(Some(name)) = self.names.get(marker.index) {
            spec.name.clone_from(name);
        }
        let slot = self
            .specs
            .get_mut(marker.index)
            .ok_or_else(|| CqlError::server(format!("no bind marker {}", marker.index)))?;
        *slot = Some(spec);
        Ok(())
    }

    /// All of them, in order.
    pub fn finish(self) -> Result<Arc<[ColumnSpec]>> {
        self.specs
            .into_iter()
            .enumerate()
            .map(|(index, spec)| {
                spec.ok_or_else(|| {
                    CqlError::server(format!("bind marker {index} was not resolved"))
                })
            })
            .collect()
    }
}

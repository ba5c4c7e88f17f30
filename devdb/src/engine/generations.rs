//! Streams of CDC logs come, change and go.

use std::time::Duration;

use super::Engine;
use crate::cdc::{GenerationInfo, LOG_SUFFIX, MAX_TABLETS};
use crate::error::{CqlError, Result};
use crate::journal::Journal;
use crate::parse::ast::TableName;
use crate::schema::{Catalog, SchemaEdit, Table};
use crate::system;

impl Engine {
    /// Begins a generation of other CDC streams after `delay`, as ScyllaDB does when nodes
    /// join: for all tables in keyspaces on vnodes.
    pub fn new_cdc_generation(&self, delay: Duration) -> Result<GenerationInfo> {
        // Recorded before the first write that goes to it.
        let alone = self.executor.journal.as_ref().map(Journal::alone);
        let streams = self.executor.cdc.streams();
        let generation = streams.new_generation(delay);
        if let Some(alone) = alone {
            alone.streams(None, streams.generations())?;
        }
        let catalog = self.catalog.load();
        let timestamp = self.executor.clock.now_micros();
        for mutation in system::generation_mutations(&catalog, &generation, timestamp)? {
            self.executor.db.apply(&mutation)?;
        }
        Ok(generation)
    }

    /// Gives a table in a keyspace on tablets so many of them (a power of two, or the next
    /// one) and its CDC log a stream for each, after `delay`: what ScyllaDB does when a table
    /// has grown or shrunk and its tablets are split or merged.
    ///
    /// # Errors
    /// When there is no such table, or it has no log or no tablets.
    pub fn new_tablet_generation(
        &self,
        keyspace: &str,
        table: &str,
        tablets: usize,
        delay: Duration,
    ) -> Result<GenerationInfo> {
        if tablets == 0 || tablets > MAX_TABLETS {
            return Err(CqlError::invalid(format!("A table has 1 to {MAX_TABLETS} tablets")));
        }
        let _no_table_goes = self.ddl.lock();
        let catalog = self.catalog.load();
        let name = TableName { keyspace: Some(keyspace.to_owned()), name: table.to_owned() };
        let base = catalog.table(&name, None)?;
        let log = catalog
            .log_table_of(base)
            .ok_or_else(|| CqlError::invalid(format!("Table {keyspace}.{table} has no CDC log")))?;
        let alone = self.executor.journal.as_ref().map(Journal::alone);
        let (before, generation) =
            self.executor.cdc.streams().resize_table(log.id, tablets, delay).ok_or_else(|| {
                CqlError::invalid(format!("Keyspace {keyspace} is not on tablets"))
            })?;
        if let Some(alone) = alone {
            let generations = self.executor.cdc.streams().table_generations(log.id);
            alone.streams(Some(log.id), generations)?;
        }
        self.write_streams(&catalog, &log, Some(&before), &generation)?;
        Ok(generation)
    }

    /// Before new tables can be written to: streams for their logs, if they are on tablets.
    pub(super) fn open_streams(&self, edit: &SchemaEdit) -> Result<()> {
        for log in edit.created.iter().filter(|table| table.cdc_log_of.is_some()) {
            let keyspace = edit.catalog.keyspace(&log.keyspace)?;
            let Some(initial) = keyspace.tablets else { continue };
            let tablets = match initial {
                0 => self.config.vnodes,
                initial => initial as usize,
            };
            let first = self.executor.cdc.streams().open_table(log.id, tablets);
            self.write_streams(&edit.catalog, log, None, &first)?;
        }
        Ok(())
    }

    /// At the start: what is known of the streams of tables on tablets.
    pub(super) fn describe_tablets(&self, catalog: &Catalog) -> Result<()> {
        let tables = catalog.keyspaces.values().flat_map(|keyspace| keyspace.tables.values());
        for log in tables.filter(|table| table.cdc_log_of.is_some()) {
            let generations = self.executor.cdc.streams().table_generations(log.id);
            let mut before = None;
            for generation in &generations {
                self.write_streams(catalog, log, before, generation)?;
                before = Some(generation);
            }
        }
        Ok(())
    }

    /// After tables are gone: so are the streams of their logs.
    pub(super) fn close_streams(&self, edit: &SchemaEdit) -> Result<()> {
        for log in edit.dropped.iter().filter(|table| table.cdc_log_of.is_some()) {
            let on_tablets = self.executor.cdc.forget(log.id);
            if on_tablets {
                let timestamp = self.executor.clock.now_micros();
                let name = followed(log);
                for mutation in system::forget_tablet_mutations(&edit.catalog, name, timestamp)? {
                    self.executor.db.apply(&mutation)?;
                }
            }
        }
        Ok(())
    }

    fn write_streams(
        &self,
        catalog: &Catalog,
        log: &Table,
        before: Option<&GenerationInfo>,
        generation: &GenerationInfo,
    ) -> Result<()> {
        let timestamp = self.executor.clock.now_micros();
        for mutation in system::tablet_generation_mutations(
            catalog,
            followed(log),
            before,
            generation,
            timestamp,
        )? {
            self.executor.db.apply(&mutation)?;
        }
        Ok(())
    }
}

/// The table that a log follows, as readers of the log name it.
fn followed(log: &Table) -> (&str, &str) {
    (&log.keyspace, log.name.strip_suffix(LOG_SUFFIX).unwrap_or(&log.name))
}

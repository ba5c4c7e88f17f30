//! Change data capture: streams, generations and the rows of a log.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::error::Result;
use crate::schema::{Column, Table};
use crate::store::mutation::Mutation;
use crate::store::{Clock, Database};

/// What a log table's name ends with.
pub const LOG_SUFFIX: &str = "_scylla_cdc_log";

/// The log table's name.
pub fn log_name(base: &str) -> String { format!("{base}{LOG_SUFFIX}") }

/// The columns of a base table's log, as `Table::columns` wants them. `previous`: the log
/// as it is (ALTER TABLE): columns that stay keep their ids. Returns the next free id too.
pub fn log_columns(_base: &Table, _previous: Option<&Table>) -> (Vec<Column>, u32) { (Vec::new(), 0) }

/// Faults of log rows, shared by the node and its tests.
#[derive(Debug, Default)]
pub struct LogFaults {}

/// The node's generations of streams, and how changes become log rows.
#[derive(Debug)]
pub struct Cdc {}

/// A generation as `system_distributed.cdc_generation_timestamps` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GenerationInfo {
    /// When it begins, milliseconds since 1970 (the column `time`).
    pub time: i64,
    /// For each vnode: the last token (`range_end`) and its streams.
    pub streams: Vec<(i64, Vec<Bytes>)>,
}

impl Cdc {
    /// The first generation, with so many vnodes; it begins before the clock's now.
    pub fn new(_vnodes: usize, _clock: Arc<Clock>, _faults: Arc<LogFaults>) -> Self { Self {} }

    /// Log mutations for a write to a base table with CDC; refuses timestamps that belong
    /// to no generation, as ScyllaDB does. To be called before the write is applied (images
    /// are read from `db`). `now_micros`: the node's time.
    pub fn augment(
        &self, _base: &Table, _log: &Table, _mutation: &Mutation, _db: &Database, _now_micros: i64,
    ) -> Result<Vec<Mutation>> { Ok(Vec::new()) }

    /// Writes what `augment` made, with the faults of log rows that are set.
    pub fn publish(&self, _db: &Database, _log: Vec<Mutation>) -> Result<()> { Ok(()) }

    /// All generations, the oldest first.
    pub fn generations(&self) -> Vec<GenerationInfo> { Vec::new() }

    /// Adds a generation with other streams that begins after `delay`; returns it.
    pub fn new_generation(&self, _delay: Duration) -> GenerationInfo {
        GenerationInfo { time: 0, streams: Vec::new() }
    }
}

//! The import's flags.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::service::{DatabaseArguments, duration};

/// Moves events of another system in, from a file with one JSON object a line.
///
/// A line: {"aggregate_id": uuid or any key, "type": "OrderCreated", "version": 1,
/// "data": {…}, "time": "2026-03-04T05:06:07Z", "metadata": {…}}, in order for each
/// aggregate; "aggregate_type" is Order unless it says otherwise, and "sequence_number" may
/// be there. Run again after a kill or an error, it goes on where it was. Exit codes: 0 all of
/// it is stored; 1 not so, the line at fault is named; 2 the flags make no sense.
#[derive(Debug, Clone, Args)]
pub struct ImportArguments {
    /// The file; .gz: compressed
    #[arg(value_name = "FILE.ndjson[.gz]")]
    pub file: PathBuf,

    #[allow(missing_docs, reason = "a comment would become part of the help")]
    #[command(flatten)]
    pub database: DatabaseArguments,

    /// Aggregates written at once
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub parallel: u16,

    /// How long to wait for a database that does not answer
    #[arg(long, default_value = "60s", value_parser = duration)]
    pub patience: Duration,
}

//! The load tool's flags.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::service::{ReadingArguments, duration};

/// Measures how soon consumer groups handle what is appended, how fast one catches up, and
/// what idle groups cost.
///
/// The groups' handlers do nothing but note the time. Exit codes: 0 every event reached every
/// group; 1 not so, or something failed; 2 the flags make no sense.
#[derive(Debug, Clone, Args)]
pub struct LoadArguments {
    /// Appends a second, evenly spread
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub rate: u32,

    /// For so long
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub seconds: u32,

    /// Consumer groups that follow
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=4))]
    pub groups: u8,

    /// Appends at work at once; more than these wait for their turn
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub concurrency: u16,

    /// Measure idle groups for so many seconds first; 0: do not
    #[arg(long, default_value_t = 5, value_name = "SECONDS")]
    pub idle: u32,

    /// Let a new group catch up with at least so many events at the end; 0: do not
    #[arg(long, default_value_t = 50_000, value_name = "EVENTS")]
    pub catch_up: u32,

    /// A ScyllaDB that runs, instead of an embedded node
    #[arg(long, env = "MESSINA_SCYLLA", value_name = "HOST:PORT", conflicts_with = "node_process")]
    pub scylla: Option<String>,

    /// Run the embedded node in a process of its own, so that its work is counted apart
    #[arg(long)]
    pub node_process: bool,

    /// Vnodes of the embedded node
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub vnodes: u32,

    /// Keyspace; it gets new orders and new groups with each run
    #[arg(long, env = "MESSINA_KEYSPACE", default_value = "orders_load")]
    pub keyspace: String,

    #[allow(missing_docs, reason = "a comment would become part of the help")]
    #[command(flatten)]
    pub reading: ReadingArguments,

    /// How long to wait for what has not come before it counts as lost
    #[arg(long, default_value = "60s", value_parser = duration)]
    pub patience: Duration,

    /// Write the figures as JSON to this file; -: to standard output, instead of the table
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// An embedded node, until standard input ends. For the load tool's own use.
#[derive(Debug, Clone, Args)]
pub struct NodeArguments {
    /// Its vnodes
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub vnodes: u32,
}

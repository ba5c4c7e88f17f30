//! The demonstration's flags.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::data::GENERATED_BY_DEFAULT;
use crate::service::{ReadingArguments, duration};

/// Takes orders through their life and follows them: commands, read models, Kafka.
///
/// Everything runs in this process: an embedded ScyllaDB-compatible node, an embedded Kafka
/// broker, three projections and a publisher as consumer groups. With --scylla and --kafka
/// real servers take the place of the embedded ones.
///
/// Exit codes: 0 every event reached every group and the topic, in order; 1 not so, or
/// something failed; 2 the flags make no sense.
#[derive(Debug, Clone, Args)]
pub struct DemoArguments {
    /// How many orders; all of a file's, or 1000 made-up ones, unless given
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub orders: Option<u32>,

    /// A CSV file of orders, a line per item, instead of made-up orders
    #[arg(long, value_name = "FILE")]
    pub data: Option<PathBuf>,

    /// A real ScyllaDB instead of the embedded node
    #[arg(long, env = "MESSINA_SCYLLA", value_name = "HOST:PORT")]
    pub scylla: Option<String>,

    /// A real Redpanda or Kafka instead of the embedded broker
    #[arg(long, env = "MESSINA_KAFKA", value_name = "HOST:PORT")]
    pub kafka: Option<String>,

    /// Keyspace of the orders; created if it is not there
    #[arg(long, env = "MESSINA_KEYSPACE", default_value = "orders")]
    pub keyspace: String,

    /// How many orders are worked on at once
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub concurrency: u16,

    #[allow(missing_docs, reason = "a doc comment here would become the command's own help")]
    #[command(flatten)]
    pub reading: ReadingArguments,

    /// How long the groups may be without progress before they are given up: longer than
    /// the sweep is behind
    #[arg(long, default_value = "60s", value_parser = duration)]
    pub patience: Duration,

    /// Keep servers and groups running afterwards, until Ctrl-C
    #[arg(long)]
    pub keep_running: bool,
}

impl DemoArguments {
    /// How many orders to make up.
    pub fn generated(&self) -> usize {
        self.orders.map_or(GENERATED_BY_DEFAULT, |n| n as usize)
    }
}

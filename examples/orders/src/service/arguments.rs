//! Flags that several binaries have. Each can be set by environment too.

use std::time::Duration;

use clap::Args;
use messina::consumer::{GroupSettings, TailSettings};

/// Where the database is.
#[derive(Debug, Clone, Args)]
pub struct DatabaseArguments {
    /// ScyllaDB, as HOST:PORT
    #[arg(
        long,
        env = "MESSINA_SCYLLA",
        default_value = "127.0.0.1:9042",
        value_name = "HOST:PORT"
    )]
    pub scylla: String,

    /// Keyspace of the orders
    #[arg(long, env = "MESSINA_KEYSPACE", default_value = "orders")]
    pub keyspace: String,
}

/// How groups read the log.
#[derive(Debug, Clone, Args)]
pub struct ReadingArguments {
    /// How far behind now the sweep reads the log, e.g. 30s: what becomes visible later
    /// than this is missed until its aggregate's next event
    #[arg(long, env = "MESSINA_SAFETY_INTERVAL", default_value = "30s", value_parser = duration)]
    pub safety_interval: Duration,

    /// Pause between two sweeps of the log, e.g. 5s
    #[arg(long, env = "MESSINA_SWEEP_INTERVAL", default_value = "5s", value_parser = duration)]
    pub sweep_interval: Duration,

    /// From one poll of the log's end to the next, e.g. 25ms
    #[arg(long, env = "MESSINA_SLEEP_INTERVAL", default_value = "25ms", value_parser = duration)]
    pub sleep_interval: Duration,
}

impl ReadingArguments {
    /// The library's defaults with these.
    pub fn settings(&self) -> GroupSettings {
        let idle_interval = TailSettings::default().idle_interval.max(self.sleep_interval);
        GroupSettings {
            safety_interval: self.safety_interval,
            sweep_interval: self.sweep_interval,
            tail: Some(TailSettings {
                sleep_interval: self.sleep_interval,
                idle_interval,
                ..TailSettings::default()
            }),
            ..GroupSettings::default()
        }
    }
}

/// Reads `30s`, `200ms`, `1m 30s`.
///
/// # Errors
/// What is wrong with the text.
pub fn duration(text: &str) -> Result<Duration, humantime::DurationError> {
    humantime::parse_duration(text)
}

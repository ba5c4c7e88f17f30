//! Flags that several binaries have. Each can be set by environment too.

use std::time::Duration;

use clap::Args;

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
    /// How far behind now the log is read, e.g. 30s or 200ms: what becomes visible later
    /// than this is missed until its aggregate's next event
    #[arg(long, env = "MESSINA_SAFETY_INTERVAL", default_value = "30s", value_parser = duration)]
    pub safety_interval: Duration,

    /// Pause between two reads of the log, e.g. 1s or 20ms
    #[arg(long, env = "MESSINA_SLEEP_INTERVAL", default_value = "1s", value_parser = duration)]
    pub sleep_interval: Duration,
}

/// Reads `30s`, `200ms`, `1m 30s`.
///
/// # Errors
/// What is wrong with the text.
pub fn duration(text: &str) -> Result<Duration, humantime::DurationError> {
    humantime::parse_duration(text)
}

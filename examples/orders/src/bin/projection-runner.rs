//! Runs the consumer groups of the orders until it is told to stop.

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use messina::consumer::{GroupSettings, GroupStatus};
use messina::publisher::KafkaSettings;
use orders::service::{
    self, DatabaseArguments, ReadingArguments, RunningGroups, ServiceError, group_names,
};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// Runs the consumer groups of the orders: three read models and the publisher.
///
/// SIGINT or SIGTERM ends it: what has been read is handled, the progress is stored.
///
/// Exit codes: 0 stopped on request; 1 something failed, said on standard error; 2 the
/// flags make no sense.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    #[command(flatten)]
    database: DatabaseArguments,

    /// Redpanda or Kafka, as HOST:PORT,…
    #[arg(long, env = "MESSINA_KAFKA", default_value = "127.0.0.1:9092", value_name = "HOST:PORT")]
    kafka: String,

    /// Run this group only; may be given several times
    #[arg(long = "group", env = "MESSINA_GROUPS", value_delimiter = ',', value_name = "NAME")]
    groups: Vec<String>,

    #[command(flatten)]
    reading: ReadingArguments,

    /// Create the keyspace and apply missing migrations first
    #[arg(long)]
    apply_schema: bool,

    /// How long stopping may take, e.g. 30s
    #[arg(long, env = "MESSINA_DRAIN_TIMEOUT", default_value = "30s", value_parser = service::duration)]
    drain_timeout: Duration,
}

#[tokio::main]
async fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    service::exit(run(Arguments::parse()).await)
}

async fn run(arguments: Arguments) -> Result<(), ServiceError> {
    let Arguments { database, kafka, groups, reading, apply_schema, drain_timeout } = arguments;
    let session = service::connect(&database.scylla).await?;
    if apply_schema {
        let applied = service::schema(&database.keyspace).apply(&session).await?;
        tracing::info!(
            applied = applied.migrations.len(),
            already = applied.already,
            "the schema of keyspace {} is in place",
            database.keyspace
        );
    }
    let store = service::open(session, &database.keyspace).await?;
    let names = if groups.is_empty() {
        group_names().into_iter().map(str::to_owned).collect()
    } else {
        groups
    };
    let settings = GroupSettings { drain_timeout, ..reading.settings() };
    let mut running =
        service::start(&store, &names, &KafkaSettings::new(kafka), &settings, None).await?;
    tracing::info!("running {}", names.join(", "));
    let watched = watch(&mut running).await;
    tracing::info!("stopping");
    let stopped = running.stop().await;
    watched?;
    report(&stopped?);
    Ok(())
}

/// Until a signal comes or a group halts; says how the groups are doing now and then.
async fn watch(running: &mut RunningGroups) -> Result<(), ServiceError> {
    let system = |source| ServiceError::System { what: "waiting for signals", source };
    let mut interrupt = signal(SignalKind::interrupt()).map_err(system)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(system)?;
    let mut tick = tokio::time::interval(Duration::from_secs(30));
    tick.tick().await;
    loop {
        tokio::select! {
            _ = interrupt.recv() => return Ok(()),
            _ = terminate.recv() => return Ok(()),
            halted = running.halted() => return Ok(halted?),
            _ = tick.tick() => report(&running.statuses()),
        }
    }
}

fn report(statuses: &[GroupStatus]) {
    for status in statuses {
        tracing::info!(
            group = %status.name,
            state = ?status.state,
            handled = status.handled,
            in_flight = status.in_flight,
            retries = status.retries,
            lag_ms = status.lag.map(|lag| lag.as_millis() as u64),
            "group"
        );
    }
}

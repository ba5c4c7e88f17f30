//! `run`: the groups, until a signal.

use std::time::Duration;

use futures::stream::{FuturesUnordered, StreamExt};
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::connect::{connect, open};
use crate::cli::error::{CommandLineError, Outcome};
use crate::cli::service::{HandlerContext, Service};
use crate::cli::settings::Settings;
use crate::cli::time::moment;
use crate::consumer::{
    ConsumerGroup, GroupError, GroupSettings, GroupStatus, PoisonPolicy, RunningGroup, StartFrom,
    TailSettings,
};
use crate::publisher::{KafkaSettings, NewTopics, RoutingError, Transactions};

/// How often the log says how the groups are doing.
const REPORT: Duration = Duration::from_secs(60);

pub(super) async fn run(
    service: &Service,
    settings: &Settings,
) -> Result<Outcome, CommandLineError> {
    // Before anything is started: a signal must not find the process without ears.
    let system = |source| CommandLineError::System { what: "listening for signals", source };
    let mut interrupt = signal(SignalKind::interrupt()).map_err(system)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(system)?;
    let reading = group_settings(settings)?;
    let chosen = service.chosen(settings.list("groups"))?;
    let session = connect(settings).await?;
    if settings.switch("apply_schema") {
        let keyspace = settings.text("keyspace");
        let applied = service.schema(keyspace).apply(&session).await?;
        tracing::info!(
            keyspace,
            applied = applied.migrations.len(),
            already = applied.already,
            "the schema is in place"
        );
    }
    let store = open(service, settings, session).await?;
    let context = HandlerContext {
        store: store.clone(),
        kafka: kafka(settings),
        routing: settings
            .text("kafka_topic")
            .parse()
            .map_err(|error: RoutingError| CommandLineError::Usage(error.to_string()))?,
        envelope: settings.text("kafka_envelope").parse().map_err(CommandLineError::Usage)?,
    };

    let mut groups: Vec<RunningGroup> = Vec::new();
    for entry in chosen {
        let failed = |source| CommandLineError::Handler { group: entry.name.clone(), source };
        let handler = entry.handler(context.clone()).await.map_err(failed)?;
        let builder = ConsumerGroup::builder(store.clone(), &entry.name, handler);
        groups.push(builder.settings(reading.clone()).start().await?);
    }
    let names: Vec<&str> = groups.iter().map(RunningGroup::name).collect();
    tracing::info!(groups = names.join(", "), "running");

    let mut tick = tokio::time::interval(REPORT);
    tick.tick().await;
    let mut failed = None;
    loop {
        let mut ends: FuturesUnordered<_> = groups.iter_mut().map(ended).collect();
        let halted = tokio::select! {
            _ = interrupt.recv() => break,
            _ = terminate.recv() => break,
            Some((name, error)) = ends.next() => Some((name, error)),
            _ = tick.tick() => None,
        };
        drop(ends);
        match halted {
            Some((name, result)) => {
                // The others go on: a group fails alone.
                groups.retain(|group| group.name() != name);
                if let Err(error) = result {
                    tracing::error!(group = name, %error, "the group has halted");
                    failed = failed.or(Some(error));
                }
                if groups.is_empty() {
                    break;
                }
            }
            None => groups.iter().for_each(|group| report(&group.status())),
        }
    }
    tracing::info!("stopping");
    let stopping = groups.into_iter().map(RunningGroup::stop);
    for stopped in futures::future::join_all(stopping).await {
        match stopped {
            Ok(status) => report(&status),
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    failed.map_or(Ok(Outcome::Well), |error| Err(error.into()))
}

/// A group's name when it ends by itself, and why.
async fn ended(group: &mut RunningGroup) -> (String, Result<(), GroupError>) {
    let result = group.finished().await;
    (group.name().to_owned(), result)
}

fn report(status: &GroupStatus) {
    tracing::info!(
        group = %status.name,
        state = ?status.state,
        handled = status.handled,
        in_flight = status.in_flight,
        retries = status.retries,
        lag_ms = status.lag.map(|lag| u64::try_from(lag.as_millis()).unwrap_or(u64::MAX)),
        "group"
    );
}

/// The configured settings of every group.
fn group_settings(settings: &Settings) -> Result<GroupSettings, CommandLineError> {
    let start_from = match settings.text("start_from") {
        "beginning" => StartFrom::Beginning,
        "now" => StartFrom::Now,
        time => StartFrom::Time(moment(time)?),
    };
    Ok(GroupSettings {
        safety_interval: settings.duration("safety_interval"),
        sweep_interval: settings.duration("sweep_interval"),
        tail: Some(TailSettings {
            sleep_interval: settings.duration("sleep_interval"),
            idle_interval: settings.duration("idle_interval"),
            ..TailSettings::default()
        }),
        checkpoint_interval: settings.duration("checkpoint_interval"),
        lanes: settings.count("lanes"),
        drain_timeout: settings.duration("drain_timeout"),
        start_from,
        lease_ttl: settings.duration("lease_ttl"),
        poison: match settings.text("on_poison") {
            "skip" => PoisonPolicy::SkipEvent,
            "halt" => PoisonPolicy::HaltGroup,
            _ => PoisonPolicy::ParkAggregate,
        },
        ..GroupSettings::default()
    })
}

pub(super) fn kafka(settings: &Settings) -> KafkaSettings {
    let kafka = KafkaSettings::new(settings.list("kafka").join(","));
    let mut kafka = settings
        .pairs("kafka_options")
        .fold(kafka, |kafka, (name, value)| kafka.option(name, value));
    let partitions = i32::try_from(settings.count("kafka_partitions")).unwrap_or(i32::MAX);
    if partitions > 0 {
        kafka = kafka.create_topics(NewTopics::new(partitions));
    }
    let transactions = settings.text("kafka_transactions");
    if !transactions.is_empty() {
        kafka = kafka.transactions(Transactions::new(transactions));
    }
    kafka
}

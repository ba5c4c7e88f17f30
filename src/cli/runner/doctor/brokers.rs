//! The brokers that publishers send to.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};

use super::finding::Finding;
use crate::cli::runner::run::kafka;
use crate::cli::settings::Settings;

const CHECK: &str = "brokers";

/// How long they may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) async fn brokers(settings: &Settings) -> Finding {
    let kafka = kafka(settings);
    let address = kafka.brokers.clone();
    let asked = tokio::task::spawn_blocking(move || {
        let consumer: BaseConsumer = kafka.client_config().create()?;
        let metadata = consumer.fetch_metadata(None, PATIENCE)?;
        let topics: Vec<String> = metadata
            .topics()
            .iter()
            .filter(|topic| !topic.name().starts_with("__"))
            .map(|topic| format!("{} ({})", topic.name(), topic.partitions().len()))
            .collect();
        Ok::<_, rdkafka::error::KafkaError>((metadata.brokers().len(), topics))
    })
    .await;
    match asked {
        Ok(Ok((brokers, topics))) if topics.is_empty() => {
            Finding::ok(CHECK, format!("{brokers} at {address}, no topics yet"))
        }
        Ok(Ok((brokers, topics))) => Finding::ok(
            CHECK,
            format!("{brokers} at {address}; topics (partitions): {}", topics.join(", ")),
        ),
        Ok(Err(error)) => Finding::problem(CHECK, format!("none answers at {address}: {error}"))
            .advice("start Redpanda, or name its brokers with --kafka"),
        Err(error) => Finding::problem(CHECK, format!("asking failed: {error}")),
    }
}

//! The brokers that publishers send to.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::metadata::{MetadataPartition, MetadataTopic};

use super::finding::Finding;
use crate::cli::runner::run::kafka;
use crate::cli::settings::Settings;

const CHECK: &str = "brokers";

/// How long they may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the brokers said of themselves.
#[derive(Debug)]
pub(super) struct Cluster {
    pub(super) brokers: usize,
    pub(super) topics: Vec<Topic>,
}

#[derive(Debug)]
pub(super) struct Topic {
    pub(super) name: String,
    pub(super) partitions: usize,
    /// The fewest that any partition has.
    pub(super) copies: usize,
    /// Partitions that nothing can be sent to.
    pub(super) leaderless: usize,
    /// Partitions with copies that do not have everything.
    pub(super) behind: usize,
}

impl Topic {
    fn of(topic: &MetadataTopic) -> Self {
        let partitions = topic.partitions();
        let count = |wanted: fn(&MetadataPartition) -> bool| {
            partitions.iter().filter(|partition| wanted(partition)).count()
        };
        Self {
            name: topic.name().to_owned(),
            partitions: partitions.len(),
            copies: partitions.iter().map(|p| p.replicas().len()).min().unwrap_or(0),
            leaderless: count(|p| p.leader() < 0),
            behind: count(|p| p.isr().len() < p.replicas().len()),
        }
    }
}

/// Who answers; what they know, if they do.
pub(super) async fn brokers(settings: &Settings) -> (Finding, Option<Cluster>) {
    let kafka = kafka(settings);
    let address = kafka.brokers.clone();
    let asked = tokio::task::spawn_blocking(move || {
        // A consumer: asked by a producer, a broker may make topics.
        let consumer: BaseConsumer = kafka.client_config().create()?;
        let metadata = consumer.fetch_metadata(None, PATIENCE)?;
        let brokers = metadata.brokers().len();
        let topics = metadata.topics().iter().map(Topic::of).collect();
        Ok::<_, rdkafka::error::KafkaError>(Cluster { brokers, topics })
    })
    .await;
    match asked {
        Ok(Ok(cluster)) => {
            let found = format!("{} at {address}", cluster.brokers);
            (Finding::ok(CHECK, found), Some(cluster))
        }
        Ok(Err(error)) => {
            let found = format!("none answers at {address}: {error}");
            let advice = "start Redpanda, or name its brokers with --kafka";
            (Finding::problem(CHECK, found).advice(advice), None)
        }
        Err(error) => (Finding::problem(CHECK, format!("asking failed: {error}")), None),
    }
}

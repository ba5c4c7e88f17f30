//! Reading the topic.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::{CommitMode, Consumer, StreamConsumer};
use rdkafka::error::KafkaError;

use crate::record::{InvalidRecord, OrderRecord};
use crate::view::View;

/// A member of a consumer group.
pub struct Feed {
    consumer: StreamConsumer,
    view: View,
}

/// Why reading ends.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// The broker, or a setting.
    #[error(transparent)]
    Kafka(#[from] KafkaError),
    /// Something else is in the topic.
    #[error(transparent)]
    Record(#[from] InvalidRecord),
}

impl Feed {
    /// Joins the group.
    ///
    /// # Errors
    /// [`FeedError::Kafka`] for settings that make no sense; a broker that is away is waited for.
    pub fn join(brokers: &str, group: &str, topic: &str) -> Result<Self, FeedError> {
        let consumer: StreamConsumer = ClientConfig::new()
            .set("bootstrap.servers", brokers)
            .set("group.id", group)
            .set("auto.offset.reset", "earliest")
            // Only what is committed, should the publisher use transactions.
            .set("isolation.level", "read_committed")
            // Offsets are stored when an event is in the view, not when it has been fetched.
            .set("enable.auto.commit", "false")
            .create()?;
        consumer.subscribe(&[topic])?;
        Ok(Self { consumer, view: View::default() })
    }

    /// Reads until nothing has come for so long.
    ///
    /// # Errors
    /// [`FeedError`].
    pub async fn read_until_quiet(&mut self, quiet: Duration) -> Result<(), FeedError> {
        while let Ok(message) = tokio::time::timeout(quiet, self.consumer.recv()).await {
            let message = message?;
            self.view.apply(&OrderRecord::read(&message)?);
            // The view first, the offset after it: a crash between them repeats a record, and
            // a view that is kept in a database drops it by its sequence number.
            self.consumer.commit_message(&message, CommitMode::Async)?;
        }
        Ok(())
    }

    /// The view.
    pub fn view(&self) -> &View {
        &self.view
    }
}

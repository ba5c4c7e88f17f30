//! Publishing to Redpanda and anything else that speaks Kafka's protocol.

mod kafka;
mod record;
mod settings;

pub use kafka::{KafkaPublisher, PublisherError};
pub use record::topic_of;
pub use settings::KafkaSettings;

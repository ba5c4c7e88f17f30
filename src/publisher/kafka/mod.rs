//! Redpanda, and anything else that speaks Kafka's protocol.

mod delivery;
mod error;
mod memory;
mod redact;
mod room;
mod settings;
mod sink;
mod stream;
mod topics;
mod transactions;

pub use error::PublisherError;
pub use settings::{KafkaSettings, NewTopics, Transactions};
pub use sink::KafkaSink;

//! Publishing: a consumer group whose handler sends each event on.
//!
//! A [`Publisher`] decides where an event goes ([`Routing`]) and what it looks like there
//! (an [`Envelope`]), and hands the [`Message`] to a [`Sink`]: [`KafkaSink`] for Redpanda and
//! anything else that speaks Kafka's protocol, [`ConsoleSink`] for JSON lines, and, with the
//! feature `webhook`, `WebhookSink` for HTTP.

mod console;
mod envelope;
mod handler;
mod kafka;
mod message;
mod routing;
mod sink;
mod topic;
#[cfg(feature = "webhook")]
mod webhook;

pub use console::ConsoleSink;
pub use envelope::{
    CloudEvents, DebeziumChange, DebeziumOutbox, Envelope, EnvelopeError, EnvelopeKind, Mode,
    PayloadOnly, Wrapped,
};
pub use handler::Publisher;
pub use kafka::{KafkaSettings, KafkaSink, NewTopics, PublisherError, Transactions};
pub use message::{Headers, Message};
pub use routing::{Key, Route, Routing, RoutingError};
pub use sink::Sink;
pub use topic::{InvalidTopic, topic_of};
#[cfg(feature = "webhook")]
pub use webhook::{WebhookError, WebhookSettings, WebhookSink};

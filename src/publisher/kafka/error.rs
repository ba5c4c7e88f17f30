//! Why a publisher does not start, and what the broker's refusals mean.

use rdkafka::error::{KafkaError, RDKafkaErrorCode};

/// Why a publisher does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublisherError {
    /// A setting that is not valid; values of secret options are left out.
    #[error("the Kafka settings are not valid: {0}")]
    Settings(String),
    /// No broker answers.
    #[error("no Kafka broker answers at {brokers}: {reason}")]
    Unreachable {
        /// As configured.
        brokers: String,
        /// What librdkafka says.
        reason: String,
    },
    /// A topic is missing and may not be made.
    #[error(
        "topic {topic} does not exist and the broker does not create it ({reason}): create it \
         (rpk topic create {topic}), or let the publisher create topics"
    )]
    MissingTopic {
        /// Its name.
        topic: String,
        /// What the broker said.
        reason: String,
    },
    /// A topic cannot be made, or not be used.
    #[error("topic {topic}: {reason}")]
    Topic {
        /// Its name.
        topic: String,
        /// What the broker said.
        reason: String,
    },
}

/// What a failure means for what comes after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Not the message's fault: it is sent again.
    Passing,
    /// This message, or one that travelled with it, is refused for good.
    Message,
    /// Whatever goes to this topic is refused.
    Topic,
}

impl Refusal {
    pub(super) fn of(error: &KafkaError) -> Self {
        match error.rdkafka_error_code() {
            Some(
                RDKafkaErrorCode::MessageSizeTooLarge
                | RDKafkaErrorCode::MessageBatchTooLarge
                | RDKafkaErrorCode::InvalidMessage
                | RDKafkaErrorCode::InvalidMessageSize
                | RDKafkaErrorCode::InvalidRecord
                | RDKafkaErrorCode::InvalidTimestamp,
            ) => Self::Message,
            Some(
                RDKafkaErrorCode::InvalidTopic
                | RDKafkaErrorCode::PolicyViolation
                | RDKafkaErrorCode::TopicAuthorizationFailed
                | RDKafkaErrorCode::UnknownTopic
                | RDKafkaErrorCode::UnknownTopicOrPartition,
            ) => Self::Topic,
            // Among them what concerns the whole cluster, a missing authorisation too:
            // were it an event's fault, every event would be set aside.
            _ => Self::Passing,
        }
    }
}

/// A message that did not arrive.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{reason}")]
pub(super) struct Failure {
    pub(super) refusal: Refusal,
    pub(super) reason: String,
}

impl Failure {
    pub(super) fn passing(reason: impl Into<String>) -> Self {
        Self { refusal: Refusal::Passing, reason: reason.into() }
    }
}

impl From<&KafkaError> for Failure {
    fn from(error: &KafkaError) -> Self {
        Self { refusal: Refusal::of(error), reason: error.to_string() }
    }
}

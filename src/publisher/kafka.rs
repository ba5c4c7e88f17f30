//! The publisher's handler: events in, records out, in order per aggregate.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use parking_lot::RwLock;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{DeliveryFuture, FutureProducer, FutureRecord, Producer};

use crate::consumer::{EventHandler, Handled, HandlerError};
use crate::event::EventEnvelope;
use crate::publisher::KafkaSettings;
use crate::publisher::record::{headers_of, topic_of};

/// Publishes events: give it to a [`ConsumerGroup`](crate::consumer::ConsumerGroup).
///
/// Topic by aggregate type ([`topic_of`]), key = aggregate id, value = the payload, the
/// rest in headers. Records are sent one after the other without waiting; an event is done
/// when the broker has acknowledged it, and a checkpoint never passes one that is not.
pub struct KafkaPublisher {
    settings: KafkaSettings,
    producer: RwLock<FutureProducer>,
    /// A producer that lost its identity at the broker refuses everything from then on; a
    /// new one takes its place when the group begins again at its checkpoint.
    broken: Arc<AtomicBool>,
    topics: RwLock<HashMap<Arc<str>, Arc<str>>>,
}

/// Why a publisher does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublisherError {
    /// librdkafka refuses a setting.
    #[error("the Kafka settings are not valid: {0}")]
    Settings(KafkaError),
    /// No broker answers.
    #[error("no Kafka broker answers at {brokers}: {source}")]
    Unreachable {
        /// As configured.
        brokers: String,
        /// What librdkafka says.
        source: KafkaError,
    },
}

impl KafkaPublisher {
    /// Connects, and asks a broker for its metadata to see that one is there.
    ///
    /// # Errors
    /// [`PublisherError::Settings`] and [`PublisherError::Unreachable`].
    pub async fn connect(settings: KafkaSettings) -> Result<Self, PublisherError> {
        let producer: FutureProducer =
            settings.client_config().create().map_err(PublisherError::Settings)?;
        let (asking, timeout) = (producer.clone(), settings.connect_timeout);
        let answer = tokio::task::spawn_blocking(move || {
            asking.client().fetch_metadata(None, timeout).map(|_| ())
        })
        .await;
        match answer {
            Ok(Ok(())) => {}
            Ok(Err(source)) => {
                return Err(PublisherError::Unreachable { brokers: settings.brokers, source });
            }
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
        Ok(Self {
            settings,
            producer: RwLock::new(producer),
            broken: Arc::new(AtomicBool::new(false)),
            topics: RwLock::default(),
        })
    }

    fn topic(&self, aggregate_type: &Arc<str>) -> Arc<str> {
        if let Some(topic) = self.topics.read().get(aggregate_type) {
            return Arc::clone(topic);
        }
        let topic: Arc<str> = topic_of(aggregate_type).into();
        self.topics.write().insert(Arc::clone(aggregate_type), Arc::clone(&topic));
        topic
    }

    fn replace_broken(&self) -> Result<(), HandlerError> {
        if self.broken.swap(false, Ordering::AcqRel) {
            let fresh = self.settings.client_config().create().map_err(HandlerError::retry)?;
            *self.producer.write() = fresh;
            tracing::warn!("the Kafka producer was replaced after a fatal error");
        }
        Ok(())
    }

    fn send(&self, event: &EventEnvelope) -> Result<DeliveryFuture, KafkaError> {
        let topic = self.topic(&event.aggregate_type);
        let key = event.aggregate_id.to_string();
        let record = FutureRecord::to(&topic)
            .key(&key)
            .payload(event.event.as_str())
            .timestamp(event.created_at)
            .headers(headers_of(event));
        self.producer.read().send_result(record).map_err(|(error, _)| error)
    }
}

impl fmt::Debug for KafkaPublisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("KafkaPublisher").field(&self.settings.brokers).finish()
    }
}

#[async_trait]
impl EventHandler for KafkaPublisher {
    async fn handle(&self, event: &EventEnvelope) -> Result<Handled, HandlerError> {
        self.replace_broken()?;
        let delivery = self.send(event).map_err(|error| failure(error, &self.broken))?;
        let broken = Arc::clone(&self.broken);
        Ok(Handled::Pending(Box::pin(async move {
            match delivery.await {
                Ok(Ok(_)) => Ok(()),
                Ok(Err((error, _))) => Err(failure(error, &broken)),
                Err(_) => Err(HandlerError::retry("the producer was closed")),
            }
        })))
    }
}

/// Whether trying again can help, or the message itself is refused.
fn failure(error: KafkaError, broken: &AtomicBool) -> HandlerError {
    match error.rdkafka_error_code() {
        Some(
            RDKafkaErrorCode::MessageSizeTooLarge
            | RDKafkaErrorCode::InvalidTopic
            | RDKafkaErrorCode::InvalidMessage
            | RDKafkaErrorCode::InvalidRecord
            | RDKafkaErrorCode::InvalidMessageSize
            | RDKafkaErrorCode::TopicAuthorizationFailed
            | RDKafkaErrorCode::ClusterAuthorizationFailed
            | RDKafkaErrorCode::PolicyViolation
            | RDKafkaErrorCode::UnknownTopic
            | RDKafkaErrorCode::UnknownTopicOrPartition,
        ) => HandlerError::poison(error),
        Some(RDKafkaErrorCode::Fatal) => {
            broken.store(true, Ordering::Release);
            HandlerError::retry(error)
        }
        _ => HandlerError::retry(error),
    }
}

//! The sink that produces to a broker.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use rdkafka::producer::{BaseProducer, Producer};

use crate::consumer::{Handled, HandlerError};
use crate::publisher::kafka::error::PublisherError;
use crate::publisher::kafka::redact::redact;
use crate::publisher::kafka::room::Room;
use crate::publisher::kafka::settings::KafkaSettings;
use crate::publisher::kafka::stream::Stream;
use crate::publisher::kafka::topics::Topics;
use crate::publisher::kafka::transactions::Batches;
use crate::publisher::{Message, Sink};

/// Sends to Redpanda, or anything else that speaks Kafka's protocol.
///
/// Messages are sent one after the other without waiting; an event is done when the broker
/// has acknowledged it, and a checkpoint never passes one that is not. The producer is
/// idempotent and waits for all in-sync copies (`acks=all`): repeated requests neither double
/// nor reorder. After a crash, what was not yet acknowledged comes again: readers know it by
/// the header `event_id`.
///
/// A broker that is away is waited for. What it refuses for good (too large, unknown topic,
/// not authorised) is refused with its reason ([`HandlerError::Poison`]), after it has been
/// tried alone: a broker refuses whole batches.
pub struct KafkaSink {
    settings: Arc<KafkaSettings>,
    room: Room,
    topics: Topics,
    mode: Mode,
}

enum Mode {
    Stream(Stream),
    Transactions(Batches),
}

impl KafkaSink {
    /// Connects: asks a broker for its metadata to see that one is there.
    ///
    /// # Errors
    /// [`PublisherError::Settings`] and [`PublisherError::Unreachable`].
    pub async fn connect(settings: KafkaSettings) -> Result<Self, PublisherError> {
        settings.validate()?;
        let settings = Arc::new(settings);
        reach(Arc::clone(&settings)).await?;
        let mode = match settings.transactions.clone() {
            None => Mode::Stream(Stream::new(Arc::clone(&settings))?),
            Some(transactions) => {
                Mode::Transactions(Batches::start(Arc::clone(&settings), transactions).await?)
            }
        };
        Ok(Self {
            room: Room::new(settings.in_flight_messages, settings.in_flight_bytes),
            topics: Topics::new(Arc::clone(&settings)),
            settings,
            mode,
        })
    }

    /// Looks for these topics now, and makes them if the settings say so, instead of with
    /// the first event of each.
    ///
    /// # Errors
    /// [`PublisherError::MissingTopic`], [`PublisherError::Topic`] and
    /// [`PublisherError::Unreachable`].
    pub async fn ensure_topics(
        &self,
        topics: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> Result<(), PublisherError> {
        for topic in topics {
            self.topics.ensure(topic.as_ref()).await?;
        }
        Ok(())
    }
}

/// Whether the settings are valid and a broker answers.
async fn reach(settings: Arc<KafkaSettings>) -> Result<(), PublisherError> {
    let asking = Arc::clone(&settings);
    let answer = tokio::task::spawn_blocking(move || {
        // The producer's own settings, so that all of them are checked.
        let client: BaseProducer = asking
            .producer_config()
            .create()
            .map_err(|e| PublisherError::Settings(redact(e.to_string(), &asking.options)))?;
        client.client().fetch_metadata(None, asking.connect_timeout).map(|_| ()).map_err(|e| {
            PublisherError::Unreachable {
                brokers: asking.brokers.clone(),
                reason: redact(e.to_string(), &asking.options),
            }
        })
    })
    .await;
    answer.unwrap_or_else(|panic| {
        Err(PublisherError::Unreachable {
            brokers: settings.brokers.clone(),
            reason: panic.to_string(),
        })
    })
}

impl fmt::Debug for KafkaSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("KafkaSink").field(&self.settings).finish()
    }
}

#[async_trait]
impl Sink for KafkaSink {
    async fn send(&self, message: Message<'_>) -> Result<Handled, HandlerError> {
        self.topics.ready(&message.topic).await?;
        let room = self.room.take(&message).await;
        let result = match &self.mode {
            Mode::Stream(stream) => stream.send(&message, room).await,
            Mode::Transactions(batches) => batches.send(&message, room).await,
        };
        if matches!(result, Err(HandlerError::Poison(_))) {
            // The topic may be gone: it is looked for again.
            self.topics.forget(&message.topic);
        }
        result
    }
}

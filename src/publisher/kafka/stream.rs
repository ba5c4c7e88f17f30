//! Messages one after the other, each acknowledged for itself.

use std::future::ready;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rdkafka::config::FromClientConfigAndContext;
use rdkafka::producer::{Producer, PurgeConfig, ThreadedProducer};
use tokio::sync::{OwnedSemaphorePermit, RwLock, oneshot};

use crate::consumer::{Handled, HandlerError};
use crate::publisher::Message;
use crate::publisher::kafka::delivery::{Delivery, StreamContext, record};
use crate::publisher::kafka::error::{Failure, PublisherError, Refusal};
use crate::publisher::kafka::memory::{Memory, Sent};
use crate::publisher::kafka::redact::redact;
use crate::publisher::kafka::settings::KafkaSettings;

/// Sends by an idempotent producer, and by another one when it gives up.
pub(super) struct Stream {
    settings: Arc<KafkaSettings>,
    memory: Arc<Memory>,
    /// Read to send; written to change it, and to send with nothing else in flight.
    current: RwLock<Generation>,
}

/// One producer. A failed delivery ends it.
struct Generation {
    /// `None` only while it is dropped.
    producer: Option<ThreadedProducer<StreamContext>>,
    broken: Arc<AtomicBool>,
}

impl Stream {
    pub(super) fn new(settings: Arc<KafkaSettings>) -> Result<Self, PublisherError> {
        let memory = Arc::new(Memory::default());
        let current = RwLock::new(Generation::new(&settings, &memory)?);
        Ok(Self { settings, memory, current })
    }

    /// Hands a message to the producer. What comes back says when it has arrived.
    pub(super) async fn send(
        &self,
        message: &Message<'_>,
        room: Option<OwnedSemaphorePermit>,
    ) -> Result<Handled, HandlerError> {
        let sent = Sent::new(message.event, &message.topic);
        if self.memory.must_go_alone(&sent) {
            return self.send_alone(message, sent, room).await;
        }
        loop {
            let current = self.current.read().await;
            if current.is_broken() {
                drop(current);
                self.replace_broken().await?;
                continue;
            }
            if !self.memory.may_send(&sent) {
                return Ok(behind_a_missing_one());
            }
            let arrival = current.send(message, sent, false, room)?;
            return Ok(Handled::Pending(Box::pin(async move {
                // Whatever it was: the event comes again, and if it was refused, alone.
                arrived(arrival).await.map_err(HandlerError::retry)
            })));
        }
    }

    /// Sends a message that may be to blame for a refusal, with nothing else in flight, and
    /// waits for what the broker says.
    async fn send_alone(
        &self,
        message: &Message<'_>,
        sent: Sent,
        room: Option<OwnedSemaphorePermit>,
    ) -> Result<Handled, HandlerError> {
        let mut current = self.current.write().await;
        current.empty().await;
        if current.is_broken() {
            current.replace(&self.settings, &self.memory).await?;
        }
        if !self.memory.may_send(&sent) {
            return Ok(behind_a_missing_one());
        }
        let outcome = match current.send(message, sent.clone(), true, room) {
            Ok(arrival) => arrived(arrival).await,
            Err(error) => return Err(error),
        };
        match outcome {
            Ok(()) => {
                self.memory.judged(&sent, true);
                Ok(Handled::Done)
            }
            Err(failure) if failure.refusal == Refusal::Passing => {
                Err(HandlerError::retry(failure))
            }
            Err(failure) => {
                self.memory.judged(&sent, false);
                Err(HandlerError::poison(failure))
            }
        }
    }

    async fn replace_broken(&self) -> Result<(), HandlerError> {
        let mut current = self.current.write().await;
        if current.is_broken() {
            current.replace(&self.settings, &self.memory).await?;
        }
        Ok(())
    }
}

/// The group begins again at its checkpoint, and the missing event comes first.
fn behind_a_missing_one() -> Handled {
    let reason = "an earlier event of the aggregate has not been delivered";
    Handled::Pending(Box::pin(ready(Err(HandlerError::retry(reason)))))
}

async fn arrived(arrival: oneshot::Receiver<Result<(), Failure>>) -> Result<(), Failure> {
    arrival.await.unwrap_or_else(|_| Err(Failure::passing("the producer was closed")))
}

impl Generation {
    fn new(settings: &KafkaSettings, memory: &Arc<Memory>) -> Result<Self, PublisherError> {
        let broken = Arc::new(AtomicBool::new(false));
        let context = StreamContext { memory: Arc::clone(memory), broken: Arc::clone(&broken) };
        let config = settings.producer_config();
        match ThreadedProducer::from_config_and_context(&config, context) {
            Ok(producer) => Ok(Self { producer: Some(producer), broken }),
            Err(error) => {
                let reason = redact(error.to_string(), &settings.options);
                Err(PublisherError::Settings(reason))
            }
        }
    }

    fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Acquire)
    }

    fn send(
        &self,
        message: &Message<'_>,
        sent: Sent,
        alone: bool,
        room: Option<OwnedSemaphorePermit>,
    ) -> Result<oneshot::Receiver<Result<(), Failure>>, HandlerError> {
        let (done, arrival) = oneshot::channel();
        let delivery = Box::new(Delivery { sent, alone, done, _room: room });
        let Some(producer) = &self.producer else {
            return Err(HandlerError::retry("the producer was closed"));
        };
        let Err((error, _)) = producer.send(record(message, delivery)) else { return Ok(arrival) };
        // Not taken over: it is this message alone, and nothing has gone out.
        let failure = Failure::from(&error);
        if failure.refusal != Refusal::Passing {
            return Err(HandlerError::poison(failure));
        }
        if producer.client().fatal_error().is_some() {
            self.broken.store(true, Ordering::Release);
        }
        Err(HandlerError::retry(failure))
    }

    /// Waits until everything has arrived, or has failed.
    async fn empty(&self) {
        while self.producer.as_ref().is_some_and(|p| p.in_flight_count() > 0) {
            if self.is_broken() {
                self.purge();
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    fn purge(&self) {
        if let Some(producer) = &self.producer {
            producer.purge(PurgeConfig::default().queue().inflight());
        }
    }

    /// Takes a new producer's place once the old one has reported on all that it had: only
    /// then is it known what is missing.
    async fn replace(
        &mut self,
        settings: &KafkaSettings,
        memory: &Arc<Memory>,
    ) -> Result<(), HandlerError> {
        self.empty().await;
        *self = Self::new(settings, memory).map_err(HandlerError::retry)?;
        tracing::warn!("the Kafka producer had failed deliveries and was replaced");
        Ok(())
    }
}

impl Drop for Generation {
    fn drop(&mut self) {
        let producer = self.producer.take();
        // Ending a producer waits for its threads, which an executor's thread must not.
        std::thread::spawn(move || drop(producer));
    }
}

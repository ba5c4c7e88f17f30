//! Messages in transactions.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::ClientContext;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::OwnedHeaders;
use rdkafka::producer::{
    BaseRecord, DeliveryResult, Producer, ProducerContext, PurgeConfig, ThreadedProducer,
};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::consumer::{Handled, HandlerError};
use crate::publisher::Message;
use crate::publisher::kafka::delivery::{connection_error, log, native};
use crate::publisher::kafka::error::{Failure, PublisherError, Refusal};
use crate::publisher::kafka::memory::{Memory, Sent};
use crate::publisher::kafka::redact::redact;
use crate::publisher::kafka::settings::{KafkaSettings, Transactions};

/// How long one call of librdkafka's may take before it is looked whether to go on.
const STEP: Duration = Duration::from_secs(2);

/// Hands messages to a thread that owns the transactional producer: its calls block.
pub(super) struct Batches {
    memory: Arc<Memory>,
    /// Bounded by the room that each message holds.
    queue: Sender<Waiting>,
    closing: Arc<AtomicBool>,
}

/// A message until its transaction is committed.
struct Waiting {
    key: String,
    value: Vec<u8>,
    headers: OwnedHeaders,
    timestamp: i64,
    sent: Sent,
    /// In a transaction of its own: a refusal is this message's own.
    alone: bool,
    done: oneshot::Sender<Result<(), Failure>>,
    _room: Option<OwnedSemaphorePermit>,
}

impl Batches {
    /// Starts the thread once the broker knows the producer.
    pub(super) async fn start(
        settings: Arc<KafkaSettings>,
        transactions: Transactions,
    ) -> Result<Self, PublisherError> {
        let (memory, closing) = (Arc::new(Memory::default()), Arc::new(AtomicBool::new(false)));
        let (queue, waiting) = channel();
        let writer = Writer {
            settings: Arc::clone(&settings),
            transactions,
            memory: Arc::clone(&memory),
            failures: Arc::default(),
            closing: Arc::clone(&closing),
            waiting,
            held: None,
        };
        let started = tokio::task::spawn_blocking(move || {
            let producer = writer.producer()?;
            let timeout = writer.settings.connect_timeout;
            producer.init_transactions(timeout).map_err(|error| PublisherError::Unreachable {
                brokers: writer.settings.brokers.clone(),
                reason: redact(error.to_string(), &writer.settings.options),
            })?;
            std::thread::Builder::new()
                .name("messina-transactions".to_owned())
                .spawn(move || writer.run(producer))
                .map_err(|error| PublisherError::Settings(error.to_string()))
        })
        .await;
        match started {
            Ok(Ok(_)) => Ok(Self { memory, queue, closing }),
            Ok(Err(error)) => Err(error),
            Err(panic) => Err(PublisherError::Settings(panic.to_string())),
        }
    }

    pub(super) async fn send(
        &self,
        message: &Message<'_>,
        room: Option<OwnedSemaphorePermit>,
    ) -> Result<Handled, HandlerError> {
        let sent = Sent::new(message.event, &message.topic);
        let alone = self.memory.must_go_alone(&sent);
        let (done, arrival) = oneshot::channel();
        let waiting = Waiting {
            key: message.key.clone().into_owned(),
            value: message.value.clone().into_owned(),
            headers: native(&message.headers),
            timestamp: message.event.created_at,
            sent: sent.clone(),
            alone,
            done,
            _room: room,
        };
        if self.queue.send(waiting).is_err() {
            return Err(HandlerError::retry("the publisher's thread has ended"));
        }
        let arrived = async move {
            arrival.await.unwrap_or_else(|_| Err(Failure::passing("the producer was closed")))
        };
        if !alone {
            return Ok(Handled::Pending(Box::pin(async move {
                arrived.await.map_err(HandlerError::retry)
            })));
        }
        match arrived.await {
            Ok(()) => {
                self.memory.judged(&sent, true);
                Ok(Handled::Done)
            }
            // The group begins again: earlier events of the aggregate may have failed too.
            Err(failure) if failure.refusal == Refusal::Passing => Ok(Handled::Pending(Box::pin(
                std::future::ready(Err(HandlerError::retry(failure))),
            ))),
            Err(failure) => {
                self.memory.judged(&sent, false);
                Err(HandlerError::poison(failure))
            }
        }
    }
}

impl Drop for Batches {
    fn drop(&mut self) {
        self.closing.store(true, Ordering::Release);
    }
}

/// Which messages of the current transaction have failed, by their place in it.
type Failures = Arc<Mutex<Vec<(usize, Failure)>>>;

struct TransactionContext {
    failures: Failures,
}

impl ClientContext for TransactionContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        connection_error(&error, reason);
    }
}

impl ProducerContext for TransactionContext {
    /// The message's place in its transaction.
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, place: usize) {
        if let Err((error, _)) = result {
            self.failures.lock().push((place, Failure::from(error)));
        }
    }
}

type TransactionalProducer = ThreadedProducer<TransactionContext>;

/// The thread's own.
struct Writer {
    settings: Arc<KafkaSettings>,
    transactions: Transactions,
    memory: Arc<Memory>,
    failures: Failures,
    closing: Arc<AtomicBool>,
    waiting: Receiver<Waiting>,
    /// Taken from the queue, and for the next transaction.
    held: Option<Waiting>,
}

/// Whether the producer can go on.
enum After {
    GoOn,
    NewProducer,
}

impl Writer {
    fn producer(&self) -> Result<TransactionalProducer, PublisherError> {
        let context = TransactionContext { failures: Arc::clone(&self.failures) };
        let config = self.settings.producer_config();
        ThreadedProducer::from_config_and_context(&config, context).map_err(|error| {
            PublisherError::Settings(redact(error.to_string(), &self.settings.options))
        })
    }

    fn closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    /// Until the sink is dropped.
    fn run(mut self, mut producer: TransactionalProducer) {
        loop {
            let first = match self.held.take() {
                Some(held) => held,
                None => match self.waiting.recv() {
                    Ok(first) => first,
                    Err(_) => return,
                },
            };
            if let After::NewProducer = self.transaction(&producer, first) {
                producer.purge(PurgeConfig::default().queue().inflight());
                match self.replacement() {
                    Some(fresh) => producer = fresh,
                    None => return,
                }
            }
        }
    }

    /// One transaction, from the first message to the commit.
    fn transaction(&mut self, producer: &TransactionalProducer, first: Waiting) -> After {
        self.failures.lock().clear();
        let mut batch = Vec::new();
        if let Err(error) = producer.begin_transaction() {
            self.fail(vec![first], &Failure::from(&error));
            return After::NewProducer;
        }
        let until = Instant::now() + self.transactions.interval;
        let only = first.alone;
        self.add(producer, first, &mut batch);
        while !only && batch.len() < self.transactions.batch && self.failures.lock().is_empty() {
            match self.waiting.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(next) if next.alone => {
                    self.held = Some(next);
                    break;
                }
                Ok(next) => self.add(producer, next, &mut batch),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
            }
        }
        match self.commit(producer) {
            Ok(()) => {
                for waiting in batch {
                    // Nobody waits for it when the group has been stopped meanwhile.
                    let _ = waiting.done.send(Ok(()));
                }
                After::GoOn
            }
            Err(error) => {
                tracing::warn!(%error, events = batch.len(), "a Kafka transaction was given up");
                let after = self.abort(producer, &error);
                self.fail(batch, &Failure::passing(error.to_string()));
                after
            }
        }
    }

    /// Sends a message within the transaction, unless an earlier event of its aggregate is
    /// missing.
    fn add(&self, producer: &TransactionalProducer, next: Waiting, batch: &mut Vec<Waiting>) {
        if !self.memory.may_send(&next.sent) {
            let reason = "an earlier event of the aggregate has not been delivered";
            let _ = next.done.send(Err(Failure::passing(reason)));
            return;
        }
        let place = batch.len();
        let mut headers = Some(next.headers.clone());
        let result = loop {
            let mut record = BaseRecord::with_opaque_to(&next.sent.topic, place)
                .key(&next.key)
                .payload(&next.value)
                .timestamp(next.timestamp);
            record.headers = headers.take();
            match producer.send(record) {
                // Its queue is longer than what is let in; still, it is the only bound.
                Err((error, record))
                    if error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull)
                        && !self.closing() =>
                {
                    headers = record.headers;
                    std::thread::sleep(Duration::from_millis(1));
                }
                other => break other.map_err(|(error, _)| error),
            }
        };
        if let Err(error) = result {
            self.failures.lock().push((place, Failure::from(&error)));
        }
        batch.push(next);
    }

    /// Commits, for as long as that may still succeed.
    fn commit(&self, producer: &TransactionalProducer) -> Result<(), KafkaError> {
        loop {
            if let Some((_, failure)) = self.failures.lock().first() {
                tracing::debug!(reason = %failure, "a message of the transaction failed");
                return Err(KafkaError::Canceled);
            }
            match producer.commit_transaction(STEP) {
                Ok(()) => return Ok(()),
                Err(KafkaError::Transaction(error))
                    if error.is_retriable() && !error.txn_requires_abort() && !self.closing() => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn abort(&self, producer: &TransactionalProducer, cause: &KafkaError) -> After {
        if is_fatal(cause) {
            return After::NewProducer;
        }
        loop {
            match producer.abort_transaction(STEP) {
                Ok(()) => return After::GoOn,
                Err(KafkaError::Transaction(error)) if error.is_retriable() && !self.closing() => {}
                Err(error) => {
                    tracing::warn!(%error, "a Kafka transaction could not be aborted");
                    return After::NewProducer;
                }
            }
        }
    }

    /// Tells the batch that it has not arrived. What is behind it in the queue is not sent:
    /// it is remembered which events are missing before anyone is told.
    fn fail(&self, batch: Vec<Waiting>, failure: &Failure) {
        let mut own: Vec<Option<Failure>> = batch.iter().map(|_| None).collect();
        for (place, failure) in self.failures.lock().drain(..) {
            if let Some(slot) = own.get_mut(place) {
                *slot = Some(failure);
            }
        }
        let told: Vec<_> = batch
            .into_iter()
            .zip(own)
            .map(|(waiting, own)| (waiting, own.unwrap_or_else(|| failure.clone())))
            .collect();
        for (waiting, failure) in &told {
            if !waiting.alone || failure.refusal == Refusal::Passing {
                self.memory.failed(&waiting.sent, failure);
            }
        }
        for (waiting, failure) in told {
            let _ = waiting.done.send(Err(failure));
        }
    }

    /// Another producer under the same id, as soon as the broker takes it; `None` when the
    /// sink is dropped first.
    fn replacement(&self) -> Option<TransactionalProducer> {
        let mut pause = Duration::from_millis(100);
        while !self.closing() {
            let ready = self
                .producer()
                .map_err(|error| error.to_string())
                .and_then(|p| p.init_transactions(STEP).map(|()| p).map_err(|e| e.to_string()));
            match ready {
                Ok(producer) => return Some(producer),
                Err(reason) => {
                    tracing::warn!(reason, "no transactional Kafka producer yet");
                    std::thread::sleep(pause);
                    pause = (pause * 2).min(STEP);
                }
            }
        }
        None
    }
}

fn is_fatal(error: &KafkaError) -> bool {
    matches!(error, KafkaError::Transaction(error) if error.is_fatal())
}

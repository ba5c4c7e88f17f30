//! Reads the topic along, as any consumer would, and checks each key's order.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use messina::EventId;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::demo::tracker::{TOPIC, Tracker};
use crate::service::ServiceError;

const TIMEOUT: Duration = Duration::from_secs(10);

/// A consumer on a thread of its own. It assigns itself all partitions, from their present
/// end on, and reads while events are produced.
pub(super) struct TopicReader {
    pub(super) topic: String,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<Read, ServiceError>>,
}

/// What was read.
#[derive(Debug, Default)]
pub(super) struct Read {
    pub(super) records: usize,
    /// Distinct events, by the header `event_id`.
    pub(super) events: HashSet<EventId>,
    /// Records whose event had been read before.
    pub(super) repeated: usize,
    /// Last sequence number of each key.
    pub(super) keys: HashMap<String, i64>,
    /// Records that did not follow their key's last one.
    pub(super) out_of_order: Vec<String>,
    /// The first few records, as they came.
    pub(super) first: Vec<Record>,
}

/// A record, as far as it is shown.
#[derive(Debug, Clone)]
pub(super) struct Record {
    pub(super) place: String,
    pub(super) key: String,
    pub(super) sequence_number: i64,
    pub(super) event_type: String,
    pub(super) payload: String,
}

impl TopicReader {
    /// Begins to read at the topic's end; returns when it does.
    pub(super) async fn start(
        brokers: String,
        topic: String,
        tracker: Arc<Tracker>,
    ) -> Result<Self, ServiceError> {
        let stop = Arc::new(AtomicBool::new(false));
        let (ready, assigned) = tokio::sync::oneshot::channel();
        let thread = std::thread::spawn({
            let (topic, stop) = (topic.clone(), Arc::clone(&stop));
            move || {
                let consumer = assign(&brokers, &topic)?;
                // Nobody waits any more: then nothing is to be read either.
                if ready.send(()).is_err() {
                    return Ok(Read::default());
                }
                read(&consumer, &tracker, &stop)
            }
        });
        let reader = Self { topic, stop, thread };
        // Dropped without a word when the thread has failed: it has the reason.
        if assigned.await.is_err() {
            return match reader.finish().await {
                Err(error) => Err(error),
                Ok(_) => Err(ServiceError::Demo("the topic's reader ended".to_owned())),
            };
        }
        Ok(reader)
    }

    /// Ends reading.
    pub(super) async fn finish(self) -> Result<Read, ServiceError> {
        self.stop.store(true, Ordering::Relaxed);
        let thread = self.thread;
        match tokio::task::spawn_blocking(move || thread.join()).await {
            Ok(Ok(result)) => result,
            Ok(Err(panic)) => std::panic::resume_unwind(panic),
            Err(error) => Err(ServiceError::Demo(error.to_string())),
        }
    }
}

fn failed(error: KafkaError) -> ServiceError {
    ServiceError::Demo(format!("reading the topic: {error}"))
}

fn assign(brokers: &str, topic: &str) -> Result<BaseConsumer, ServiceError> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", "orders-demo")
        .set("enable.auto.commit", "false")
        .set("allow.auto.create.topics", "true")
        .create()
        .map_err(failed)?;
    let began = Instant::now();
    let mut partitions = TopicPartitionList::new();
    // A topic that is being created has no partitions for a moment.
    while partitions.count() == 0 {
        if began.elapsed() > TIMEOUT {
            return Err(ServiceError::Demo(format!(
                "topic {topic} does not exist and is not created by asking for it: create it first"
            )));
        }
        let metadata = consumer.fetch_metadata(Some(topic), TIMEOUT).map_err(failed)?;
        for partition in metadata.topics().iter().flat_map(|t| t.partitions()) {
            let (_, end) =
                consumer.fetch_watermarks(topic, partition.id(), TIMEOUT).map_err(failed)?;
            let offset = Offset::Offset(end);
            partitions.add_partition_offset(topic, partition.id(), offset).map_err(failed)?;
        }
    }
    consumer.assign(&partitions).map_err(failed)?;
    Ok(consumer)
}

fn read(
    consumer: &BaseConsumer,
    tracker: &Tracker,
    stop: &AtomicBool,
) -> Result<Read, ServiceError> {
    let mut read = Read::default();
    while !stop.load(Ordering::Relaxed) {
        match consumer.poll(Duration::from_millis(50)) {
            Some(Ok(message)) => {
                tracker.handled(TOPIC, read.take(&message)?);
            }
            // librdkafka meets passing errors itself; the check at the end tells the rest.
            Some(Err(error)) => tracing::warn!(%error, "reading the topic"),
            None => {}
        }
    }
    Ok(read)
}

impl Read {
    fn take(&mut self, message: &BorrowedMessage<'_>) -> Result<EventId, ServiceError> {
        let header = |name: &str| {
            let headers = message.headers()?;
            let found = headers.iter().find(|h| h.key == name)?;
            std::str::from_utf8(found.value?).ok()
        };
        let invalid = |what: &str| {
            ServiceError::Demo(format!(
                "record {}/{} has no valid {what}",
                message.partition(),
                message.offset()
            ))
        };
        let event_id: EventId =
            header("event_id").and_then(|id| id.parse().ok()).ok_or_else(|| invalid("event_id"))?;
        let sequence_number: i64 = header("sequence_number")
            .and_then(|n| n.parse().ok())
            .ok_or_else(|| invalid("sequence_number"))?;
        let key = text(message.key());
        self.records += 1;
        if !self.events.insert(event_id) {
            self.repeated += 1;
            return Ok(event_id);
        }
        let last = self.keys.entry(key.clone()).or_insert(0);
        // An earlier run's events may come again, an aggregate's last ones.
        if *last != 0 && sequence_number != *last + 1 {
            self.out_of_order.push(format!("{key}: {sequence_number} after {last}"));
        }
        *last = sequence_number;
        if self.first.len() < 6 {
            self.first.push(Record {
                place: format!("{}/{}", message.partition(), message.offset()),
                key,
                sequence_number,
                event_type: header("event_type").unwrap_or_default().to_owned(),
                payload: text(message.payload()),
            });
        }
        Ok(event_id)
    }
}

fn text(bytes: Option<&[u8]>) -> String {
    String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned()
}

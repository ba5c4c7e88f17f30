//! A broker per test: embedded, or topics of a real one.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use messina::EventEnvelope;
use messina::publisher::{KafkaSettings, Route, Routing, topic_of};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

/// Brokers, and events whose topic no other test uses.
pub struct TestKafka {
    pub brokers: String,
    pub aggregate_type: String,
    topic: String,
    cluster: Option<MockCluster<'static, DefaultProducerContext>>,
}

/// A record as read back.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    pub key: String,
    pub payload: String,
    pub headers: Vec<(String, String)>,
}

impl Record {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub fn sequence_number(&self) -> i64 {
        self.header("sequence_number").unwrap().parse().unwrap()
    }
}

const PARTITIONS: i32 = 4;

/// How long reading may take in all, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// The real broker, if there is one.
pub fn independent_broker() -> Option<String> {
    std::env::var("KAFKA_BROKERS").ok()
}

impl TestKafka {
    /// `KAFKA_BROKERS` if set, the embedded broker otherwise.
    pub fn start(aggregate_type: &str) -> Self {
        match independent_broker() {
            Some(brokers) => Self {
                topic: format!("{}-{}", topic_of(aggregate_type), uuid::Uuid::new_v4().simple()),
                aggregate_type: aggregate_type.to_owned(),
                brokers,
                cluster: None,
            },
            None => Self::embedded(aggregate_type),
        }
    }

    /// The embedded broker in any case: for tests that inject faults.
    pub fn embedded(aggregate_type: &str) -> Self {
        let cluster = MockCluster::new(1).unwrap();
        let topic = topic_of(aggregate_type);
        cluster.create_topic(&topic, PARTITIONS, 1).unwrap();
        Self {
            topic,
            brokers: cluster.bootstrap_servers(),
            aggregate_type: aggregate_type.to_owned(),
            cluster: Some(cluster),
        }
    }

    /// These brokers, and a topic that nobody used before.
    pub fn at(brokers: &str) -> Self {
        let aggregate_type = format!("T{}", uuid::Uuid::new_v4().simple());
        let topic = topic_of(&aggregate_type);
        Self { brokers: brokers.to_owned(), aggregate_type, topic, cluster: None }
    }

    /// The embedded broker.
    pub fn cluster(&self) -> &MockCluster<'static, DefaultProducerContext> {
        self.cluster.as_ref().expect("this test needs the embedded broker")
    }

    pub fn topic(&self) -> String {
        self.topic.clone()
    }

    /// To the test's topic: the default's on the embedded broker.
    pub fn routing(&self) -> Routing {
        if self.topic == topic_of(&self.aggregate_type) {
            return Routing::default();
        }
        let topic: Arc<str> = self.topic.as_str().into();
        Routing::function(move |event| Route {
            topic: Arc::clone(&topic),
            key: event.aggregate_id.to_string().into(),
        })
    }

    pub fn settings(&self) -> KafkaSettings {
        KafkaSettings::new(&self.brokers)
    }

    /// How many partitions the topic has.
    pub async fn partitions(&self) -> usize {
        let (brokers, topic) = (self.brokers.clone(), self.topic());
        tokio::task::spawn_blocking(move || {
            let consumer: BaseConsumer =
                ClientConfig::new().set("bootstrap.servers", brokers).create().unwrap();
            let metadata = consumer.fetch_metadata(Some(&topic), Duration::from_secs(10)).unwrap();
            metadata.topics()[0].partitions().len()
        })
        .await
        .unwrap()
    }

    /// Reads the topic from its beginning until `enough` says so, or patience ends.
    pub async fn read_until(
        &self,
        enough: impl Fn(&[Record]) -> bool + Send + 'static,
    ) -> Vec<Record> {
        let (brokers, topic) = (self.brokers.clone(), self.topic());
        tokio::task::spawn_blocking(move || read(&brokers, &topic, enough)).await.unwrap()
    }

    /// Reads until every one of these events has been seen, and for half a second more, so
    /// that repetitions are seen too.
    pub async fn read_all(&self, events: &[EventEnvelope]) -> Vec<Record> {
        let ids: Vec<String> = events.iter().map(|e| e.event_id.to_string()).collect();
        let seen_at = std::sync::Mutex::new(None);
        self.read_until(move |records| {
            let mut seen_at = seen_at.lock().unwrap();
            if seen_at.is_none() {
                let seen: std::collections::HashSet<&str> =
                    records.iter().filter_map(|r| r.header("event_id")).collect();
                if ids.iter().all(|id| seen.contains(id.as_str())) {
                    *seen_at = Some(Instant::now());
                }
            }
            seen_at.is_some_and(|at| at.elapsed() > Duration::from_millis(500))
        })
        .await
    }
}

fn read(brokers: &str, topic: &str, enough: impl Fn(&[Record]) -> bool) -> Vec<Record> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", "test")
        .set("isolation.level", "read_committed")
        .create()
        .unwrap();
    // A real broker makes the topic when the first record comes.
    let began = Instant::now();
    let mut partitions = TopicPartitionList::new();
    while partitions.count() == 0 && began.elapsed() < PATIENCE {
        let metadata = consumer.fetch_metadata(Some(topic), Duration::from_secs(10)).unwrap();
        for partition in metadata.topics()[0].partitions() {
            partitions.add_partition_offset(topic, partition.id(), Offset::Beginning).unwrap();
        }
    }
    consumer.assign(&partitions).unwrap();
    let mut records = Vec::new();
    while !enough(&records) && began.elapsed() < PATIENCE {
        match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => records.push(record(&message)),
            Some(Err(error)) => panic!("reading {topic}: {error}"),
            None => {}
        }
    }
    records
}

/// Checks that every aggregate's events are there, first seen in their order; says how many
/// records are repetitions.
#[track_caller]
pub fn assert_in_order(records: &[Record], events: &[EventEnvelope]) -> usize {
    let mut expected: HashMap<String, Vec<i64>> = HashMap::new();
    for event in events {
        expected.entry(event.aggregate_id.to_string()).or_default().push(event.sequence_number);
    }
    let mut first: HashMap<&str, Vec<i64>> = HashMap::new();
    let mut repeated = 0;
    for record in records.iter().filter(|r| expected.contains_key(&r.key)) {
        let seen = first.entry(&record.key).or_default();
        let number = record.sequence_number();
        if seen.contains(&number) {
            repeated += 1;
        } else {
            seen.push(number);
        }
    }
    for (key, numbers) in &expected {
        assert_eq!(first.get(key.as_str()), Some(numbers), "first records of {key}");
    }
    repeated
}

fn record(message: &BorrowedMessage<'_>) -> Record {
    let text =
        |bytes: Option<&[u8]>| String::from_utf8(bytes.unwrap_or_default().to_vec()).unwrap();
    Record {
        key: text(message.key()),
        payload: text(message.payload()),
        headers: message
            .headers()
            .map(|headers| headers.iter().map(|h| (h.key.to_owned(), text(h.value))).collect())
            .unwrap_or_default(),
    }
}

//! A broker per test: embedded, or a topic of a real one.

use std::time::Duration;

use messina::publisher::topic_of;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

/// Brokers and an aggregate type whose topic no other test uses.
pub struct TestKafka {
    pub brokers: String,
    pub aggregate_type: &'static str,
    _cluster: Option<MockCluster<'static, DefaultProducerContext>>,
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
}

const PARTITIONS: i32 = 4;

impl TestKafka {
    /// `KAFKA_BROKERS` if set, the embedded broker otherwise.
    pub fn start(aggregate_type: &'static str) -> Self {
        if let Ok(brokers) = std::env::var("KAFKA_BROKERS") {
            return Self { brokers, aggregate_type, _cluster: None };
        }
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic(&topic_of(aggregate_type), PARTITIONS, 1).unwrap();
        Self { brokers: cluster.bootstrap_servers(), aggregate_type, _cluster: Some(cluster) }
    }

    /// Reads the topic from its beginning until `enough` says so; at most 30 s.
    pub async fn read_until(
        &self,
        enough: impl Fn(&[Record]) -> bool + Send + 'static,
    ) -> Vec<Record> {
        let (brokers, topic) = (self.brokers.clone(), topic_of(self.aggregate_type));
        tokio::task::spawn_blocking(move || {
            let consumer: BaseConsumer = ClientConfig::new()
                .set("bootstrap.servers", brokers)
                .set("group.id", "test")
                .create()
                .unwrap();
            // A real broker makes the topic when the first record comes.
            let began = std::time::Instant::now();
            let mut partitions = TopicPartitionList::new();
            while partitions.count() == 0 && began.elapsed() < Duration::from_secs(30) {
                let timeout = Duration::from_secs(10);
                let metadata = consumer.fetch_metadata(Some(&topic), timeout).unwrap();
                for partition in metadata.topics()[0].partitions() {
                    let (id, start) = (partition.id(), Offset::Beginning);
                    partitions.add_partition_offset(&topic, id, start).unwrap();
                }
            }
            consumer.assign(&partitions).unwrap();
            let mut records = Vec::new();
            while !enough(&records) && began.elapsed() < Duration::from_secs(30) {
                match consumer.poll(Duration::from_millis(100)) {
                    Some(Ok(message)) => records.push(record(&message)),
                    Some(Err(error)) => panic!("reading {topic}: {error}"),
                    None => {}
                }
            }
            records
        })
        .await
        .unwrap()
    }
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

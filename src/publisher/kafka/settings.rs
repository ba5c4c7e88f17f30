//! A Kafka sink's settings.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use rdkafka::ClientConfig;

use crate::publisher::kafka::PublisherError;
use crate::publisher::kafka::redact::shown;

/// How a [`KafkaSink`](crate::publisher::KafkaSink) connects and sends.
///
/// Its `Debug` output leaves out the values of options that may hold secrets.
#[derive(Clone)]
pub struct KafkaSettings {
    /// `host:port,…` of some brokers.
    pub brokers: String,
    /// Further settings of librdkafka, by its own names
    /// (<https://github.com/confluentinc/librdkafka/blob/v2.12.1/CONFIGURATION.md>); they win
    /// over the publisher's. Those that its promises rest on are refused.
    pub options: BTreeMap<String, String>,
    /// How long the first contact may take. 10 s.
    pub connect_timeout: Duration,
    /// How long a broker may take to show a topic that it has been asked for, before it counts
    /// as missing. 5 s: brokers that make topics by themselves take a moment.
    pub topic_timeout: Duration,
    /// Messages that may be on their way before events wait. 20 000: some seconds of what
    /// one process sends.
    pub in_flight_messages: u32,
    /// Bytes that may be on their way before events wait. 64 MiB: what a broker that is away
    /// makes the process hold. A larger message is sent alone.
    pub in_flight_bytes: u32,
    /// How topics are made that do not exist; `None`: they are not. A broker may make them
    /// itself (`auto.create.topics.enable`).
    pub new_topics: Option<NewTopics>,
    /// Publishes in transactions; `None`: each message for itself.
    pub transactions: Option<Transactions>,
}

/// How missing topics are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTopics {
    /// Partitions of each: how many readers can share the work. It is hard to change later,
    /// since keys move to other partitions.
    pub partitions: i32,
    /// Copies of each; `None`: what the broker does by default.
    pub replication: Option<i32>,
    /// The topic's own settings: `retention.ms`, `cleanup.policy`, ….
    pub config: BTreeMap<String, String>,
}

impl NewTopics {
    /// Topics of this many partitions, all else as the broker does by default.
    pub fn new(partitions: i32) -> Self {
        Self { partitions, replication: None, config: BTreeMap::new() }
    }

    /// See [`NewTopics::replication`].
    pub fn replication(mut self, copies: i32) -> Self {
        self.replication = Some(copies);
        self
    }

    /// See [`NewTopics::config`].
    pub fn config(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.config.insert(name.into(), value.into());
        self
    }
}

/// Publishing in transactions: readers with `isolation.level=read_committed` see a batch of
/// events whole, and none that a crash made come twice within the batch that it interrupted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transactions {
    /// `transactional.id`: one per running publisher, the same after a restart. A new
    /// publisher of this name fences off an old one that is still at work.
    pub id: String,
    /// Events after which a transaction is committed. 1000.
    pub batch: usize,
    /// Time after which it is committed, however few they are. 100 ms: what it adds to an
    /// event's delay.
    pub interval: Duration,
}

impl Transactions {
    /// Transactions under this `transactional.id`.
    pub fn new(id: impl Into<String>) -> Self {
        Self { id: id.into(), batch: 1000, interval: Duration::from_millis(100) }
    }
}

/// Options that are settings here, or that order and completeness rest on, and what to do.
const RESERVED: &[(&str, &str)] = &[
    ("bootstrap.servers", "name the brokers themselves"),
    ("metadata.broker.list", "name the brokers themselves"),
    ("enable.idempotence", "it is on: without it, repeated requests double and reorder events"),
    ("acks", "it is all: anything less loses acknowledged events"),
    ("request.required.acks", "it is all: anything less loses acknowledged events"),
    ("enable.gapless.guarantee", "it is on: without it, events overtake one that is refused"),
    ("message.timeout.ms", "a broker that is away is waited for"),
    ("delivery.timeout.ms", "a broker that is away is waited for"),
    ("message.send.max.retries", "a broker that is away is waited for"),
    ("retries", "a broker that is away is waited for"),
    ("transactional.id", "ask for transactions by their own setting"),
    ("queue.buffering.max.messages", "set how many messages may be in flight instead"),
    ("queue.buffering.max.kbytes", "set how many bytes may be in flight instead"),
];

impl KafkaSettings {
    /// Default settings for these brokers.
    pub fn new(brokers: impl Into<String>) -> Self {
        Self {
            brokers: brokers.into(),
            options: BTreeMap::new(),
            connect_timeout: Duration::from_secs(10),
            topic_timeout: Duration::from_secs(5),
            in_flight_messages: 20_000,
            in_flight_bytes: 64 << 20,
            new_topics: None,
            transactions: None,
        }
    }

    /// Sets an option of librdkafka.
    pub fn option(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.options.insert(name.into(), value.into());
        self
    }

    /// See [`KafkaSettings::new_topics`].
    pub fn create_topics(mut self, topics: NewTopics) -> Self {
        self.new_topics = Some(topics);
        self
    }

    /// See [`KafkaSettings::transactions`].
    pub fn transactions(mut self, transactions: Transactions) -> Self {
        self.transactions = Some(transactions);
        self
    }

    pub(super) fn validate(&self) -> Result<(), PublisherError> {
        let wrong = |what: String| Err(PublisherError::Settings(what));
        if self.brokers.trim().is_empty() {
            return wrong("no broker is named".to_owned());
        }
        for (name, advice) in RESERVED {
            if self.options.contains_key(*name) {
                return wrong(format!("{name} cannot be set: {advice}"));
            }
        }
        let topics = self.new_topics.as_ref();
        let transactions = self.transactions.as_ref();
        let checks = [
            ("in_flight_messages must be above 0", self.in_flight_messages > 0),
            (
                "in_flight_bytes must be at least in_flight_messages",
                self.in_flight_bytes >= self.in_flight_messages,
            ),
            ("new topics need at least one partition", topics.is_none_or(|t| t.partitions > 0)),
            (
                "new topics need at least one copy",
                topics.is_none_or(|t| t.replication.is_none_or(|copies| copies > 0)),
            ),
            ("transactions need an id", transactions.is_none_or(|t| !t.id.is_empty())),
            ("transactions need a batch above 0", transactions.is_none_or(|t| t.batch > 0)),
            (
                "transactions need an interval above 0",
                transactions.is_none_or(|t| !t.interval.is_zero()),
            ),
        ];
        match checks.iter().find(|(_, holds)| !holds) {
            Some((what, _)) => wrong((*what).to_owned()),
            None => Ok(()),
        }
    }

    /// What every client needs: where, and as whom.
    pub(crate) fn client_config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.brokers).set("client.id", "messina");
        for (name, value) in &self.options {
            config.set(name, value);
        }
        config
    }

    pub(super) fn producer_config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            // 5 ms is librdkafka's own default; 1 ms costs little here and saves latency.
            .set("linger.ms", "1")
            // A key's partition as Java's clients compute it, so that topics can be joined.
            .set("partitioner", "murmur2_random");
        for (name, value) in self.client_config().config_map() {
            config.set(name, value);
        }
        config
            // Per key, messages arrive once and in order, also when requests are repeated.
            .set("enable.idempotence", "true")
            .set("acks", "all")
            // A broker that is away is waited for: the lag shows it, nothing is given up.
            .set("message.timeout.ms", "0")
            // Twice what is let in (`Room`), which is what bounds memory: a message leaves
            // librdkafka's account a moment after ours.
            .set(
                "queue.buffering.max.messages",
                self.in_flight_messages.saturating_mul(2).to_string(),
            )
            .set("queue.buffering.max.kbytes", (self.in_flight_bytes / 512).max(1024).to_string());
        match &self.transactions {
            Some(transactions) => config.set("transactional.id", &transactions.id),
            // What follows a message that is refused does not overtake it: the producer
            // gives up, and what it held comes again from the checkpoint.
            None => config.set("enable.gapless.guarantee", "true"),
        };
        config
    }
}

impl fmt::Debug for KafkaSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaSettings")
            .field("brokers", &self.brokers)
            .field("options", &shown(&self.options))
            .field("connect_timeout", &self.connect_timeout)
            .field("topic_timeout", &self.topic_timeout)
            .field("in_flight_messages", &self.in_flight_messages)
            .field("in_flight_bytes", &self.in_flight_bytes)
            .field("new_topics", &self.new_topics)
            .field("transactions", &self.transactions)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_is_shown() {
        let settings = KafkaSettings::new("b:1")
            .option("sasl.username", "alice")
            .option("sasl.password", "hunter2")
            .option("ssl.key.pem", "hunter2")
            .option("ssl.key.location", "/etc/key")
            .option("sasl.oauthbearer.client.secret", "hunter2");
        let shown = format!("{settings:?}");
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(shown.contains("alice") && shown.contains("/etc/key"), "{shown}");
    }

    #[test]
    fn what_would_break_a_promise_is_refused() {
        for name in ["acks", "enable.idempotence", "message.timeout.ms", "transactional.id"] {
            let error = KafkaSettings::new("b:1").option(name, "1").validate().unwrap_err();
            assert!(error.to_string().contains(name), "{error}");
        }
    }

    #[test]
    fn settings_that_cannot_work_are_named() {
        let settings = || KafkaSettings::new("b:1");
        let mut empty = settings();
        empty.in_flight_messages = 0;
        let mut interval = Transactions::new("p");
        interval.interval = Duration::ZERO;
        for (settings, part) in [
            (KafkaSettings::new(" "), "no broker"),
            (empty, "in_flight_messages"),
            (settings().create_topics(NewTopics::new(0)), "partition"),
            (settings().create_topics(NewTopics::new(1).replication(0)), "copy"),
            (settings().transactions(Transactions::new("")), "id"),
            (settings().transactions(interval), "interval"),
        ] {
            let error = settings.validate().unwrap_err();
            assert!(error.to_string().contains(part), "{error}");
        }
        settings().validate().unwrap();
    }
}

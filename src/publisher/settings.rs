//! A publisher's settings.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::ClientConfig;

/// How a [`KafkaPublisher`](crate::publisher::KafkaPublisher) connects and sends.
#[derive(Debug, Clone)]
pub struct KafkaSettings {
    /// `host:port,…` of some brokers.
    pub brokers: String,
    /// Further settings of librdkafka, by its own names; they win over the publisher's.
    pub options: BTreeMap<String, String>,
    /// How long the first contact may take. 10 s.
    pub connect_timeout: Duration,
    /// Messages that may wait in the producer before groups pause. 20 000: some seconds of
    /// what one process sends, some tens of MB.
    pub queue: u32,
}

impl KafkaSettings {
    /// Default settings for these brokers.
    pub fn new(brokers: impl Into<String>) -> Self {
        Self {
            brokers: brokers.into(),
            options: BTreeMap::new(),
            connect_timeout: Duration::from_secs(10),
            queue: 20_000,
        }
    }

    /// Sets an option of librdkafka.
    pub fn option(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.options.insert(name.into(), value.into());
        self
    }

    pub(crate) fn client_config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.brokers)
            .set("client.id", "messina")
            // Per key, messages arrive once and in order, also when requests are repeated.
            .set("enable.idempotence", "true")
            .set("acks", "all")
            // A broker that is away is waited for: the lag shows it, nothing is given up.
            .set("message.timeout.ms", "0")
            .set("queue.buffering.max.messages", self.queue.to_string())
            // 5 ms is librdkafka's own default; 1 ms costs little here and saves latency.
            .set("linger.ms", "1")
            .set("compression.type", "none");
        for (name, value) in &self.options {
            config.set(name, value);
        }
        config
    }
}

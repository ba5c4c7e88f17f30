//! What publishing costs beside a bare rdkafka producer that sends the same bytes with the
//! same settings, in one run:
//!
//!     cargo bench --bench publishing
//!
//! The embedded broker, or the one that `KAFKA_BROKERS` names. `EVENTS` of them (200 000),
//! five rounds each, in turn.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use messina::consumer::{EventHandler, Handled};
use messina::publisher::{Envelope, KafkaSettings, KafkaSink, NewTopics, PayloadOnly, Publisher};
use messina::testing::envelope;
use messina::{AggregateId, EventEnvelope, Payload};
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseRecord, DeliveryResult, ProducerContext, ThreadedProducer};
use rdkafka::{ClientConfig, ClientContext};

const TOPIC: &str = "order-events";
const IN_FLIGHT: usize = 20_000;
const ROUNDS: usize = 5;

fn events(number: usize) -> Vec<EventEnvelope> {
    let ids: Vec<AggregateId> = (0..1000).map(|_| AggregateId::new()).collect();
    (0..number)
        .map(|n| {
            let mut event = envelope("Order", (n / ids.len()) as i64 + 1);
            event.aggregate_id = ids[n % ids.len()];
            event.event =
                Payload::from_json_text(format!(r#"{{"n":{n},"pad":"{}"}}"#, "x".repeat(200)));
            event
        })
        .collect()
}

#[derive(Clone, Default)]
struct Delivered(Arc<AtomicUsize>);

impl ClientContext for Delivered {}

impl ProducerContext for Delivered {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        assert!(result.is_ok(), "{result:?}");
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Key, headers and body are at hand: only producing counts.
fn bare(brokers: &str, events: &[EventEnvelope]) -> Duration {
    let records: Vec<_> = events
        .iter()
        .map(|event| {
            let wrapped = PayloadOnly.wrap(event).unwrap();
            let headers: Vec<(String, String)> =
                wrapped.headers.iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
            (event.aggregate_id.to_string(), headers, event.event.as_str(), event.created_at)
        })
        .collect();
    let delivered = Delivered::default();
    let producer: ThreadedProducer<Delivered> = ThreadedProducer::from_config_and_context(
        ClientConfig::new()
            .set("bootstrap.servers", brokers)
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("linger.ms", "1")
            .set("partitioner", "murmur2_random")
            .set("enable.gapless.guarantee", "true")
            .set("message.timeout.ms", "0")
            .set("queue.buffering.max.messages", (2 * IN_FLIGHT).to_string()),
        delivered.clone(),
    )
    .unwrap();
    let began = Instant::now();
    for (sent, (key, headers, payload, timestamp)) in records.iter().enumerate() {
        while sent - delivered.0.load(Ordering::Relaxed) >= IN_FLIGHT {
            std::thread::sleep(Duration::from_micros(200));
        }
        let headers = headers
            .iter()
            .fold(OwnedHeaders::new_with_capacity(headers.len()), |all, (key, value)| {
                all.insert(Header { key, value: Some(value) })
            });
        let record =
            BaseRecord::to(TOPIC).key(key).payload(*payload).timestamp(*timestamp).headers(headers);
        producer.send(record).map_err(|(error, _)| error).unwrap();
    }
    while delivered.0.load(Ordering::Relaxed) < events.len() {
        std::thread::sleep(Duration::from_micros(200));
    }
    began.elapsed()
}

/// As a group does it: in order, up to so many on their way.
async fn published(brokers: &str, events: &[EventEnvelope]) -> Duration {
    let sink = KafkaSink::connect(KafkaSettings::new(brokers)).await.unwrap();
    let publisher = Publisher::new(sink);
    let began = Instant::now();
    let mut in_flight = FuturesUnordered::new();
    for event in events {
        if let Handled::Pending(delivery) = publisher.handle(event).await.unwrap() {
            in_flight.push(delivery);
        }
        while in_flight.len() >= IN_FLIGHT {
            in_flight.next().await.unwrap().unwrap();
        }
    }
    while let Some(result) = in_flight.next().await {
        result.unwrap();
    }
    began.elapsed()
}

#[tokio::main]
async fn main() {
    let number = std::env::var("EVENTS").map_or(200_000, |n| n.parse().unwrap());
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic(TOPIC, 6, 1).unwrap();
    let brokers = std::env::var("KAFKA_BROKERS").unwrap_or_else(|_| cluster.bootstrap_servers());
    if std::env::var("KAFKA_BROKERS").is_ok() {
        let settings = KafkaSettings::new(&brokers).create_topics(NewTopics::new(6));
        KafkaSink::connect(settings).await.unwrap().ensure_topics([TOPIC]).await.unwrap();
    }
    let events = Arc::new(events(number));
    let rate = |took: Duration| number as f64 / took.as_secs_f64();
    let mut rates: [Vec<f64>; 2] = Default::default();
    for round in 1..=ROUNDS {
        let (address, all) = (brokers.clone(), Arc::clone(&events));
        let alone = tokio::task::spawn_blocking(move || bare(&address, &all)).await.unwrap();
        let ours = published(&brokers, &events).await;
        println!("round {round}: bare {:>9.0}/s   messina {:>9.0}/s", rate(alone), rate(ours));
        rates[0].push(rate(alone));
        rates[1].push(rate(ours));
    }
    let [bare, ours] = rates.map(|mut rates| {
        rates.sort_by(f64::total_cmp);
        rates[ROUNDS / 2]
    });
    println!("median: bare {bare:.0}/s, messina {ours:.0}/s: {:.0} %", 100.0 * ours / bare);
}

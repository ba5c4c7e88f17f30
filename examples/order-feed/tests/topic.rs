//! Reading a topic of an embedded broker.

use std::time::Duration;

use order_feed::{Counts, Feed, FeedError};
use rdkafka::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{FutureProducer, FutureRecord};
use uuid::Uuid;

async fn send(producer: &FutureProducer, order: Uuid, number: u64) {
    let headers = [
        ("event_id", Uuid::from_u64_pair(order.as_u64_pair().1, number).to_string()),
        ("sequence_number", number.to_string()),
        ("event_type", if number == 1 { "OrderPlaced" } else { "OrderShipped" }.to_owned()),
    ];
    let headers = headers.iter().fold(OwnedHeaders::new(), |all, (key, value)| {
        all.insert(Header { key, value: Some(value) })
    });
    let key = order.to_string();
    let record = FutureRecord::to("order-events").key(&key).payload("{}").headers(headers);
    producer.send(record, Duration::from_secs(10)).await.unwrap();
}

#[tokio::test]
async fn repetitions_are_dropped_and_the_view_counts_the_rest() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("order-events", 2, 1).unwrap();
    let brokers = cluster.bootstrap_servers();
    let producer: FutureProducer =
        ClientConfig::new().set("bootstrap.servers", &brokers).create().unwrap();
    let (first, second) = (Uuid::from_u128(1), Uuid::from_u128(2));
    for (order, number) in
        [(first, 1), (second, 1), (first, 2), (first, 1), (first, 2), (second, 2)]
    {
        send(&producer, order, number).await;
    }
    let mut feed = Feed::join(&brokers, "test", "order-events").unwrap();
    let expected = Counts { events: 4, repeated: 2, gaps: 0 };
    for _ in 0..20 {
        feed.read_until_quiet(Duration::from_secs(1)).await.unwrap();
        if feed.view().counts() == expected {
            break;
        }
    }
    assert_eq!(feed.view().counts(), expected);
    assert_eq!(feed.view().orders(), 2);
    assert_eq!(feed.view().by_type()["OrderShipped"], 2);
}

#[tokio::test]
async fn a_record_that_is_no_event_is_named() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("order-events", 1, 1).unwrap();
    let brokers = cluster.bootstrap_servers();
    let producer: FutureProducer =
        ClientConfig::new().set("bootstrap.servers", &brokers).create().unwrap();
    let record = FutureRecord::to("order-events").key("k").payload("{}");
    producer.send(record, Duration::from_secs(10)).await.unwrap();
    let mut feed = Feed::join(&brokers, "test", "order-events").unwrap();
    let error = loop {
        if let Err(error) = feed.read_until_quiet(Duration::from_secs(1)).await {
            break error;
        }
    };
    assert!(matches!(error, FeedError::Record(_)), "{error}");
    assert!(error.to_string().contains("0/0 has no valid key"), "{error}");
}

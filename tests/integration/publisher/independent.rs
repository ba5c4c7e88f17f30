//! Against a broker that is not librdkafka's own (`KAFKA_BROKERS`; left out without it).

use std::time::Duration;

use messina::publisher::{KafkaSink, NewTopics, Publisher, Transactions};

use crate::support::{KafkaProxy, TestKafka, assert_in_order, feed, histories, independent_broker};

#[tokio::test(flavor = "multi_thread")]
async fn lost_answers_double_nothing() {
    let Some(broker) = independent_broker() else { return };
    let proxy = KafkaProxy::start(&broker).await;
    let kafka = TestKafka::at(&proxy.address);
    let settings = kafka.settings().create_topics(NewTopics::new(4));
    let publisher = Publisher::new(KafkaSink::connect(settings).await.unwrap());
    let mut events = histories(&kafka.aggregate_type, 20, 5, 50);
    assert_eq!(feed(&publisher, &events).await.restarts, 0);
    proxy.drop_produce_responses(5);
    let mut more = histories(&kafka.aggregate_type, 20, 50, 50);
    let fed = feed(&publisher, &more).await;
    assert!(fed.refused.is_empty() && fed.restarts == 0, "{fed:?}");
    assert_eq!(proxy.dropped(), 5);
    events.append(&mut more);
    let records = kafka.read_all(&events).await;
    assert_eq!(assert_in_order(&records, &events), 0, "nothing is doubled");
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_answers_within_transactions_double_nothing() {
    let Some(broker) = independent_broker() else { return };
    let proxy = KafkaProxy::start(&broker).await;
    let kafka = TestKafka::at(&proxy.address);
    let mut transactions = Transactions::new(kafka.aggregate_type.clone());
    transactions.batch = 100;
    let settings = kafka.settings().create_topics(NewTopics::new(4)).transactions(transactions);
    let publisher = Publisher::new(KafkaSink::connect(settings).await.unwrap());
    let events = histories(&kafka.aggregate_type, 10, 50, 50);
    proxy.drop_produce_responses(3);
    let fed = feed(&publisher, &events).await;
    assert!(fed.refused.is_empty(), "{fed:?}");
    assert_eq!(proxy.dropped(), 3);
    let records = kafka.read_all(&events).await;
    assert_eq!(assert_in_order(&records, &events), 0, "nothing is doubled");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_cannot_be_reached_for_a_while_gets_everything_once_and_in_order() {
    let Some(broker) = independent_broker() else { return };
    let proxy = KafkaProxy::start(&broker).await;
    let kafka = TestKafka::at(&proxy.address);
    let settings =
        kafka.settings().create_topics(NewTopics::new(4)).option("reconnect.backoff.max.ms", "200");
    let publisher = Publisher::new(KafkaSink::connect(settings).await.unwrap());
    let mut events = histories(&kafka.aggregate_type, 20, 5, 50);
    feed(&publisher, &events).await;
    let mut more = histories(&kafka.aggregate_type, 20, 100, 50);
    let outage = async {
        proxy.away();
        tokio::time::sleep(outage()).await;
        proxy.back();
    };
    let (fed, ()) = tokio::join!(feed(&publisher, &more), outage);
    assert!(fed.refused.is_empty() && fed.restarts == 0, "{fed:?}");
    events.append(&mut more);
    let records = kafka.read_all(&events).await;
    assert_eq!(assert_in_order(&records, &events), 0, "nothing is doubled");
}

/// Two seconds, or `OUTAGE_SECONDS` for a longer look.
fn outage() -> Duration {
    let asked = std::env::var("OUTAGE_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    Duration::from_secs(asked.unwrap_or(2))
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_are_made_as_the_settings_say() {
    let Some(broker) = independent_broker() else { return };
    let kafka = TestKafka::at(&broker);
    let topics = NewTopics::new(7).replication(1).config("retention.ms", "3600000");
    let sink = KafkaSink::connect(kafka.settings().create_topics(topics)).await.unwrap();
    sink.ensure_topics([kafka.topic()]).await.unwrap();
    sink.ensure_topics([kafka.topic()]).await.unwrap();
    assert_eq!(kafka.partitions().await, 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_publisher_is_fenced_off_by_a_new_one_of_its_name() {
    let Some(broker) = independent_broker() else { return };
    let kafka = TestKafka::at(&broker);
    let settings = kafka
        .settings()
        .create_topics(NewTopics::new(1))
        .transactions(Transactions::new(kafka.aggregate_type.clone()));
    let old = Publisher::new(KafkaSink::connect(settings.clone()).await.unwrap());
    let events = histories(&kafka.aggregate_type, 3, 10, 10);
    feed(&old, &events[..15]).await;
    let new = Publisher::new(KafkaSink::connect(settings).await.unwrap());
    let fed = feed(&new, &events[9..]).await;
    assert!(fed.refused.is_empty(), "{fed:?}");
    drop(old);
    let records = kafka.read_all(&events).await;
    assert_eq!(assert_in_order(&records, &events), 6, "what was sent by both is there twice");
}

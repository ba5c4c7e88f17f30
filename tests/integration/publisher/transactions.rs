//! Publishing in transactions.

use std::time::Duration;

use messina::EventEnvelope;
use messina::publisher::{KafkaSettings, KafkaSink, Publisher, PublisherError, Transactions};
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use crate::support::{TestKafka, assert_in_order, feed, histories};

fn transactional(settings: KafkaSettings) -> KafkaSettings {
    let mut transactions = Transactions::new(format!("t-{}", uuid::Uuid::new_v4().simple()));
    transactions.batch = 50;
    transactions.interval = Duration::from_millis(20);
    settings.transactions(transactions)
}

async fn publisher(kafka: &TestKafka) -> Publisher<KafkaSink> {
    let sink = KafkaSink::connect(transactional(kafka.settings())).await.unwrap();
    Publisher::new(sink).routing(kafka.routing())
}

#[tokio::test(flavor = "multi_thread")]
async fn committed_events_are_read_in_order() {
    let kafka = TestKafka::start("Transacted");
    let publisher = publisher(&kafka).await;
    let events = histories("Transacted", 10, 20, 10);
    let fed = feed(&publisher, &events).await;
    assert!(fed.refused.is_empty() && fed.restarts == 0, "{fed:?}");
    assert_eq!(assert_in_order(&kafka.read_all(&events).await, &events), 0, "nothing is doubled");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_in_a_transaction_that_failed_comes_again_in_order() {
    let kafka = TestKafka::embedded("Order");
    let publisher = publisher(&kafka).await;
    let failed = RDKafkaRespErr::RD_KAFKA_RESP_ERR_INVALID_RECORD;
    kafka.cluster().request_errors(RDKafkaApiKey::Produce, &[failed]);
    let events = histories("Order", 10, 20, 10);
    let fed = feed(&publisher, &events).await;
    assert!(fed.refused.is_empty(), "alone, all are accepted: {fed:?}");
    assert!(fed.restarts > 0, "{fed:?}");
    assert_in_order(&kafka.read_all(&events).await, &events);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_message_does_not_take_its_transaction_with_it() {
    let kafka = TestKafka::embedded("Order");
    // One key, and time enough for all to be in one batch.
    let settings = transactional(kafka.settings()).option("linger.ms", "200");
    let publisher = Publisher::new(KafkaSink::connect(settings).await.unwrap());
    let too_large = RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE;
    kafka.cluster().request_errors(RDKafkaApiKey::Produce, &[too_large, too_large]);
    let events = histories("Order", 1, 5, 10);
    let fed = feed(&publisher, &events).await;
    let [(refused, reason)] = &fed.refused[..] else { panic!("one is refused: {fed:?}") };
    assert!(reason.contains("Message size too large"), "{reason}");
    let accepted: Vec<EventEnvelope> =
        events.into_iter().filter(|e| e.event_id != *refused).collect();
    assert_in_order(&kafka.read_all(&accepted).await, &accepted);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_away_within_a_transaction_is_waited_for() {
    let kafka = TestKafka::embedded("Order");
    let publisher = publisher(&kafka).await;
    let events = histories("Order", 10, 10, 10);
    let outage = async {
        tokio::time::sleep(Duration::from_millis(10)).await;
        kafka.cluster().broker_down(-1).unwrap();
        tokio::time::sleep(Duration::from_millis(1000)).await;
        kafka.cluster().broker_up(-1).unwrap();
    };
    let (fed, ()) = tokio::join!(feed(&publisher, &events), outage);
    assert!(fed.refused.is_empty(), "{fed:?}");
    assert_in_order(&kafka.read_all(&events).await, &events);
}

#[tokio::test]
async fn a_broker_without_transactions_is_said_at_the_start() {
    let mut settings = transactional(KafkaSettings::new("127.0.0.1:1"));
    settings.connect_timeout = Duration::from_millis(300);
    let error = KafkaSink::connect(settings).await.unwrap_err();
    assert!(matches!(error, PublisherError::Unreachable { .. }), "{error}");
}

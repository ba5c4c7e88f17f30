//! What a broker refuses, and what it does not.

use std::time::Duration;

use messina::EventEnvelope;
use messina::consumer::{EventHandler, Handled, HandlerError};
use messina::publisher::{KafkaSettings, KafkaSink, Publisher};
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use crate::support::{TestKafka, assert_in_order, feed, histories};

async fn publisher(settings: KafkaSettings) -> Publisher<KafkaSink> {
    Publisher::new(KafkaSink::connect(settings).await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_refused_batch_only_the_message_that_is_at_fault_is_refused() {
    let kafka = TestKafka::embedded("Order");
    // One key, and time enough for all to be in one batch.
    let publisher = publisher(kafka.settings().option("linger.ms", "200")).await;
    let too_large = RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE;
    // Whatever is in the first batch, and then one of its messages that was sent alone.
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
async fn a_topic_that_may_not_be_written_refuses_each_event_with_the_brokers_reason() {
    let kafka = TestKafka::embedded("Order");
    let publisher = publisher(kafka.settings()).await;
    let not_authorised = RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
    kafka.cluster().request_errors(RDKafkaApiKey::Produce, &[not_authorised; 100]);
    let events = histories("Order", 1, 3, 10);
    let fed = feed(&publisher, &events).await;
    assert_eq!(fed.refused.len(), 3, "{fed:?}");
    assert_eq!(fed.restarts, 1, "after the first, each is tried alone: {fed:?}");
    for (_, reason) in &fed.refused {
        assert!(reason.contains("authorization"), "{reason}");
    }
    // The rights have been given: it goes on.
    kafka.cluster().clear_request_errors(RDKafkaApiKey::Produce);
    let events = histories("Order", 3, 3, 10);
    let fed = feed(&publisher, &events).await;
    assert!(fed.refused.is_empty(), "{fed:?}");
    assert_in_order(&kafka.read_all(&events).await, &events);
}

#[tokio::test]
async fn a_message_above_the_producers_own_limit_is_refused_at_once() {
    let kafka = TestKafka::embedded("Order");
    let publisher = publisher(kafka.settings().option("message.max.bytes", "2000")).await;
    let small = histories("Order", 1, 1, 10);
    let large = histories("Order", 1, 1, 3000);
    let Err(HandlerError::Poison(reason)) = publisher.handle(&large[0]).await else {
        panic!("it is refused");
    };
    assert!(reason.to_string().contains("Message size too large"), "{reason}");
    assert!(feed(&publisher, &small).await.refused.is_empty());
}

#[tokio::test]
async fn an_event_without_a_topic_is_refused_and_says_what_to_do() {
    let kafka = TestKafka::embedded("Order");
    let mut settings = kafka.settings();
    settings.topic_timeout = Duration::from_millis(300);
    let publisher = publisher(settings).await;
    let unknown = RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
    kafka.cluster().topic_error("invoice-events", unknown).unwrap();
    let events = histories("Invoice", 1, 2, 10);
    for event in &events {
        let Err(HandlerError::Poison(reason)) = publisher.handle(event).await else {
            panic!("it is refused");
        };
        let reason = reason.to_string();
        assert!(reason.contains("topic invoice-events does not exist"), "{reason}");
        assert!(reason.contains("rpk topic create invoice-events"), "{reason}");
    }
    // Other topics are none the worse.
    let events = histories("Order", 1, 2, 10);
    assert!(feed(&publisher, &events).await.refused.is_empty());
    let error = publisher.sink().ensure_topics(["invoice-events"]).await.unwrap_err();
    assert!(error.to_string().contains("does not exist"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_leaders_and_timeouts_are_waited_for() {
    let kafka = TestKafka::embedded("Order");
    let settings = kafka.settings().option("retry.backoff.ms", "20");
    let publisher = publisher(settings).await;
    kafka.cluster().request_errors(
        RDKafkaApiKey::Produce,
        &[
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__TRANSPORT,
        ],
    );
    for partition in 0..4 {
        kafka.cluster().partition_leader(&kafka.topic(), partition, None).unwrap();
    }
    let events = histories("Order", 5, 20, 10);
    let feeding = feed(&publisher, &events);
    let electing = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        for partition in 0..4 {
            kafka.cluster().partition_leader(&kafka.topic(), partition, Some(1)).unwrap();
        }
    };
    let (fed, ()) = tokio::join!(feeding, electing);
    assert!(fed.refused.is_empty() && fed.restarts == 0, "{fed:?}");
    assert_in_order(&kafka.read_all(&events).await, &events);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_is_in_flight_than_is_allowed() {
    let kafka = TestKafka::embedded("Order");
    let mut settings = kafka.settings();
    settings.in_flight_messages = 10;
    let publisher = publisher(settings).await;
    let events = histories("Order", 1, 30, 10);
    publisher.handle(&events[0]).await.unwrap();
    kafka.cluster().broker_down(-1).unwrap();
    let mut taken = Vec::new();
    for event in &events[1..] {
        let waiting = tokio::time::timeout(Duration::from_millis(300), publisher.handle(event));
        match waiting.await {
            Ok(Ok(Handled::Pending(delivery))) => taken.push(delivery),
            Ok(other) => panic!("{other:?}"),
            Err(_) => break,
        }
    }
    assert!(taken.len() <= 10, "{}", taken.len());
    kafka.cluster().broker_up(-1).unwrap();
    for delivery in taken {
        delivery.await.unwrap();
    }
}

//! From an append to the topic, and what keeps a publisher from starting.

use std::collections::HashMap;
use std::time::Duration;

use messina::consumer::ConsumerGroup;
use messina::publisher::{KafkaSettings, KafkaSink, Publisher, PublisherError};
use messina::{AggregateId, CommandHandler, CorrelationId};

use crate::support::{Account, AccountCommand, TestDb, TestKafka, quick, until};

#[tokio::test(flavor = "multi_thread")]
async fn events_arrive_in_order_per_key_with_their_headers() {
    let db = TestDb::start().await;
    let store = db.store().await;
    let kafka = TestKafka::start("Account");
    let sink = KafkaSink::connect(kafka.settings()).await.unwrap();
    let publisher = Publisher::new(sink).routing(kafka.routing());
    let group = ConsumerGroup::builder(store.clone(), "publisher", publisher)
        .settings(quick())
        .start()
        .await
        .unwrap();
    let accounts = CommandHandler::<Account>::new(store);
    let mut versions: HashMap<String, i64> = HashMap::new();
    let request = CorrelationId::new();
    for n in 0..10 {
        let id = AggregateId::new();
        let open = AccountCommand::Open { owner: format!("owner {n}") };
        accounts.execute(id, open).correlation_id(request).await.unwrap();
        let reply = accounts.execute(id, AccountCommand::DepositMany { times: 20 }).await.unwrap();
        versions.insert(id.to_string(), reply.version);
    }
    let mine = versions.clone();
    let total: i64 = versions.values().sum();
    let records = kafka
        .read_until(move |records| {
            records.iter().filter(|r| mine.contains_key(&r.key)).count() as i64 >= total
        })
        .await;
    let mut last: HashMap<&str, i64> = HashMap::new();
    for record in records.iter().filter(|r| versions.contains_key(&r.key)) {
        let number: i64 = record.header("sequence_number").unwrap().parse().unwrap();
        assert_eq!(number, last.get(record.key.as_str()).copied().unwrap_or(0) + 1, "{record:?}");
        last.insert(&record.key, number);
        assert_eq!(record.header("aggregate_type"), Some("Account"));
        assert!(record.header("event_id").unwrap().parse::<uuid::Uuid>().is_ok());
        if number == 1 {
            assert_eq!(record.header("event_type"), Some("AccountOpened"));
            assert_eq!(record.header("correlation_id"), Some(request.to_string().as_str()));
            assert!(record.payload.contains("owner"), "{}", record.payload);
        } else {
            assert_eq!(record.header("event_type"), Some("MoneyDeposited"));
            assert_eq!(record.header("event_version"), Some("2"));
        }
    }
    assert_eq!(last.len(), 10);
    until("every event is acknowledged", || async { group.status().handled as i64 >= total }).await;
    assert_eq!(group.stop().await.unwrap().in_flight, 0);
}

#[tokio::test]
async fn a_broker_that_is_not_there_is_said_at_the_start() {
    let mut settings = KafkaSettings::new("127.0.0.1:1");
    settings.connect_timeout = Duration::from_millis(500);
    let error = KafkaSink::connect(settings).await.unwrap_err();
    assert!(matches!(error, PublisherError::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains("127.0.0.1:1"), "{error}");
}

#[tokio::test]
async fn an_option_that_librdkafka_does_not_know_is_refused() {
    let settings = KafkaSettings::new("127.0.0.1:1").option("no.such.option", "1");
    let error = KafkaSink::connect(settings).await.unwrap_err();
    assert!(matches!(error, PublisherError::Settings(_)), "{error}");
    assert!(error.to_string().contains("no.such.option"), "{error}");
}

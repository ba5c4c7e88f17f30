//! The broker goes away and comes back.

use std::collections::HashMap;
use std::time::Duration;

use messina::consumer::ConsumerGroup;
use messina::publisher::{KafkaSink, Publisher};
use messina::{AggregateId, CommandHandler};

use crate::support::{Account, AccountCommand, TestDb, TestKafka, quick, until};

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_reordered_while_the_broker_is_away() {
    let db = TestDb::start().await;
    let store = db.store().await;
    let kafka = TestKafka::embedded("Account");
    let settings = kafka.settings().option("reconnect.backoff.max.ms", "200");
    let publisher = Publisher::new(KafkaSink::connect(settings).await.unwrap());
    let group = ConsumerGroup::builder(store.clone(), "publisher", publisher)
        .settings(quick())
        .start()
        .await
        .unwrap();
    let accounts = CommandHandler::<Account>::new(store);
    let ids: Vec<AggregateId> = (0..10).map(|_| AggregateId::new()).collect();
    for id in &ids {
        accounts.execute(*id, AccountCommand::Open { owner: "a".to_owned() }).await.unwrap();
    }
    until("the first events are there", || async { group.status().handled >= 10 }).await;

    kafka.cluster().broker_down(-1).unwrap();
    let mut versions: HashMap<String, i64> = HashMap::new();
    for _ in 0..5 {
        for id in &ids {
            let deposit = AccountCommand::DepositMany { times: 4 };
            let reply = accounts.execute(*id, deposit).await.unwrap();
            versions.insert(id.to_string(), reply.version);
        }
    }
    until("the outage shows in what is in flight", || async { group.status().in_flight > 0 }).await;
    until("the outage shows in the lag", || async {
        group.status().lag.is_some_and(|lag| lag > Duration::from_secs(1))
    })
    .await;
    kafka.cluster().broker_up(-1).unwrap();

    let total: i64 = versions.values().sum();
    until("all is acknowledged", || async { group.status().handled as i64 >= total }).await;
    let wanted = versions.clone();
    let records = kafka
        .read_until(move |records| {
            wanted.iter().all(|(key, version)| {
                records.iter().any(|r| r.key == *key && r.sequence_number() == *version)
            })
        })
        .await;
    let mut last: HashMap<&str, i64> = HashMap::new();
    for record in &records {
        let last = last.entry(&record.key).or_default();
        let number = record.sequence_number();
        // The embedded broker stores a repeated request twice; none is missing before it.
        assert!(number <= *last + 1, "{number} after {last}");
        *last = number.max(*last);
    }
    for (key, version) in &versions {
        assert_eq!(last.get(key.as_str()), Some(version));
    }
    group.stop().await.unwrap();
}

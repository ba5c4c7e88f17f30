//! A publisher whose slices move from one runner to another.

use futures::TryStreamExt;
use messina::consumer::{ConsumerGroup, GroupControl, GroupSettings, RunningGroup};
use messina::publisher::{KafkaSink, Publisher};
use messina::{AggregateId, CommandHandler, EventEnvelope, EventStore};
use tokio_util::sync::CancellationToken;

use crate::support::{
    Account, AccountCommand, TestDb, TestKafka, assert_in_order, quick, spread, until,
};

const GROUP: &str = "sliced publisher";
const SLICES: u16 = 4;

/// A runner of the group, with a producer of its own.
async fn runner(store: &EventStore, kafka: &TestKafka) -> RunningGroup {
    let sink = KafkaSink::connect(kafka.settings()).await.unwrap();
    let publisher = Publisher::new(sink).routing(kafka.routing());
    ConsumerGroup::builder(store.clone(), GROUP, publisher)
        .settings(GroupSettings { slices: Some(SLICES), ..quick() })
        .start()
        .await
        .unwrap()
}

/// Appends to each account in turn until it is told to stop; says what was appended.
async fn write_on(store: EventStore, stop: CancellationToken) -> Vec<EventEnvelope> {
    let accounts = CommandHandler::<Account>::new(store.clone());
    let ids: Vec<AggregateId> = (0..16).map(|_| AggregateId::new()).collect();
    for id in &ids {
        accounts.execute(*id, AccountCommand::Open { owner: "ann".to_owned() }).await.unwrap();
    }
    while !stop.is_cancelled() {
        for id in &ids {
            accounts.execute(*id, AccountCommand::Deposit { cents: 1 }).await.unwrap();
        }
    }
    let mut events = Vec::new();
    for id in ids {
        events.extend(store.history(id, ..).try_collect::<Vec<_>>().await.unwrap());
    }
    events
}

#[tokio::test(flavor = "multi_thread")]
async fn each_key_keeps_its_order_while_slices_move_between_runners() {
    let db = TestDb::start().await;
    let store = db.store().await;
    let kafka = TestKafka::start("Account");
    let control = GroupControl::connect(&store).await.unwrap();
    let spread = async || spread(&control, GROUP).await;
    let stop = CancellationToken::new();
    let writing = tokio::spawn(write_on(store.clone(), stop.clone()));
    let mut runners = vec![runner(&store, &kafka).await];
    until("one has all", || async { spread().await == [4] }).await;
    runners.push(runner(&store, &kafka).await);
    until("each has two", || async { spread().await == [2, 2] }).await;
    runners.remove(0).stop().await.unwrap();
    until("the other has all", || async { spread().await == [4] }).await;
    runners.push(runner(&store, &kafka).await);
    until("each has two again", || async { spread().await == [2, 2] }).await;
    stop.cancel();
    let events = writing.await.unwrap();
    let records = kafka.read_all(&events).await;
    assert_in_order(&records, &events);
    for runner in runners {
        runner.stop().await.unwrap();
    }
}

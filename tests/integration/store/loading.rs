//! Reading aggregates back.

use std::num::NonZeroU32;
use std::time::Duration;

use futures::TryStreamExt;
use messina::store::StoreSettings;
use messina::{AggregateId, CommandHandler, EventEnvelope, SnapshotPolicy, StoreError};
use messina_devdb::faults::{Fault, FaultAction, FaultHandle, Operation};

use crate::support::{Account, AccountCommand, TestDb, until};

#[tokio::test]
async fn state_is_the_fold_of_the_events_over_pages() {
    let db = TestDb::start().await;
    let settings = StoreSettings { page_size: 7, ..StoreSettings::default() };
    let store = db.store_with(settings).await;
    let accounts = CommandHandler::<Account>::new(store.clone());
    let id = AggregateId::new();
    accounts.execute(id, AccountCommand::Open { owner: "ann".to_owned() }).await.unwrap();
    let reply = accounts.execute(id, AccountCommand::DepositMany { times: 50 }).await.unwrap();
    let loaded = store.load::<Account>(id).await.unwrap();
    assert_eq!(loaded.version, 51);
    assert_eq!(loaded.state, reply.state);
    assert_eq!(store.events(id, 10, 20).await.unwrap().len(), 10);
}

#[tokio::test]
async fn a_history_is_streamed_page_by_page_within_its_bounds() {
    let db = TestDb::start().await;
    let settings = StoreSettings { page_size: 7, ..StoreSettings::default() };
    let store = db.store_with(settings).await;
    let accounts = CommandHandler::<Account>::new(store.clone());
    let id = AggregateId::new();
    accounts.execute(id, AccountCommand::Open { owner: "ann".to_owned() }).await.unwrap();
    accounts.execute(id, AccountCommand::DepositMany { times: 50 }).await.unwrap();
    let all: Vec<EventEnvelope> = store.history(id, ..).try_collect().await.unwrap();
    assert_eq!(all, store.events(id, 0, i64::MAX).await.unwrap());
    let numbers = async |history| {
        let events: Vec<EventEnvelope> = TryStreamExt::try_collect(history).await.unwrap();
        events.iter().map(|event| event.sequence_number).collect::<Vec<i64>>()
    };
    assert_eq!(numbers(store.history(id, 10..=30)).await, (10..=30).collect::<Vec<i64>>());
    assert_eq!(numbers(store.history(id, 45..)).await, (45..=51).collect::<Vec<i64>>());
    assert_eq!(numbers(store.history(id, ..3)).await, [1, 2]);
    assert!(numbers(store.history(id, 52..)).await.is_empty());
    assert!(numbers(store.history(AggregateId::new(), 1..)).await.is_empty());
}

#[tokio::test]
async fn a_history_is_told_up_to_what_cannot_be_read_and_ends_there() {
    let db = TestDb::start().await;
    let accounts = CommandHandler::<Account>::new(db.store().await);
    let id = AggregateId::new();
    accounts.execute(id, AccountCommand::Open { owner: "ann".to_owned() }).await.unwrap();
    accounts.execute(id, AccountCommand::DepositMany { times: 4 }).await.unwrap();
    let (table, key) = (format!("{}.event_store", db.keyspace), "aggregate_id = ?");
    let cql =
        format!("UPDATE {table} SET event_type = 'Burned' WHERE {key} AND sequence_number = 2");
    db.query_unpaged(cql, (id.0,)).await.unwrap();
    let cql = format!("DELETE FROM {table} WHERE {key} AND sequence_number = 4");
    db.query_unpaged(cql, (id.0,)).await.unwrap();
    let mut history = db.store().await.history(id, ..);
    for (number, event_type) in [(1, "AccountOpened"), (2, "Burned"), (3, "MoneyDeposited")] {
        let event = history.try_next().await.unwrap().unwrap();
        assert_eq!((event.sequence_number, &*event.event_type), (number, event_type));
    }
    let error = history.try_next().await.unwrap_err();
    assert!(matches!(error, StoreError::Corrupt { sequence_number: 5, .. }), "{error}");
    assert!(history.try_next().await.unwrap().is_none());
}

#[tokio::test]
async fn an_aggregate_without_events_is_new() {
    let db = TestDb::start().await;
    let loaded = db.store().await.load::<Account>(AggregateId::new()).await.unwrap();
    assert_eq!((loaded.version, loaded.state), (0, Account::default()));
}

#[tokio::test]
async fn an_aggregate_is_loaded_as_it_was() {
    let db = TestDb::start().await;
    let store = db.store().await;
    let accounts = CommandHandler::<Account>::new(store.clone());
    let id = AggregateId::new();
    assert!(!store.exists(id).await.unwrap());
    accounts.execute(id, AccountCommand::Open { owner: "ann".to_owned() }).await.unwrap();
    let reply = accounts.execute(id, AccountCommand::DepositMany { times: 9 }).await.unwrap();
    assert!(store.exists(id).await.unwrap());
    let fifth = &reply.events[3];
    let loaded = store.load_at::<Account>(id, 5).await.unwrap();
    assert_eq!((loaded.version, loaded.state.balance), (5, 4));
    assert_eq!(store.load_at::<Account>(id, 99).await.unwrap().version, 10);
    let at = |micros: i64| std::time::UNIX_EPOCH + Duration::from_micros(micros as u64);
    let loaded = store.load_as_of::<Account>(id, at(fifth.committed_at)).await.unwrap();
    assert_eq!((loaded.version, loaded.state.balance), (5, 4));
    let before = store.load_as_of::<Account>(id, at(fifth.committed_at - 1)).await.unwrap();
    assert_eq!(before.version, 4);
}

#[tokio::test]
async fn an_event_that_cannot_be_read_is_named() {
    let db = TestDb::start().await;
    let accounts = CommandHandler::<Account>::builder(db.store().await).cache_capacity(0).build();
    let cases = [
        ("event_data = '{\"cents\":\"many\"}'", "does not deserialize"),
        ("event_type = 'MoneyBurned'", "unknown event type \"MoneyBurned\""),
        ("event_version = 9", "has no version 9"),
    ];
    for (change, reason) in cases {
        let id = AggregateId::new();
        accounts.execute(id, AccountCommand::Open { owner: "ann".to_owned() }).await.unwrap();
        accounts.execute(id, AccountCommand::Deposit { cents: 5 }).await.unwrap();
        let cql = format!(
            "UPDATE {}.event_store SET {change} WHERE aggregate_id = ? AND sequence_number = 2",
            db.keyspace
        );
        db.query_unpaged(cql, (id.0,)).await.unwrap();
        let error = accounts.execute(id, AccountCommand::Look).await.unwrap_err().to_string();
        for part in [reason, &id.to_string(), "event 2 of Account", "version"] {
            assert!(error.contains(part), "{part} in: {error}");
        }
    }
}

#[tokio::test]
async fn a_missing_event_is_noticed() {
    let db = TestDb::start().await;
    let accounts = CommandHandler::<Account>::new(db.store().await);
    let id = AggregateId::new();
    accounts.execute(id, AccountCommand::Open { owner: "ann".to_owned() }).await.unwrap();
    accounts.execute(id, AccountCommand::DepositMany { times: 3 }).await.unwrap();
    let cql = format!(
        "DELETE FROM {}.event_store WHERE aggregate_id = ? AND sequence_number = 2",
        db.keyspace
    );
    db.query_unpaged(cql, (id.0,)).await.unwrap();
    let error = db.store().await.load::<Account>(id).await.unwrap_err();
    assert!(matches!(error, StoreError::Corrupt { sequence_number: 3, .. }), "{error}");
}

#[tokio::test]
async fn a_database_that_is_away_is_an_error_not_a_hang() {
    let mut db = TestDb::embedded().await;
    let settings = StoreSettings {
        request_timeout: Duration::from_millis(200),
        append_deadline: Duration::from_millis(500),
        ..StoreSettings::default()
    };
    let store = db.store_with(settings).await;
    db.shut_down().await;
    let error = store.load::<Account>(AggregateId::new()).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable { .. }), "{error}");
}

/// Reads that the node is asked for: a fault that never hits only counts.
fn reads(db: &TestDb) -> FaultHandle {
    let never = Fault::new(FaultAction::DropBefore).times(0);
    db.node().faults().add(never.operation(Operation::Read))
}

#[tokio::test]
async fn a_load_is_one_query_and_a_remembered_aggregate_none() {
    let db = TestDb::embedded().await;
    let store = db.store().await;
    let remembering = CommandHandler::<Account>::new(store.clone());
    let forgetting = CommandHandler::<Account>::builder(store.clone()).cache_capacity(0).build();
    let id = AggregateId::new();
    remembering.execute(id, AccountCommand::Open { owner: "ann".to_owned() }).await.unwrap();
    remembering.execute(id, AccountCommand::DepositMany { times: 20 }).await.unwrap();

    let reads = reads(&db);
    remembering.execute(id, AccountCommand::Deposit { cents: 1 }).await.unwrap();
    assert_eq!(reads.seen(), 0, "remembered");
    store.load::<Account>(id).await.unwrap();
    assert_eq!(reads.seen(), 1, "a load");
    forgetting.execute(id, AccountCommand::Deposit { cents: 1 }).await.unwrap();
    assert_eq!(reads.seen(), 2, "a load and an append");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_with_snapshots_is_two_queries_whether_there_is_one_or_not() {
    let db = TestDb::embedded().await;
    let every = SnapshotPolicy::Every(NonZeroU32::new(10).unwrap());
    let accounts = CommandHandler::<Account>::builder(db.store().await)
        .cache_capacity(0)
        .snapshots(every)
        .build();
    let id = AggregateId::new();
    accounts.execute(id, AccountCommand::Open { owner: "ann".to_owned() }).await.unwrap();

    let reads = reads(&db);
    accounts.load(id).await.unwrap();
    assert_eq!(reads.seen(), 2, "without one");
    accounts.execute(id, AccountCommand::DepositMany { times: 12 }).await.unwrap();
    until("the snapshot is there", || async {
        db.count("SELECT * FROM {}.aggregate_snapshots").await == 1
    })
    .await;
    let before = reads.seen();
    assert_eq!(accounts.load(id).await.unwrap().version, 13);
    assert_eq!(reads.seen() - before, 2, "with one");
}

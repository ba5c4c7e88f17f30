//! Rebuilds: beside, in place, interrupted, refused.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use messina::consumer::ConsumerGroup;
use messina::projection::{
    OnError, ProjectionHandler, Rebuild, RebuildError, RebuildMode, RebuildPhase, Writes,
};
use messina::read_model::ReadModel;
use messina::store::StoreSettings;
use messina::{
    AggregateId, CommandHandler, EventEnvelope, EventStore, Projection, ProjectionError,
};
use tokio_util::sync::CancellationToken;

use super::model::{Balances, TABLES, fill, rows};
use crate::support::{Account, AccountCommand, TestDb, quick, until};

fn rebuild(store: &EventStore) -> Rebuild {
    Rebuild::new(store.clone(), Arc::new(Balances)).following(quick())
}

async fn prepared() -> (TestDb, EventStore) {
    let db = TestDb::empty().await.with_schema(&[TABLES]).await;
    let store = db.store().await;
    (db, store)
}

async fn live(store: &EventStore) -> messina::consumer::RunningGroup {
    let handler = ProjectionHandler::new(store, Balances);
    let group = ConsumerGroup::builder(store.clone(), "balances", handler);
    group.settings(quick()).start().await.unwrap()
}

/// Deposits without end into these accounts; how many each got.
async fn deposit_until(store: EventStore, ids: Vec<AggregateId>, stop: Arc<AtomicBool>) -> i64 {
    let accounts = CommandHandler::<Account>::new(store);
    let mut rounds = 0;
    while !stop.load(Ordering::Acquire) {
        for id in &ids {
            accounts.execute(*id, AccountCommand::Deposit { cents: 1 }).await.unwrap();
        }
        rounds += 1;
    }
    rounds
}

/// What a reader saw until it was stopped.
#[derive(Debug, Default)]
struct Read {
    reads: usize,
    /// The version it last read.
    version: i32,
}

/// Reads all accounts again and again, as a service does: each must be there, whole, and never
/// go back; no query may fail.
async fn read_until(store: EventStore, ids: Vec<AggregateId>, stop: Arc<AtomicBool>) -> Read {
    let model = ReadModel::new(store.clone(), "balances");
    let (mut seen, mut read) = (HashMap::<AggregateId, i64>::new(), Read::default());
    while !stop.load(Ordering::Acquire) {
        let query = model.prepared("SELECT account, owner, balance, version FROM {balances}").await;
        let result = store.session().execute_unpaged(&query.unwrap(), ()).await.unwrap();
        let rows = result.into_rows_result().unwrap();
        let mut found = 0;
        for row in rows.rows::<(uuid::Uuid, Option<String>, Option<i64>, i64)>().unwrap() {
            let (id, owner, balance, version) = row.unwrap();
            assert!(owner.is_some() && balance.is_some(), "half of account {id}");
            let last = seen.insert(AggregateId(id), version).unwrap_or(0);
            assert!(version >= last, "account {id} at {version} after {last}");
            found += 1;
        }
        assert_eq!(found, ids.len(), "accounts found in version {}", read.version);
        // By their keys too, and from the other table.
        let query =
            model.prepared("SELECT balance FROM {by_level} WHERE level IN ('rich', 'poor')");
        let result = store.session().execute_unpaged(&query.await.unwrap(), ()).await.unwrap();
        assert!(result.into_rows_result().unwrap().rows_num() >= ids.len());
        read = Read { reads: read.reads + 1, version: model.version().await.unwrap() };
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    read
}

#[tokio::test(flavor = "multi_thread")]
async fn beside_the_live_group_and_appends_interrupted_and_resumed_no_reader_loses_anything() {
    let (db, store) = prepared().await;
    let group = live(&store).await;
    let expected = fill(&store).await;
    until("the read model is level", || async { rows(&db).await == expected }).await;
    let ids: Vec<AggregateId> = expected.0.keys().copied().collect();
    let stop = Arc::new(AtomicBool::new(false));
    let writing = tokio::spawn(deposit_until(store.clone(), ids.clone(), Arc::clone(&stop)));
    let readers: Vec<_> = (0..3)
        .map(|_| tokio::spawn(read_until(store.clone(), ids.clone(), Arc::clone(&stop))))
        .collect();
    // Dropped amid the replay, twice: as little is told to it as to a killed process.
    for _ in 0..2 {
        let reached = Arc::new(tokio::sync::Notify::new());
        let (tell, slow) = (Arc::clone(&reached), rebuild(&store).rate(100.0));
        let running = tokio::spawn(slow.run(move |progress| {
            if progress.phase == RebuildPhase::Replaying && progress.events > 20 {
                tell.notify_one();
            }
        }));
        reached.notified().await;
        running.abort();
        running.await.unwrap_err();
    }
    let report = rebuild(&store).run(|_| {}).await.unwrap();
    assert!(report.resumed, "{report:?}");
    assert_eq!((report.previous_version, report.version), (1, 2));
    let verification = report.verification.unwrap();
    assert!(verification.is_equal(), "{verification:?}");
    // What queries left is there until it is dropped, and nothing else is.
    assert_eq!(rebuild(&store).plan().await.unwrap().old_versions, [1]);
    assert_eq!(rebuild(&store).drop_old().await.unwrap(), [1]);
    assert_eq!(db.count("SELECT * FROM {}.balances").await, 0);
    assert!(rebuild(&store).drop_old().await.unwrap().is_empty());
    // Once more: this time the tables that queries leave are dropped, not emptied.
    let again = rebuild(&store).verify_before_switch(false).run(|_| {}).await.unwrap();
    assert_eq!(rebuild(&store).drop_old().await.unwrap(), [2]);
    assert_eq!(again.version, rebuild(&store).plan().await.unwrap().current_version);
    stop.store(true, Ordering::Release);
    let rounds = writing.await.unwrap();
    for reader in readers {
        let read = reader.await.unwrap();
        assert!(read.reads > 100 && read.version == again.version, "{read:?} of {again:?}");
    }
    until("the new version holds every deposit", || async {
        let (balances, _) = rows(&db).await;
        balances.len() == ids.len()
            && balances.iter().all(|(id, (_, balance, version))| {
                let (_, opened, events) = &expected.0[id];
                *balance == opened + rounds && *version == events + rounds
            })
    })
    .await;
    group.stop().await.unwrap();
    assert_eq!(rows(&db).await.0.len(), ids.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_live_group_the_log_is_followed_and_the_group_goes_on_in_the_new_version() {
    let (db, store) = prepared().await;
    let mut expected = fill(&store).await;
    let report = rebuild(&store).run(|_| {}).await.unwrap();
    assert_eq!((report.events, report.version), (56, 2));
    assert_eq!(rows(&db).await, expected);
    let more = fill(&store).await;
    expected.0.extend(more.0);
    expected.1.extend(more.1);
    let group = live(&store).await;
    until("the group writes the new version", || async { rows(&db).await == expected }).await;
    group.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_store_makes_empty_tables() {
    let (db, store) = prepared().await;
    let report = rebuild(&store).verify_before_switch(false).run(|_| {}).await.unwrap();
    assert_eq!((report.events, report.version, report.verification), (0, 2, None));
    assert_eq!(rows(&db).await, Default::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_rebuild_is_gone_on_with_and_counts_no_event_twice() {
    let (db, store) = prepared().await;
    let mut expected = fill(&store).await;
    for _ in 0..3 {
        let more = fill(&store).await;
        expected.0.extend(more.0);
        expected.1.extend(more.1);
    }
    let stop = CancellationToken::new();
    let asked = stop.clone();
    let error = rebuild(&store)
        .mode(RebuildMode::InPlace)
        .rate(30.0)
        .stop_on(stop)
        .run(move |progress| {
            if progress.events > 50 {
                asked.cancel();
            }
        })
        .await
        .unwrap_err();
    assert!(matches!(error, RebuildError::Cancelled), "{error}");
    assert!(error.to_string().contains("goes on from there"));
    let plan = rebuild(&store).mode(RebuildMode::InPlace).plan().await.unwrap();
    assert!(plan.resumes_at.is_some_and(|done| done > 0.0 && done < 1.0), "{plan:?}");
    let report = rebuild(&store).mode(RebuildMode::InPlace).run(|_| {}).await.unwrap();
    assert!(report.resumed);
    assert_eq!(report.events, 224);
    assert_eq!(rows(&db).await, expected);
    let again =
        rebuild(&store).mode(RebuildMode::InPlace).from_scratch(true).run(|_| {}).await.unwrap();
    assert_eq!((again.resumed, again.events), (false, 224));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_rebuild_is_refused_and_told_who_is_at_work() {
    let (_db, store) = prepared().await;
    fill(&store).await;
    let stop = CancellationToken::new();
    let slow = rebuild(&store).mode(RebuildMode::InPlace).rate(1.0).stop_on(stop.clone());
    let (begun, mut began) = tokio::sync::mpsc::unbounded_channel();
    let first = tokio::spawn(slow.run(move |_| begun.send(()).unwrap_or(())));
    began.recv().await.unwrap();
    let error = rebuild(&store).run(|_| {}).await.unwrap_err();
    let RebuildError::Busy { holder, task, .. } = &error else { panic!("{error}") };
    assert!(holder.contains(&format!("process {}", std::process::id())), "{holder}");
    assert_eq!(task, "rebuild in-place");
    stop.cancel();
    assert!(matches!(first.await.unwrap(), Err(RebuildError::Cancelled)));
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_cannot_be_handled_are_skipped_if_that_is_wanted_and_reported() {
    let (db, store) = prepared().await;
    let expected = fill(&store).await;
    let id = *expected.0.keys().next().unwrap();
    let cql = format!(
        "UPDATE {}.event_store SET event_data = 'not json' WHERE aggregate_id = ? \
         AND sequence_number = 3",
        db.keyspace
    );
    db.query_unpaged(cql, (id.0,)).await.unwrap();
    let report = rebuild(&store)
        .mode(RebuildMode::Truncate)
        .on_error(OnError::Skip)
        .run(|_| {})
        .await
        .unwrap();
    assert_eq!((report.events, report.skipped), (56, 1));
    let [skipped] = report.skipped_events.as_slice() else { panic!("{report:?}") };
    assert_eq!((skipped.aggregate_id, skipped.sequence_number), (id, 3));
    assert!(skipped.to_string().contains("MoneyDeposited"), "{skipped}");
    // The aggregate's later events say what is true after them.
    assert_eq!(rows(&db).await.0, expected.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_aggregate_alone_can_be_replayed() {
    let (db, store) = prepared().await;
    let expected = fill(&store).await;
    let id = *expected.0.keys().nth(3).unwrap();
    let error = rebuild(&store).only_aggregate(id).run(|_| {}).await.unwrap_err();
    assert!(matches!(error, RebuildError::Settings(_)), "{error}");
    let one = rebuild(&store).mode(RebuildMode::InPlace).only_aggregate(id);
    let report = one.run(|_| {}).await.unwrap();
    assert_eq!(report.events, 7);
    let (balances, _) = rows(&db).await;
    assert_eq!(balances.into_iter().collect::<Vec<_>>(), [(id, expected.0[&id].clone())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_that_a_new_version_would_not_be_like_are_refused_before_anything_is_done() {
    let (db, store) = prepared().await;
    let cql = format!("ALTER TABLE {}.balances WITH default_time_to_live = 3600", db.keyspace);
    db.query_unpaged(cql, ()).await.unwrap();
    let error = rebuild(&store).run(|_| {}).await.unwrap_err().to_string();
    assert!(error.contains("rows of balances expire"), "{error}");
    assert_eq!(rebuild(&store).verify_before_switch(false).plan().await.unwrap().target_version, 2);
}

/// Takes what happens to accounts and to purses.
struct Movements;

impl Projection for Movements {
    fn name(&self) -> &'static str {
        "movements"
    }

    fn aggregate_types(&self) -> &'static [&'static str] {
        &["Account", "Purse"]
    }

    fn tables(&self) -> &'static [&'static str] {
        &["balances"]
    }

    fn handle_event(
        &self,
        event: &EventEnvelope,
        writes: &mut Writes,
    ) -> Result<(), ProjectionError> {
        writes
            .put("balances")
            .key("account", event.aggregate_id.0)
            .set("owner", event.aggregate_type.to_string())
            .set("version", event.sequence_number);
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_aggregate_is_read_page_by_page_and_two_types_by_one_projection() {
    let (db, _) = prepared().await;
    let settings = StoreSettings { page_size: 20, ..StoreSettings::default() };
    let store = db.store_with(settings).await;
    let accounts = CommandHandler::<Account>::new(store.clone());
    let id = AggregateId::new();
    accounts.execute(id, AccountCommand::Open { owner: "long".to_owned() }).await.unwrap();
    for _ in 0..3 {
        accounts.execute(id, AccountCommand::DepositMany { times: 150 }).await.unwrap();
    }
    for aggregate_type in ["Purse", "Wallet"] {
        let cql = format!(
            "INSERT INTO {}.event_store (aggregate_id, sequence_number, aggregate_type, event_id, \
             event_type, event_version, event_data, commit_id, committed_at, created_at) \
             VALUES (uuid(), 1, '{aggregate_type}', uuid(), 'Made', 1, '{{}}', uuid(), 10, 0)",
            db.keyspace
        );
        db.query_unpaged(cql, ()).await.unwrap();
    }
    let rebuild = Rebuild::new(store, Arc::new(Movements)).mode(RebuildMode::Truncate);
    let report = rebuild.run(|_| {}).await.unwrap();
    assert_eq!((report.events, report.writes), (452, 452));
    assert_eq!(db.count("SELECT * FROM {}.balances").await, 2);
    let long =
        "SELECT * FROM {}.balances WHERE owner = 'Account' AND version = 451 ALLOW FILTERING";
    assert_eq!(db.count(long).await, 1);
}

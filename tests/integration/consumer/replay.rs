//! Groups whose events are no longer in the log, or never were.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use messina::EventStore;
use messina::consumer::{GroupSettings, GroupState, StartFrom};

use super::recorder::{Recorder, Seen, events, fill, group};
use crate::support::{TestDb, quick, until};

/// Events that only `event_store` has: as if the log's time to live were over.
async fn forgotten_by_the_log(
    db: &TestDb,
    store: &EventStore,
) -> std::collections::HashMap<messina::AggregateId, i64> {
    log(db, false).await;
    let versions = fill(store, 12, 4).await;
    log(db, true).await;
    versions
}

async fn log(db: &TestDb, enabled: bool) {
    let cql = format!(
        "ALTER TABLE {}.outbox_messages WITH cdc = {{'enabled': {enabled}, 'ttl': 86400}}",
        db.keyspace
    );
    db.query_unpaged(cql, ()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_group_begins_with_the_first_event_of_the_store_and_goes_on_with_the_log() {
    let db = TestDb::start().await;
    let store = db.store().await;
    let mut versions = forgotten_by_the_log(&db, &store).await;
    let ids: Vec<_> = versions.keys().copied().collect();
    let seen = Arc::new(Seen { delay: Some(Duration::from_millis(2)), ..Seen::default() });
    // Events come while the replay is at work, also of aggregates that it has passed.
    let writing = tokio::spawn({
        let store = store.clone();
        async move {
            let accounts = messina::CommandHandler::<crate::support::Account>::new(store.clone());
            let mut versions = fill(&store, 3, 2).await;
            for _ in 0..5 {
                for id in &ids {
                    let deposit = crate::support::AccountCommand::Deposit { cents: 1 };
                    let version = accounts.execute(*id, deposit).await.unwrap().version;
                    versions.insert(*id, version);
                }
            }
            versions
        }
    });
    let running = group(&store, "all", Recorder(Arc::clone(&seen))).start().await.unwrap();
    versions.extend(writing.await.unwrap());
    until("every event is handled", || async { seen.has_all(&versions) }).await;
    seen.assert_complete(&versions);
    let more = fill(&store, 3, 2).await;
    until("later events are handled", || async { seen.has_all(&more) }).await;
    seen.assert_complete(&more);
    let status = running.stop().await.unwrap();
    let total = events(&versions) + events(&more);
    assert_eq!(status.handled as usize, total, "what the log showed again was dropped");
    // It is replayed once.
    assert_eq!(db.count("SELECT part FROM {}.consumer_replays").await, 0);
    let running = group(&store, "all", Recorder(Arc::clone(&seen))).start().await.unwrap();
    until("it follows", || async { running.status().following }).await;
    assert_eq!(db.count("SELECT part FROM {}.consumer_replays").await, 0);
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_that_is_interrupted_goes_on_where_it_was() {
    let db = TestDb::start().await;
    let store = db.store().await;
    let versions = forgotten_by_the_log(&db, &store).await;
    let total = events(&versions);
    let settings = GroupSettings { lanes: 1, queue: 1, ..quick() };
    let seen: Arc<Seen> = Arc::default();
    let mut handled = 0;
    for round in 1..=3 {
        let recorder = Recorder(Arc::clone(&seen));
        let builder = group(&store, "resumed", recorder).settings(settings.clone());
        let enough = total * round / 4;
        seen.enough.store(enough, Ordering::Relaxed);
        let running = builder.start().await.unwrap();
        until("it replays", || async { seen.total() >= enough }).await;
        assert_eq!(running.status().state, GroupState::Replaying);
        handled += running.stop().await.unwrap().handled as usize;
    }
    seen.enough.store(0, Ordering::Relaxed);
    let recorder = Recorder(Arc::clone(&seen));
    let running = group(&store, "resumed", recorder).settings(settings).start().await.unwrap();
    until("every event is handled", || async { seen.has_all(&versions) }).await;
    until("it follows the log", || async { running.status().state == GroupState::Running }).await;
    handled += running.stop().await.unwrap().handled as usize;
    seen.assert_complete(&versions);
    assert!(handled < 2 * total, "{handled} deliveries of {total} events in four runs");
    assert_eq!(db.count("SELECT part FROM {}.consumer_replays").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_whose_checkpoint_is_older_than_the_log_catches_up_from_the_store() {
    let db = TestDb::start().await;
    let store = db.store().await;
    let seen: Arc<Seen> = Arc::default();
    let first = fill(&store, 4, 2).await;
    let running = group(&store, "old", Recorder(Arc::clone(&seen))).start().await.unwrap();
    until("the first events are handled", || async { seen.has_all(&first) }).await;
    until("it follows", || async { running.status().following }).await;
    running.stop().await.unwrap();
    // Two days pass: the log has nothing of what happened meanwhile.
    let missed = forgotten_by_the_log(&db, &store).await;
    db.set_back("old", Duration::from_secs(2 * 86_400)).await;
    let running = group(&store, "old", Recorder(Arc::clone(&seen))).start().await.unwrap();
    until("what was missed is handled", || async { seen.has_all(&missed) }).await;
    seen.assert_complete(&missed);
    let later = fill(&store, 2, 2).await;
    until("later events are handled", || async { seen.has_all(&later) }).await;
    seen.assert_complete(&later);
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_may_begin_now_or_at_a_time() {
    let db = TestDb::start().await;
    let store = db.store().await;
    let before = fill(&store, 3, 1).await;
    // The log's times are milliseconds, and the writers' clock is ours.
    tokio::time::sleep(Duration::from_millis(5)).await;
    let time = SystemTime::now();
    let between = fill(&store, 3, 1).await;
    let starts = [
        ("now", StartFrom::Now, [false, false, true]),
        ("at_a_time", StartFrom::Time(time), [false, true, true]),
        ("long_ago", StartFrom::Time(SystemTime::UNIX_EPOCH), [true, true, true]),
        ("beginning", StartFrom::Beginning, [true, true, true]),
    ];
    let mut running = Vec::new();
    tokio::time::sleep(Duration::from_millis(5)).await;
    for (name, start, expected) in starts {
        let seen: Arc<Seen> = Arc::default();
        let recorder = Recorder(Arc::clone(&seen));
        let builder = group(&store, name, recorder).start_from(start);
        let group = builder.start().await.unwrap();
        until("it runs", || async { group.status().watermark.is_some() }).await;
        running.push((name, group, seen, expected));
    }
    let after = fill(&store, 3, 1).await;
    for (name, group, seen, expected) in running {
        let all = [&before, &between, &after];
        until("the last events are handled", || async { seen.has_all(&after) }).await;
        for (versions, expected) in all.into_iter().zip(expected) {
            if expected {
                until("they are handled", || async { seen.has_all(versions) }).await;
                seen.assert_complete(versions);
            } else {
                assert!(!seen.has_all(versions), "{name}");
            }
        }
        group.stop().await.unwrap();
    }
}

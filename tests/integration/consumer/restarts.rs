//! Groups that are stopped, killed and started again.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use messina::consumer::{GroupSettings, StartFrom};

use super::recorder::{Recorder, Seen, events, fill, group};
use crate::support::{TestDb, quick, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_group_stopped_in_the_middle_goes_on_where_it_was_and_misses_nothing() {
    let db = TestDb::start().await;
    let store = db.store().await;
    let seen = Arc::new(Seen { delay: Some(Duration::from_millis(1)), ..Seen::default() });
    let writing = tokio::spawn({
        let store = store.clone();
        async move { fill(&store, 30, 12).await }
    });
    let mut handled = 0;
    for _ in 0..6 {
        let group = group(&store, "stopped", Recorder(Arc::clone(&seen))).start().await.unwrap();
        let goal = seen.total() + 40;
        let finished = || writing.is_finished();
        until("some events are handled", || async { seen.total() >= goal || finished() }).await;
        handled += group.stop().await.unwrap().handled;
    }
    let versions = writing.await.unwrap();
    let group = group(&store, "stopped", Recorder(Arc::clone(&seen))).start().await.unwrap();
    until("every event is handled", || async { seen.has_all(&versions) }).await;
    handled += group.stop().await.unwrap().handled;
    seen.assert_complete(&versions);
    let total = events(&versions);
    println!("{total} events, {handled} deliveries over 7 runs");
    assert!(handled as usize >= total);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_dies_without_stopping_misses_nothing() {
    let db = TestDb::start().await;
    let store = db.store().await;
    let seen = Arc::new(Seen { delay: Some(Duration::from_millis(2)), ..Seen::default() });
    let versions = fill(&store, 20, 8).await;
    let total = events(&versions);
    for round in 1..=3 {
        // A runtime that is torn down takes the group with it, wherever it is.
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let (contact, keyspace, seen_there) =
            (db.node_address(), db.keyspace.clone(), Arc::clone(&seen));
        let goal = total * round / 4;
        let dying = runtime.spawn(async move {
            let session = scylla::client::session_builder::SessionBuilder::new()
                .known_node(contact)
                .build()
                .await
                .unwrap();
            let store = messina::EventStore::connect(Arc::new(session), keyspace).await.unwrap();
            // The next one waits until it has lapsed.
            let settings = GroupSettings { lease_ttl: Duration::from_secs(1), ..quick() };
            let group = group(&store, "dies", Recorder(Arc::clone(&seen_there)));
            let group = group.settings(settings).start().await.unwrap();
            until("some events are handled", || async { seen_there.total() >= goal }).await;
            std::mem::forget(group);
        });
        dying.await.unwrap();
        runtime.shutdown_background();
    }
    let group = group(&store, "dies", Recorder(Arc::clone(&seen))).start().await.unwrap();
    until("every event is handled", || async { seen.has_all(&versions) }).await;
    group.stop().await.unwrap();
    seen.assert_complete(&versions);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_never_passes_an_event_that_is_not_done() {
    let db = TestDb::start().await;
    let store = db.store().await;
    let seen: Arc<Seen> = Arc::default();
    seen.away.store(true, Ordering::Relaxed);
    // By the log, not by a replay of the store.
    let before = StartFrom::Time(SystemTime::now() - Duration::from_secs(60));
    let versions = fill(&store, 3, 2).await;
    let first = group(&store, "held", Recorder(Arc::clone(&seen))).start_from(before);
    let first = first.start().await.unwrap();
    until("the handler is called", || async { seen.calls.load(Ordering::Relaxed) > 3 }).await;
    until("the sweep is at work", || async { first.status().watermark.is_some() }).await;
    let oldest = versions.keys().map(|id| id.0.get_timestamp().unwrap().to_unix().0).min().unwrap();
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert!(first.status().retries > 0);
    assert!(first.status().watermark.unwrap() <= (oldest as i64 + 2) * 1_000_000);
    // Stopping does not wait for what cannot be handled, and does not count it as done.
    assert_eq!(first.stop().await.unwrap().handled, 0);
    seen.away.store(false, Ordering::Relaxed);
    let second = group(&store, "held", Recorder(Arc::clone(&seen))).start().await.unwrap();
    until("every event is handled", || async { seen.has_all(&versions) }).await;
    seen.assert_complete(&versions);
    second.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_generation_of_streams_is_crossed() {
    let db = TestDb::embedded().await;
    let store = db.store().await;
    let seen: Arc<Seen> = Arc::default();
    let running = group(&store, "crossing", Recorder(Arc::clone(&seen))).start().await.unwrap();
    let mut versions = fill(&store, 10, 3).await;
    db.node().engine().new_cdc_generation(Duration::from_secs(1)).unwrap();
    let writing = tokio::time::Instant::now();
    while writing.elapsed() < Duration::from_secs(3) {
        versions.extend(fill(&store, 5, 3).await);
    }
    until("every event is handled", || async { seen.has_all(&versions) }).await;
    seen.assert_complete(&versions);
    running.stop().await.unwrap();
    // After a restart it begins with the new streams.
    let running = group(&store, "crossing", Recorder(Arc::clone(&seen))).start().await.unwrap();
    let more = fill(&store, 5, 3).await;
    until("later events are handled", || async { seen.has_all(&more) }).await;
    seen.assert_complete(&more);
    running.stop().await.unwrap();
}

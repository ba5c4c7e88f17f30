//! Events reach every group, once and in order, when nothing goes wrong.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use messina::consumer::GroupState;

use super::recorder::{Recorder, Seen, events, fill, group};
use crate::support::{TestDb, until};

#[tokio::test(flavor = "multi_thread")]
async fn groups_share_nothing_and_each_sees_everything_in_order() {
    let db = TestDb::start().await;
    let store = db.store().await;
    let seen: Vec<Arc<Seen>> = (0..3).map(|_| Arc::default()).collect();
    let mut groups = Vec::new();
    for (n, seen) in seen.iter().enumerate() {
        let name = format!("group_{n}");
        let recorder = Recorder(Arc::clone(seen));
        groups.push(group(&store, &name, recorder).start().await.unwrap());
    }
    let versions = fill(&store, 20, 6).await;
    let total = events(&versions);
    for seen in &seen {
        until("every event is handled", || async { seen.total() >= total }).await;
        seen.assert_complete(&versions);
        assert_eq!(seen.total(), total, "nothing came twice");
    }
    for group in groups {
        let status = group.stop().await.unwrap();
        assert_eq!(status.handled as usize, total);
        assert_eq!((status.in_flight, status.retries), (0, 0));
        assert_eq!(status.state, GroupState::Stopped);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_is_new_begins_with_the_oldest_event_of_the_log() {
    let db = TestDb::start().await;
    let store = db.store().await;
    let versions = fill(&store, 5, 2).await;
    let seen: Arc<Seen> = Arc::default();
    let group = group(&store, "late", Recorder(Arc::clone(&seen))).start().await.unwrap();
    until("every event is handled", || async { seen.has_all(&versions) }).await;
    seen.assert_complete(&versions);
    group.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_watermark_and_the_lag_are_known() {
    let db = TestDb::start().await;
    let store = db.store().await;
    let seen: Arc<Seen> = Arc::default();
    let group = group(&store, "watched", Recorder(Arc::clone(&seen))).start().await.unwrap();
    let versions = fill(&store, 2, 1).await;
    until("every event is handled", || async { seen.has_all(&versions) }).await;
    let committed = store
        .events(*versions.keys().next().unwrap(), 0, i64::MAX)
        .await
        .unwrap()
        .last()
        .unwrap()
        .committed_at;
    until("the watermark passes the events", || async {
        group.status().watermark.is_some_and(|w| w > committed)
    })
    .await;
    let lag = group.status().lag.unwrap();
    assert!(lag >= std::time::Duration::from_millis(300), "{lag:?} is below the safety interval");
    group.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_the_log_shows_twice_is_handled_once() {
    let db = TestDb::start().await;
    let store = db.store().await;
    let seen: Arc<Seen> = Arc::default();
    let group = group(&store, "once", Recorder(Arc::clone(&seen))).start().await.unwrap();
    let versions = fill(&store, 3, 3).await;
    // What a repeated batch does: the same row, written again a little later.
    for (id, version) in &versions {
        for event in store.events(*id, 0, *version).await.unwrap() {
            let cql = format!(
                "INSERT INTO {}.outbox_messages (aggregate_id, sequence_number, aggregate_type, \
                 event_id, event_type, event_version, payload, commit_id, committed_at, created_at) \
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                db.keyspace
            );
            let values = (
                id.0,
                event.sequence_number,
                &*event.aggregate_type,
                event.event_id.0,
                &*event.event_type,
                event.event_version,
                event.event.as_str(),
                event.commit_id.0,
                event.committed_at,
                scylla::value::CqlTimestamp(event.created_at),
            );
            db.query_unpaged(cql, values).await.unwrap();
        }
    }
    let total = events(&versions);
    let written = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros() as i64;
    until("the sweep has shown all", || async { group.status().watermark > Some(written) }).await;
    assert!(group.status().duplicates as usize >= total, "{:?}", group.status());
    assert_eq!(seen.total(), total);
    seen.assert_complete(&versions);
    group.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_the_log_does_not_show_is_fetched_when_the_next_one_shows_the_gap() {
    let db = TestDb::start().await;
    let store = db.store().await;
    let seen: Arc<Seen> = Arc::default();
    let group = group(&store, "gaps", Recorder(Arc::clone(&seen))).start().await.unwrap();
    until("the log is followed", || async { group.status().following }).await;
    // Events are written while the outbox does not log; then it does again.
    let log = async |enabled: bool| {
        let cql = format!(
            "ALTER TABLE {}.outbox_messages WITH cdc = {{'enabled': {enabled}, 'ttl': 86400}}",
            db.keyspace
        );
        db.query_unpaged(cql, ()).await.unwrap();
    };
    let accounts = messina::CommandHandler::<crate::support::Account>::new(store.clone());
    let id = messina::AggregateId::new();
    let deposit = || crate::support::AccountCommand::Deposit { cents: 1 };
    let open = crate::support::AccountCommand::Open { owner: "ann".to_owned() };
    accounts.execute(id, open).await.unwrap();
    log(false).await;
    for _ in 0..3 {
        accounts.execute(id, deposit()).await.unwrap();
    }
    log(true).await;
    let reply = accounts.execute(id, deposit()).await.unwrap();
    until("the gap is closed", || async { seen.total() >= 5 }).await;
    seen.assert_complete(&[(id, reply.version)].into());
    assert_eq!(group.stop().await.unwrap().repaired, 3);
}

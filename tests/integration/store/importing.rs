//! Moving in.

use std::io::Cursor;
use std::sync::{Arc, Mutex};

use messina::import::{Difference, ImportError};
use messina::{AggregateId, EventStore};
use serde_json::{Value, json};

use super::tables;
use crate::support::{Account, TestDb};

/// An account's history: opened, then deposits of a cent each.
fn history(key: &str, events: i64) -> Vec<Value> {
    let time = |n: i64| 1_600_000_000_000 + n * 1000;
    let open = json!({ "aggregate_id": key, "type": "AccountOpened",
        "data": { "owner": key }, "time": time(0), "metadata": { "tenant": "acme" } });
    let deposits = (1..events).map(|n| {
        json!({ "aggregate_id": key, "type": "MoneyDeposited", "version": 2,
            // Two at a time.
            "data": { "cents": 1, "balance": n }, "time": time(n / 2) })
    });
    std::iter::once(open).chain(deposits).collect()
}

/// Aggregates by turns.
fn interleaved(histories: Vec<Vec<Value>>) -> Vec<Value> {
    let longest = histories.iter().map(Vec::len).max().unwrap_or(0);
    (0..longest).flat_map(|n| histories.iter().filter_map(move |h| h.get(n).cloned())).collect()
}

fn text(lines: &[Value]) -> Cursor<String> {
    Cursor::new(lines.iter().map(|line| format!("{line}\n")).collect())
}

async fn import(
    store: &EventStore,
    lines: &[Value],
) -> Result<messina::import::ImportProgress, ImportError> {
    store.import(text(lines)).aggregate_type("Account").aggregate::<Account>().run().await
}

fn id(key: &str) -> AggregateId {
    AggregateId::from_key("Account", key)
}

#[tokio::test(flavor = "multi_thread")]
async fn histories_move_in_in_order_and_a_repeat_writes_nothing() {
    let db = TestDb::start().await;
    let store = db.store().await;
    let keys: Vec<String> = (0..20).map(|n| format!("account-{n}")).collect();
    let lines = interleaved(keys.iter().map(|key| history(key, 15)).collect());
    // Half of it, then all.
    let half = import(&store, &lines[..150]).await.unwrap();
    assert_eq!((half.written, half.skipped, half.aggregates), (150, 0, 20));
    let told = Arc::new(Mutex::new(0));
    let observed = Arc::clone(&told);
    let all = store
        .import(text(&lines))
        .aggregate_type("Account")
        .aggregate::<Account>()
        .parallel(3)
        .on_progress(move |_| *observed.lock().unwrap() += 1)
        .run()
        .await
        .unwrap();
    assert_eq!((all.lines, all.written, all.skipped), (300, 150, 150));
    assert!(*told.lock().unwrap() > 0 && all.rate() > 0.0);
    for key in &keys {
        let loaded = store.load::<Account>(id(key)).await.unwrap();
        assert_eq!((loaded.version, loaded.state.balance), (15, 14));
        let (events, outbox) = tables::both(&db, id(key)).await;
        assert_eq!((events.len(), outbox.len()), (15, 15));
    }
    let events = store.events(id("account-0"), 0, i64::MAX).await.unwrap();
    assert_eq!(events[0].metadata.tenant.as_deref(), Some("acme"));
    assert_eq!(events[14].created_at, 1_600_000_007_000);
    let again = import(&store, &lines).await.unwrap();
    assert_eq!((again.written, again.skipped), (0, 300));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happened_together_is_one_commit() {
    let db = TestDb::start().await;
    let store = db.store().await;
    // Opened alone (it has metadata), one deposit in the same second, then pairs.
    import(&store, &history("ann", 6)).await.unwrap();
    let events = store.events(id("ann"), 0, i64::MAX).await.unwrap();
    let commits: Vec<_> = events.iter().map(|event| event.commit_id).collect();
    assert_ne!(commits[0], commits[1]);
    assert!(events.windows(2).all(|pair| pair[0].committed_at < pair[1].committed_at));
    assert!(
        events
            .windows(2)
            .all(|p| p[0].created_at == p[1].created_at || p[0].commit_id != p[1].commit_id)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_line_is_named_and_what_is_before_it_is_stored() {
    let db = TestDb::start().await;
    let store = db.store().await;
    for (n, change, reason) in [
        (1, json!({ "type": "MoneyBurned" }), "unknown event type \"MoneyBurned\""),
        (2, json!({ "version": 7 }), "no version 7"),
        (3, json!({ "data": { "cents": "many" } }), "does not deserialize"),
        (4, json!({ "aggregate_type": "Ledger" }), "no aggregates of type \"Ledger\""),
        (5, json!({ "tpye": "x" }), "unknown field `tpye`"),
        (6, json!({ "time": "soon" }), "time \"soon\""),
    ] {
        let key = format!("account-{n}");
        let mut lines = history(&key, 6);
        lines[3].as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let error = import(&store, &lines).await.unwrap_err();
        assert_eq!(error.line(), Some(4));
        assert!(error.to_string().starts_with("line 4: "), "{error}");
        assert!(error.to_string().contains(reason), "{reason} in: {error}");
        assert_eq!(store.load::<Account>(id(&key)).await.unwrap().version, 3);
        // Set right, it goes on.
        let done = import(&store, &history(&key, 6)).await.unwrap();
        assert_eq!((done.written, done.skipped), (3, 3));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sequence_that_does_not_continue_is_refused() {
    let db = TestDb::start().await;
    let store = db.store().await;
    let numbered = |numbers: &[i64]| {
        let mut lines = history("ann", numbers.len() as i64);
        for (line, number) in lines.iter_mut().zip(numbers) {
            line["sequence_number"] = json!(number);
        }
        lines
    };
    let error = import(&store, &numbered(&[1, 2, 4])).await.unwrap_err();
    let ImportError::Sequence { line: 3, aggregate_id, at: 2, found: 4 } = error else {
        panic!("{error}")
    };
    assert_eq!(aggregate_id, id("ann"));
    assert_eq!(store.load::<Account>(id("ann")).await.unwrap().version, 2);
    // A file that begins behind what is stored.
    let error = import(&store, &numbered(&[4, 5])).await.unwrap_err();
    assert!(matches!(error, ImportError::Sequence { line: 1, at: 2, found: 4, .. }), "{error}");
    // One that continues it.
    let more = &history("ann", 5)[2..];
    let more: Vec<Value> = more
        .iter()
        .zip(3..)
        .map(|(line, n)| {
            let mut line = line.clone();
            line["sequence_number"] = json!(n);
            line
        })
        .collect();
    assert_eq!(import(&store, &more).await.unwrap().written, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_stored_already_and_differs_is_refused() {
    let db = TestDb::start().await;
    let store = db.store().await;
    import(&store, &history("ann", 4)).await.unwrap();
    for (change, expected) in [
        (json!({ "data": { "cents": 2, "balance": 2 } }), Difference::Data),
        (json!({ "type": "MoneyWithdrawn", "version": 1 }), Difference::Type),
    ] {
        let mut lines = history("ann", 5);
        lines[2].as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let error = import(&store, &lines).await.unwrap_err();
        let ImportError::Differs { line: 3, sequence_number: 3, difference, .. } = &error else {
            panic!("{error}")
        };
        assert_eq!(*difference, expected);
        assert!(error.to_string().contains(&id("ann").to_string()), "{error}");
        assert_eq!(store.load::<Account>(id("ann")).await.unwrap().version, 4);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_imports_of_one_file_at_once_write_each_event_once() {
    let db = TestDb::start().await;
    let store = db.store().await;
    let lines = interleaved((0..8).map(|n| history(&n.to_string(), 12)).collect());
    let (one, other) = tokio::join!(import(&store, &lines), import(&store, &lines));
    let (one, other) = (one.unwrap(), other.unwrap());
    assert_eq!(one.written + other.written, 96);
    assert_eq!(one.skipped + other.skipped, 96);
    for n in 0..8 {
        let (events, outbox) = tables::both(&db, id(&n.to_string())).await;
        assert_eq!((events.len(), outbox.len()), (12, 12));
    }
}

//! Projections against a database.

pub mod model;
mod rebuild;
mod verify;

use std::sync::Arc;

use messina::consumer::ConsumerGroup;
use messina::projection::{ProjectionHandler, Rebuild, RebuildMode};

use crate::support::{TestDb, quick, until};
use model::{Balances, TABLES, fill, rows};

#[tokio::test(flavor = "multi_thread")]
async fn a_projection_follows_the_events() {
    let db = TestDb::empty().await.with_schema(&[TABLES]).await;
    let store = db.store().await;
    let handler = ProjectionHandler::new(&store, Balances);
    let group = ConsumerGroup::builder(store.clone(), "balances", handler)
        .settings(quick())
        .start()
        .await
        .unwrap();
    let expected = fill(&store).await;
    until("the read model is level", || async { rows(&db).await == expected }).await;
    group.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_leaves_what_the_live_group_leaves_also_beside_it() {
    let db = TestDb::empty().await.with_schema(&[TABLES]).await;
    let store = db.store().await;
    let handler = ProjectionHandler::new(&store, Balances);
    let group = ConsumerGroup::builder(store.clone(), "balances", handler)
        .settings(quick())
        .start()
        .await
        .unwrap();
    let mut expected = fill(&store).await;
    until("the read model is level", || async { rows(&db).await == expected }).await;
    // Damage that only a rebuild repairs, and new events while it runs.
    db.query_unpaged(
        format!(
            "INSERT INTO {}.by_level (level, account, balance) VALUES ('rich', uuid(), 1)",
            db.keyspace
        ),
        (),
    )
    .await
    .unwrap();
    let writing = tokio::spawn({
        let store = store.clone();
        async move { fill(&store).await }
    });
    let mut seen = Vec::new();
    let report = Rebuild::new(store.clone(), Arc::new(Balances))
        .mode(RebuildMode::Truncate)
        .run(|progress| seen.push(progress))
        .await
        .unwrap();
    let more = writing.await.unwrap();
    expected.0.extend(more.0);
    expected.1.extend(more.1);
    until("the read model is level", || async { rows(&db).await == expected }).await;
    assert!(report.events >= 56, "{report:?}");
    assert!(report.writes >= report.events);
    let last = seen.last().unwrap();
    assert!((last.ring - 1.0).abs() < f64::EPSILON, "{last:?}");
    assert!(seen.windows(2).all(|p| p[0].ring <= p[1].ring));
    group.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn any_order_and_repetition_of_an_aggregates_events_leaves_the_same_rows() {
    let db = TestDb::empty().await.with_schema(&[TABLES]).await;
    let store = db.store().await;
    let expected = fill(&store).await;
    let handler = ProjectionHandler::new(&store, Balances);
    let mut random = 1_u64;
    for _ in 0..4 {
        for table in ["balances", "by_level"] {
            db.query_unpaged(format!("TRUNCATE {}.{table}", db.keyspace), ()).await.unwrap();
        }
        for id in expected.0.keys() {
            let mut events = store.events(*id, 0, i64::MAX).await.unwrap();
            events.extend(events.clone());
            // Any order, from a seed.
            for i in (1..events.len()).rev() {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                events.swap(i, (random >> 33) as usize % (i + 1));
            }
            for event in &events {
                messina::consumer::EventHandler::handle(&handler, event).await.unwrap();
            }
        }
        assert_eq!(rows(&db).await, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_cannot_be_read_stops_a_rebuild_and_is_named() {
    let db = TestDb::empty().await.with_schema(&[TABLES]).await;
    let store = db.store().await;
    let expected = fill(&store).await;
    let id = expected.0.keys().next().unwrap();
    let cql = format!(
        "UPDATE {}.event_store SET event_data = 'not json' WHERE aggregate_id = ? \
         AND sequence_number = 3",
        db.keyspace
    );
    db.query_unpaged(cql, (id.0,)).await.unwrap();
    let error = Rebuild::new(store, Arc::new(Balances))
        .mode(RebuildMode::InPlace)
        .run(|_| {})
        .await
        .unwrap_err()
        .to_string();
    for part in ["event 3 of Account", &id.to_string(), "does not deserialize"] {
        assert!(error.contains(part), "{part} in: {error}");
    }
}

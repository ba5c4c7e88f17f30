//! Comparing tables with a replay.

use std::sync::Arc;

use messina::consumer::ConsumerGroup;
use messina::projection::{DifferenceKind, ProjectionHandler, Rebuild, RebuildMode, Verify};

use super::model::{Balances, TABLES, fill};
use crate::support::{TestDb, quick, until};

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_were_tampered_with_deleted_or_added_are_found() {
    let db = TestDb::empty().await.with_schema(&[TABLES]).await;
    let store = db.store().await;
    let expected = fill(&store).await;
    let replay = Rebuild::new(store.clone(), Arc::new(Balances)).mode(RebuildMode::InPlace);
    replay.run(|_| {}).await.unwrap();
    let verify = || Verify::new(store.clone(), Arc::new(Balances)).run(|_| {});
    let report = verify().await.unwrap();
    assert!(report.is_equal(), "{report:?}");
    assert_eq!((report.events, report.version, report.tables.len()), (56, 1, 2));
    assert_eq!(report.tables[0].rows + report.tables[1].rows, 16);

    let ids: Vec<_> = expected.0.keys().copied().collect();
    let ((level, id), _) = expected.1.iter().next().unwrap();
    for cql in [
        format!("UPDATE {}.balances SET balance = 1 WHERE account = {}", db.keyspace, ids[0]),
        format!("DELETE FROM {}.balances WHERE account = {}", db.keyspace, ids[1]),
        format!("DELETE FROM {}.by_level WHERE level = '{level}' AND account = {id}", db.keyspace),
        format!(
            "INSERT INTO {}.by_level (level, account, balance) VALUES ('idle', {id}, 3)",
            db.keyspace
        ),
    ] {
        db.query_unpaged(cql, ()).await.unwrap();
    }
    let report = verify().await.unwrap();
    assert_eq!(report.different_rows(), 4, "{report:?}");
    let found = |kind, table: &str| {
        let mut of_kind = report.differences.iter().filter(|d| d.kind == kind && d.table == table);
        of_kind.next().unwrap_or_else(|| panic!("{kind:?} of {table} in {report:?}")).clone()
    };
    let different = found(DifferenceKind::Different, "balances");
    assert_eq!(different.key, format!("account = {}", ids[0]));
    let balance = expected.0[&ids[0]].1.to_string();
    assert_eq!(different.columns, [("balance".to_owned(), "1".to_owned(), balance)]);
    assert_eq!(found(DifferenceKind::Missing, "balances").key, format!("account = {}", ids[1]));
    found(DifferenceKind::Missing, "by_level");
    assert!(found(DifferenceKind::Extra, "by_level").key.contains("idle"), "{report:?}");
    // Nothing of it stays.
    assert_eq!(db.count("SELECT * FROM {}.read_models").await, 1);
    let tables = "SELECT table_name FROM system_schema.tables WHERE keyspace_name = '{}'";
    let before = db.count(tables).await;
    verify().await.unwrap();
    assert_eq!(db.count(tables).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_come_meanwhile_are_no_differences() {
    let db = TestDb::empty().await.with_schema(&[TABLES]).await;
    let store = db.store().await;
    let handler = ProjectionHandler::new(&store, Balances);
    let group = ConsumerGroup::builder(store.clone(), "balances", handler)
        .settings(quick())
        .start()
        .await
        .unwrap();
    fill(&store).await;
    until("the group has caught up", || async { group.status().handled >= 56 }).await;
    let writing = tokio::spawn({
        let store = store.clone();
        async move {
            for _ in 0..5 {
                fill(&store).await;
            }
        }
    });
    let report = Verify::new(store.clone(), Arc::new(Balances)).run(|_| {}).await.unwrap();
    writing.await.unwrap();
    assert!(report.is_equal(), "{report:?}");
    group.stop().await.unwrap();
}

//! Which tables and changes a subscription gets, and what of them.

use std::collections::BTreeSet;

use messina::change::{ColumnChange, Operation};
use scylla::value::CqlValue;

use super::{Recorder, run, subscription};
use crate::support::{TestDb, until};

#[tokio::test(flavor = "multi_thread")]
async fn tables_operations_and_a_filter_select_changes() {
    let db = TestDb::start().await;
    for table in ["a", "b", "other"] {
        let create = format!(
            "CREATE TABLE {{}}.{table} (p int PRIMARY KEY, v int) WITH cdc = {{'enabled': true}}"
        );
        run(&db, &[&create]).await;
        for p in 0..10 {
            let insert = format!("INSERT INTO {{}}.{table} (p, v) VALUES ({p}, 1)");
            let update = format!("UPDATE {{}}.{table} SET v = 2 WHERE p = {p}");
            run(&db, &[&insert, &update]).await;
        }
        run(&db, &[&format!("DELETE FROM {{}}.{table} WHERE p = 3")]).await;
    }
    let recorder = Recorder::default();
    let qualified = format!("{}.b", db.keyspace);
    let even = |p: Option<&CqlValue>| p.and_then(CqlValue::as_int).is_some_and(|p| p % 2 == 0);
    let subscription = subscription(&db, "some", recorder.clone())
        .await
        .tables(["a", &qualified])
        .operations([Operation::Update, Operation::PartitionDelete])
        .filter(move |c| even(c.key.get("p")) || c.operation == Operation::PartitionDelete)
        .start()
        .await
        .unwrap();
    until("everything is handled", || async {
        let status = subscription.status();
        status.handled + status.filtered == 42
    })
    .await;
    subscription.stop().await.unwrap();
    let got: BTreeSet<(String, Operation, i32)> = recorder
        .changes()
        .iter()
        .map(|c| (c.table.to_string(), c.operation, c.key.get("p").unwrap().as_int().unwrap()))
        .collect();
    let expected: BTreeSet<_> = ["a", &qualified]
        .into_iter()
        .flat_map(|table| {
            [0, 2, 4, 6, 8].map(|p| (table.to_owned(), Operation::Update, p)).into_iter().chain([(
                table.to_owned(),
                Operation::PartitionDelete,
                3,
            )])
        })
        .collect();
    assert_eq!(got, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_of_keys_tells_which_rows_and_not_what() {
    let db = TestDb::start().await;
    run(
        &db,
        &[
            "CREATE TABLE {}.t (p int PRIMARY KEY, v int) \
             WITH cdc = {'enabled': true, 'delta': 'keys'}",
            "INSERT INTO {}.t (p, v) VALUES (7, 1) USING TTL 100",
        ],
    )
    .await;
    let recorder = Recorder::default();
    let subscription = subscription(&db, "keys", recorder.clone()).await.tables(["t"]);
    let subscription = subscription.start().await.unwrap();
    until("the change is handled", || async { recorder.len() == 1 }).await;
    subscription.stop().await.unwrap();
    let change = &recorder.changes()[0];
    assert_eq!((change.operation, &change.columns), (Operation::Insert, &None));
    assert_eq!(change.key.get("p"), Some(&CqlValue::Int(7)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_added_while_a_subscription_runs_is_among_its_changes() {
    let db = TestDb::start().await;
    run(&db, &["CREATE TABLE {}.t (p int PRIMARY KEY, v int) WITH cdc = {'enabled': true}"]).await;
    let recorder = Recorder::default();
    let subscription = subscription(&db, "added", recorder.clone()).await.tables(["t"]);
    let subscription = subscription.start().await.unwrap();
    run(&db, &["INSERT INTO {}.t (p, v) VALUES (1, 1)"]).await;
    until("the first is handled", || async { recorder.len() == 1 }).await;
    run(&db, &["ALTER TABLE {}.t ADD more list<int>", "UPDATE {}.t SET more = [5] WHERE p = 1"])
        .await;
    until("the second is handled", || async { recorder.len() == 2 }).await;
    subscription.stop().await.unwrap();
    let changes = recorder.changes();
    let more = changes[1].columns.as_ref().unwrap().get("more");
    let Some(ColumnChange::Elements(elements)) = more else { panic!("{more:?}") };
    assert!(elements.replaced);
    assert_eq!(elements.put[0].1, Some(CqlValue::Int(5)));
}

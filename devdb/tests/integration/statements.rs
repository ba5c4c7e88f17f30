//! Statements of every kind through the `scylla` driver.

use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};
use scylla::client::Compression;
use scylla::statement::batch::{Batch, BatchType};
use scylla::statement::unprepared::Statement;
use scylla::value::{MaybeUnset, Unset};

use crate::common::{connect, start, start_with};

#[tokio::test]
async fn what_is_inserted_is_selected() {
    let node = start().await;
    node.run("CREATE TABLE t (p int, c text, v double, PRIMARY KEY (p, c))").await;
    node.run("INSERT INTO t (p, c, v) VALUES (1, 'x', 0.5)").await;
    let rows: Vec<(i32, String, f64)> = node.rows("SELECT p, c, v FROM t", ()).await;
    assert_eq!(rows, [(1, "x".to_owned(), 0.5)]);
}

#[tokio::test]
async fn prepared_statements_bind_values_nulls_and_nothing() {
    let node = start().await;
    node.run("CREATE TABLE t (p int PRIMARY KEY, a text, b text)").await;
    let insert = node.session.prepare("INSERT INTO t (p, a, b) VALUES (?, ?, ?)").await.unwrap();
    node.session.execute_unpaged(&insert, (1, "a", "b")).await.unwrap();
    node.session.execute_unpaged(&insert, (1, None::<String>, Unset)).await.unwrap();
    node.session.execute_unpaged(&insert, (2, MaybeUnset::Set("x"), Unset)).await.unwrap();
    let mut rows: Vec<(i32, Option<String>, Option<String>)> =
        node.rows("SELECT p, a, b FROM t", ()).await;
    rows.sort();
    assert_eq!(rows, [(1, None, Some("b".to_owned())), (2, Some("x".to_owned()), None)]);
    assert_eq!(insert.get_variable_pk_indexes().len(), 1);
}

#[tokio::test]
async fn pages_follow_each_other() {
    let node = start().await;
    node.run("CREATE TABLE t (p int, c int, PRIMARY KEY (p, c))").await;
    let insert = node.session.prepare("INSERT INTO t (p, c) VALUES (?, ?)").await.unwrap();
    for c in 0..1000 {
        node.session.execute_unpaged(&insert, (c % 7, c)).await.unwrap();
    }
    let statement = Statement::new("SELECT c FROM t").with_page_size(33);
    let pager = node.session.query_iter(statement, ()).await.unwrap();
    let mut all: Vec<(i32,)> = pager.rows_stream::<(i32,)>().unwrap().try_collect().await.unwrap();
    all.sort_unstable();
    assert_eq!(all, (0..1000).map(|c| (c,)).collect::<Vec<_>>());

    let mut select = node.session.prepare("SELECT c FROM t WHERE p = ? AND c > ?").await.unwrap();
    select.set_page_size(10);
    select.set_use_cached_result_metadata(true);
    let pager = node.session.execute_iter(select, (3, 100)).await.unwrap();
    let rows: Vec<(i32,)> = pager.rows_stream::<(i32,)>().unwrap().try_collect().await.unwrap();
    assert_eq!(rows, (101..1000).filter(|c| c % 7 == 3).map(|c| (c,)).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_batch_mixes_text_and_prepared_statements() {
    let node = start().await;
    node.run("CREATE TABLE t (p int, c int, v text, PRIMARY KEY (p, c))").await;
    let insert = node.session.prepare("INSERT INTO t (p, c, v) VALUES (?, ?, ?)").await.unwrap();
    let mut batch = Batch::new(BatchType::Logged);
    batch.append_statement(insert);
    batch.append_statement("INSERT INTO t (p, c, v) VALUES (1, 2, 'text')");
    batch.append_statement("UPDATE t SET v = ? WHERE p = 2 AND c = 1");
    node.session.batch(&batch, ((1, 1, "prepared"), (), ("bound",))).await.unwrap();
    let rows: Vec<(i32, i32, String)> = node.rows("SELECT p, c, v FROM t", ()).await;
    assert_eq!(rows.len(), 3);
}

#[tokio::test]
async fn a_conditional_statement_says_whether_it_was_applied() {
    let node = start().await;
    node.run("CREATE TABLE heads (id int PRIMARY KEY, n bigint)").await;
    let update =
        node.session.prepare("UPDATE heads SET n = ? WHERE id = ? IF n = ?").await.unwrap();
    assert!(update.is_confirmed_lwt());
    let mut applied = Vec::new();
    for (n, expected) in [(1i64, None), (2, Some(1i64)), (3, Some(1))] {
        let result = node.session.execute_unpaged(&update, (n, 1, expected)).await.unwrap();
        let rows = result.into_rows_result().unwrap();
        applied.push(rows.single_row::<(bool, Option<i64>)>().unwrap());
    }
    assert_eq!(applied, [(true, None), (true, Some(1)), (false, Some(2))]);
}

#[tokio::test]
async fn racing_conditional_updates_lose_nothing() {
    let node = start().await;
    node.run("CREATE TABLE heads (id int PRIMARY KEY, n bigint)").await;
    node.run("INSERT INTO heads (id, n) VALUES (1, 0)").await;
    let read = node.session.prepare("SELECT n FROM heads WHERE id = 1").await.unwrap();
    let update =
        node.session.prepare("UPDATE heads SET n = ? WHERE id = 1 IF n = ?").await.unwrap();
    let writers = (0..16).map(|_| {
        let (session, read, update) = (node.session.clone(), read.clone(), update.clone());
        tokio::spawn(async move {
            let mut won = 0;
            while won < 20 {
                let rows = session.execute_unpaged(&read, ()).await.unwrap();
                let (n,) = rows.into_rows_result().unwrap().single_row::<(i64,)>().unwrap();
                let result = session.execute_unpaged(&update, (n + 1, n)).await.unwrap();
                let rows = result.into_rows_result().unwrap();
                won += u32::from(rows.single_row::<(bool, Option<i64>)>().unwrap().0);
            }
        })
    });
    futures::future::try_join_all(writers).await.unwrap();
    let rows: Vec<(i64,)> = node.rows("SELECT n FROM heads WHERE id = 1", ()).await;
    assert_eq!(rows, [(320,)]);
}

#[tokio::test]
async fn lz4_carries_large_values_both_ways() {
    carries_large_values_both_ways(Compression::Lz4).await;
}

#[tokio::test]
async fn snappy_carries_large_values_both_ways() {
    carries_large_values_both_ways(Compression::Snappy).await;
}

async fn carries_large_values_both_ways(compression: Compression) {
    let node = start_with(Some(compression)).await;
    node.run("CREATE TABLE t (p int PRIMARY KEY, v text)").await;
    let text = "compressible ".repeat(50_000);
    let insert = node.session.prepare("INSERT INTO t (p, v) VALUES (?, ?)").await.unwrap();
    for p in 0..5 {
        node.session.execute_unpaged(&insert, (p, &text)).await.unwrap();
    }
    let rows: Vec<(i32, String)> = node.rows("SELECT p, v FROM t", ()).await;
    assert_eq!(rows.len(), 5);
    assert!(rows.iter().all(|(_, v)| *v == text));
    let plain = connect(&node.devdb, None).await;
    let result = plain.query_unpaged("SELECT v FROM ks.t WHERE p = 1", ()).await.unwrap();
    assert_eq!(result.into_rows_result().unwrap().single_row::<(String,)>().unwrap().0, text);
}

#[tokio::test]
async fn many_requests_at_once_are_all_answered() {
    let node = start().await;
    node.run("CREATE TABLE t (p int PRIMARY KEY, v int)").await;
    let insert =
        Arc::new(node.session.prepare("INSERT INTO t (p, v) VALUES (?, ?)").await.unwrap());
    let results = futures::stream::iter(0..5000)
        .map(|p| {
            let (session, insert) = (node.session.clone(), insert.clone());
            async move { session.execute_unpaged(&insert, (p, p * 2)).await.map(|_| ()) }
        })
        .buffer_unordered(500)
        .collect::<Vec<_>>()
        .await;
    assert!(results.iter().all(Result::is_ok));
    let rows: Vec<(i64,)> = node.rows("SELECT count(*) FROM t", ()).await;
    assert_eq!(rows, [(5000,)]);
}

#[tokio::test]
async fn errors_keep_their_kind_and_text() {
    let node = start().await;
    let error = node.session.query_unpaged("SELEC * FROM t", ()).await.unwrap_err().to_string();
    assert!(error.contains("line 1:0 no viable alternative at input 'SELEC'"), "{error}");
    let error = node.session.query_unpaged("SELECT * FROM t", ()).await.unwrap_err().to_string();
    assert!(error.contains("unconfigured table t"), "{error}");
    node.run("CREATE TABLE t (p int PRIMARY KEY)").await;
    let error =
        node.session.query_unpaged("CREATE TABLE t (p int PRIMARY KEY)", ()).await.unwrap_err();
    assert!(error.to_string().contains("already existing table"), "{error}");
}

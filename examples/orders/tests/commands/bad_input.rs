//! What is wrong is said, with an exit code, and nothing is lost.

use messina::Schema;
use orders::service::{connect, schema};

use super::process::{ORDERS, REBUILD, RUNNER, node, run};

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_not_there_is_answered_with_those_that_are() {
    let (_node, scylla) = node().await;
    let session = connect(&scylla).await.unwrap();
    schema("orders").apply(&session).await.unwrap();
    run(RUNNER, &["--scylla", &scylla, "--group", "order_reed_model"]).await.refused_saying(&[
        "there is no group \"order_reed_model\"",
        "order_read_model, orders_by_customer, orders_by_status, redpanda_publisher",
    ]);
    run(REBUILD, &["redpanda_publisher", "--scylla", &scylla]).await.refused_saying(&[
        "there is no projection \"redpanda_publisher\"",
        "order_read_model, orders_by_customer, orders_by_status",
    ]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_not_there_is_named() {
    let nowhere = "127.0.0.1:1";
    for (program, arguments) in [
        (RUNNER, vec!["-v", "--scylla", nowhere]),
        (REBUILD, vec!["-v", "order_read_model", "--scylla", nowhere]),
        (ORDERS, vec!["--scylla", nowhere]),
    ] {
        let ended = run(program, &arguments).await;
        ended.failed_saying(&["no ScyllaDB answers at 127.0.0.1:1", "caused by"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_not_there_is_named() {
    let (_node, scylla) = node().await;
    let arguments = ["--scylla", &scylla, "--kafka", "127.0.0.1:1", "--apply-schema"];
    run(RUNNER, &arguments).await.failed_saying(&["no Kafka broker answers at 127.0.0.1:1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keyspace_that_is_not_there_or_older_is_described() {
    let (_node, scylla) = node().await;
    for (program, arguments, advice) in [
        (RUNNER, vec!["--scylla", &scylla], "projection-runner schema apply"),
        (REBUILD, vec!["order_read_model", "--scylla", &scylla], "projection-runner schema apply"),
    ] {
        let ended = run(program, &arguments).await;
        ended.failed_saying(&["keyspace orders does not exist", advice]);
    }
    let session = connect(&scylla).await.unwrap();
    Schema::new("orders").apply(&session).await.unwrap();
    run(RUNNER, &["--scylla", &scylla]).await.failed_saying(&[
        "migration orders 0001 (read_models) has not been applied",
        "table order_read_model does not exist",
        "projection-runner schema apply",
    ]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_cannot_be_read_or_is_another_is_refused() {
    run(ORDERS, &["--data", "/nowhere.csv"]).await.failed_saying(&["cannot read /nowhere.csv"]);
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    run(ORDERS, &["--data", manifest])
        .await
        .failed_saying(&["is not a file of orders: its header lacks", "order_id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn flags_that_make_no_sense_are_refused_by_their_name() {
    for (program, arguments, part) in [
        (ORDERS, vec!["--orders", "0"], "--orders"),
        (ORDERS, vec!["--safety-interval", "soon"], "--safety-interval"),
        (REBUILD, vec![], "<NAME>"),
        (REBUILD, vec!["order_read_model", "--parallel", "0"], "--parallel"),
    ] {
        let ended = run(program, &arguments).await;
        assert_eq!(ended.code, Some(2), "{ended:#?}");
        assert!(ended.stderr.contains(part), "{ended:#?}");
    }
}

//! `projection-runner`.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use messina::read_model::ReadModel;
use messina::{AggregateId, CommandHandler, EventStore};
use orders::data::generate;
use orders::domain::Order;
use orders::service::{connect, open, schema};
use uuid::Uuid;

use super::process::{REBUILD, RUNNER, broker, ended, node, run, start, terminate};

async fn prepared(scylla: &str) -> EventStore {
    let session = connect(scylla).await.unwrap();
    schema("orders").apply(&session).await.unwrap();
    open(session, "orders").await.unwrap()
}

/// Handles made-up orders; how many there are of them in the end, by status.
async fn handle_orders(store: &EventStore, seed: u64, count: usize) -> Vec<AggregateId> {
    let handler = CommandHandler::<Order>::new(store.clone());
    let run = Uuid::new_v4();
    let mut ids = Vec::new();
    for order in generate(count, seed) {
        let id = order.aggregate_id(run);
        for command in order.commands() {
            handler.execute(id, command).await.unwrap();
        }
        ids.push(id);
    }
    ids
}

const READ_MODELS: [&str; 3] = ["order_read_model", "orders_by_customer", "orders_by_status"];

/// What every read model says of an order: its status, how many items, what they cost.
type Said = (Uuid, String, i32, i64);

/// Waits until these read models, each followed by a group of its own, say of all orders
/// what the store says, and nothing of any other.
async fn until_level(store: &EventStore, read_models: &[&str], ids: &[AggregateId]) {
    let mut expected = BTreeSet::new();
    for id in ids {
        let order = store.load::<Order>(*id).await.unwrap().state;
        let placed = order.placed().unwrap();
        let status = placed.status.as_str().to_owned();
        expected.insert((id.0, status, placed.items.len() as i32, placed.total_cents()));
    }
    let began = Instant::now();
    for read_model in read_models {
        let model = ReadModel::new(store.clone(), *read_model);
        let query =
            format!("SELECT order_id, status, item_count, total_cents FROM {{{read_model}}}");
        loop {
            let query = model.prepared(&query).await.unwrap();
            let rows = store.session().execute_unpaged(&query, ()).await.unwrap();
            let rows = rows.into_rows_result().unwrap();
            let found: BTreeSet<Said> = rows.rows().unwrap().map(Result::unwrap).collect();
            if found == expected {
                break;
            }
            let differ: Vec<_> = found.symmetric_difference(&expected).collect();
            assert!(began.elapsed() < Duration::from_secs(60), "{read_model}: {differ:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

async fn count(store: &EventStore, table: &str) -> i64 {
    let cql = format!("SELECT count(*) FROM orders.{table}");
    let rows = store.session().query_unpaged(cql, ()).await.unwrap();
    rows.into_rows_result().unwrap().single_row::<(i64,)>().unwrap().0
}

#[tokio::test(flavor = "multi_thread")]
async fn it_follows_drains_on_a_signal_and_goes_on_where_it_was() {
    let (_node, scylla) = node().await;
    let broker = broker();
    let kafka = broker.bootstrap_servers();
    let quick = ["--safety-interval", "3s", "--sleep-interval", "20ms"];
    let arguments = [&["--scylla", &scylla, "--kafka", &kafka], &quick[..]].concat();
    let store = prepared(&scylla).await;
    let mut ids = Vec::new();
    for round in 0..3 {
        let runner = start(RUNNER, &arguments);
        ids.extend(handle_orders(&store, round, 15).await);
        // Now and then it is stopped before it has caught up.
        if round != 1 {
            until_level(&store, &READ_MODELS, &ids).await;
        }
        terminate(&runner).await;
        let ended = ended(runner).await;
        assert_eq!(ended.code, Some(0), "{ended:#?}");
        assert!(ended.stderr.contains("stopping"), "{ended:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_group_alone_needs_no_broker_and_can_be_rebuilt_beside_it() {
    let (_node, scylla) = node().await;
    let store = prepared(&scylla).await;
    let runner = start(
        RUNNER,
        &[
            "--scylla",
            &scylla,
            "--kafka",
            "127.0.0.1:1",
            "--group",
            "order_read_model",
            "--safety-interval",
            "3s",
            "--sleep-interval",
            "20ms",
        ],
    );
    let ids = Arc::new(handle_orders(&store, 7, 20).await);
    until_level(&store, &["order_read_model"], &ids).await;
    assert_eq!(count(&store, "orders_by_status").await, 0);
    let truncate = ["orders_by_status", "--scylla", &scylla, "--mode", "truncate"];
    run(REBUILD, &truncate).await.refused_saying(&["empty orders.orders_by_status", "--yes"]);
    run(REBUILD, &[&truncate[..], &["--yes"]].concat()).await.succeeded_saying(&["rebuilt"]);
    assert_eq!(count(&store, "orders_by_status").await, 20);
    let quick = ["--safety-interval", "300ms", "--sweep-interval", "50ms"];
    let beside = [&["order_read_model", "--scylla", &scylla], &quick[..]].concat();
    let dry = run(REBUILD, &[&beside[..], &["--dry-run"]].concat()).await;
    dry.succeeded_saying(&["would be rebuilt beside: orders.order_read_model__v2"]);
    run(REBUILD, &beside).await.succeeded_saying(&["rebuilt", "queries read version 2"]);
    // The group goes on where queries now look.
    let more = handle_orders(&store, 8, 5).await;
    until_level(&store, &["order_read_model"], &[&ids[..], &more].concat()).await;
    terminate(&runner).await;
    assert_eq!(ended(runner).await.code, Some(0));
}

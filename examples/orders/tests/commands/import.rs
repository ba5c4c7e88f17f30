//! `orders import`.

use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use messina::{Aggregate, AggregateId, EventStore};
use messina_devdb::faults::{Fault, FaultAction, Operation};
use orders::domain::Order;
use orders::service::{connect, open, schema};
use serde_json::{Value, json};

use super::process::{ORDERS, ended, node, run, start, text};

async fn prepared(scylla: &str) -> EventStore {
    let session = connect(scylla).await.unwrap();
    schema("orders").apply(&session).await.unwrap();
    open(session, "orders").await.unwrap()
}

/// An order that is placed, gets items and is cancelled.
fn history(key: &str, items: i32) -> Vec<Value> {
    let order = |status: &str, item_count: i32| {
        json!({ "customer_id": "ALFKI", "placed_at": "2016-07-04T00:00:00Z", "status": status,
            "item_count": item_count, "total_cents": 1400 * item_count })
    };
    let line = |n: i32, event_type: &str, data: Value| {
        json!({ "aggregate_id": key, "type": event_type, "version": 1, "data": data,
            "time": format!("2016-07-04T00:00:{n:02}+02:00"), "metadata": { "user_id": "nancy" } })
    };
    let created = json!({ "order": order("created", 0), "currency": "EUR",
        "ship_country": "Germany" });
    let added = (1..=items).map(|n| {
        let item = json!({ "product_id": n.to_string(), "product_name": "Tofu", "quantity": 1,
            "unit_price_cents": 1400, "discount_percent": 0 });
        line(n, "OrderItemAdded", json!({ "order": order("created", n), "item": item }))
    });
    std::iter::once(line(0, "OrderCreated", created)).chain(added).collect()
}

/// By turns, so that a kill finds every order half moved.
fn file(path: &Path, orders: usize, items: i32) -> usize {
    let histories: Vec<_> = (0..orders).map(|n| history(&format!("order-{n}"), items)).collect();
    let mut file = GzEncoder::new(std::fs::File::create(path).unwrap(), Compression::fast());
    for n in 0..=items as usize {
        for history in &histories {
            writeln!(file, "{}", history[n]).unwrap();
        }
    }
    file.finish().unwrap();
    orders * (items as usize + 1)
}

async fn stored(store: &EventStore, table: &str) -> i64 {
    let cql = format!("SELECT count(*) FROM orders.{table}");
    let rows = store.session().query_unpaged(cql, ()).await.unwrap();
    rows.into_rows_result().unwrap().single_row::<(i64,)>().unwrap().0
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_that_is_killed_goes_on_and_everything_is_there_once_in_order() {
    let (node, scylla) = node().await;
    let store = prepared(&scylla).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orders.ndjson.gz");
    let events = file(&path, 50, 19);
    let arguments = ["import", text(&path), "--scylla", &scylla, "--parallel", "4"];
    // Held up amid it for longer than the test lasts: it cannot be at its end when it is killed.
    let held = Fault::new(FaultAction::Delay(Duration::from_secs(3600)));
    let held = node.faults().add(held.operation(Operation::Batch).skip(events as u64 / 4));
    let mut child = start(ORDERS, &arguments);
    let began = Instant::now();
    while held.hits() == 0 {
        assert!(began.elapsed() < Duration::from_secs(60), "it does not begin");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // SIGKILL: nothing of it can end in order.
    child.kill().await.unwrap();
    assert_eq!(ended(child).await.code, None);
    held.remove();
    let before = stored(&store, "event_store").await;
    assert!((events as i64 / 4..events as i64).contains(&before), "{before} were stored");
    run(ORDERS, &arguments).await.succeeded_saying(&["imported: 1000 lines of 50 aggregates"]);
    run(ORDERS, &arguments).await.succeeded_saying(&["0 events written, 1000 stored before"]);
    for table in ["event_store", "outbox_messages"] {
        assert_eq!(stored(&store, table).await, events as i64, "{table}");
    }
    for n in 0..50 {
        let id = AggregateId::from_key(Order::TYPE, &format!("order-{n}"));
        let loaded = store.load::<Order>(id).await.unwrap();
        assert_eq!((loaded.version, loaded.state.placed().unwrap().items.len()), (20, 19));
        let events = store.events(id, 0, i64::MAX).await.unwrap();
        assert!(events.windows(2).all(|pair| pair[0].created_at < pair[1].created_at));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_is_no_order_event_is_named() {
    let (_node, scylla) = node().await;
    prepared(&scylla).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orders.ndjson");
    let mut lines = history("order-1", 3);
    lines[2]["type"] = json!("OrderPainted");
    let lines: String = lines.iter().map(|line| format!("{line}\n")).collect();
    std::fs::write(&path, lines).unwrap();
    let arguments = ["import", text(&path), "--scylla", &scylla];
    run(ORDERS, &arguments).await.failed_saying(&["line 3", "OrderPainted"]);
    run(ORDERS, &["import", "/nowhere.ndjson", "--scylla", &scylla])
        .await
        .failed_saying(&["cannot read /nowhere.ndjson"]);
}

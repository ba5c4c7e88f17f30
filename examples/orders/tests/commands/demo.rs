//! `orders`, the demonstration.

use std::io::Write;

use super::process::{ORDERS, REBUILD, broker, node, run, text};

#[tokio::test(flavor = "multi_thread")]
async fn orders_go_from_command_to_read_models_and_kafka() {
    let ended = run(ORDERS, &["--orders", "40"]).await;
    ended.succeeded_saying(&[
        "40 made-up orders",
        "Commands",
        "latency of a command: p50",
        "order_read_model",
        "orders_by_customer",
        "orders_by_status",
        "redpanda_publisher",
        "agrees with the last reply of 40 of 40 orders",
        "each key's events in order: yes",
        "reached every one of 4 groups and the topic, in order.",
    ]);
    // The embedded broker ends with the process, which a client that ends too may still notice;
    // and a busy machine is warned of.
    let noise = |line: &&str| line.contains("librdkafka") || line.contains(" WARN ");
    let lines: Vec<&str> = ended.stderr.lines().filter(|line| !noise(line)).collect();
    assert!(lines.is_empty(), "{lines:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_with_bad_lines_is_handled_but_for_them() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let header = "order_id,customer_id,order_date,required_date,shipped_date,shipper,freight,\
                  ship_country,product_id,product_name,quantity,unit_price,discount";
    let good =
        "1,VINET,2016-07-04,2016-08-01,2016-07-16,Federal Shipping,32.38,France,11,Queso,12,14,0.0";
    let date = "2,TOMSP,2016-13-04,2016-08-01,,Federal Shipping,32.38,France,11,Queso,12,14,0.0";
    let short = "3,TOMSP,2016-07-04";
    let other = "4,TOMSP,2016-07-05,2016-08-02,,Speedy Express,1.5,Germany,14,Tofu,9,18.6,0.1";
    writeln!(file, "{header}\n{good}\n{date}\n{short}\n{other}").unwrap();
    let ended = run(ORDERS, &["--data", text(file.path())]).await;
    ended.succeeded_saying(&["2 orders from 2 lines, 2 lines left out", "reached every one"]);
    assert!(ended.stderr.contains("line 3: "), "{ended:#?}");
    assert!(ended.stderr.contains("line 4: "), "{ended:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_are_named_are_used_and_a_read_model_can_be_rebuilt_there() {
    let (_node, scylla) = node().await;
    let broker = broker();
    let kafka = broker.bootstrap_servers();
    let servers = ["--scylla", &scylla, "--kafka", &kafka, "--orders", "25"];
    run(ORDERS, &servers).await.succeeded_saying(&["(real)", "reached every one"]);
    // Once more into the same keyspace and topic: these are other orders.
    run(ORDERS, &servers).await.succeeded_saying(&["0 migrations applied, ", "25 of 25"]);
    for name in ["order_read_model", "orders_by_customer", "orders_by_status"] {
        let ended = run(REBUILD, &[name, "--scylla", &scylla, "--mode", "in-place"]).await;
        ended.succeeded_saying(&[name, " rebuilt: ", " events, ", "events/s)"]);
    }
}

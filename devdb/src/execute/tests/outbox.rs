//! The framework's own pattern: a logged batch over the events and the outbox.

use super::node::{Node, bigint, text};

#[test]
fn events_and_outbox_are_one_batch_and_the_log_has_the_outbox() {
    let mut node = Node::with(&[
        "CREATE TABLE event_store (aggregate_id text, sequence_number bigint, event_type text, PRIMARY KEY (aggregate_id, sequence_number))",
        "CREATE TABLE outbox (aggregate_id text, sequence_number bigint, event_type text, PRIMARY KEY (aggregate_id, sequence_number)) WITH cdc = {'enabled': true, 'ttl': 86400} AND default_time_to_live = 86400",
    ]);
    let batch = "BEGIN BATCH INSERT INTO event_store (aggregate_id, sequence_number, event_type) VALUES (?, ?, ?); INSERT INTO outbox (aggregate_id, sequence_number, event_type) VALUES (?, ?, ?); APPLY BATCH";
    for n in 1..=3 {
        let event = || [text("a"), bigint(n), text("Created")];
        node.try_run(batch, event().into_iter().chain(event()).collect()).unwrap();
    }
    assert_eq!(
        node.rows("SELECT sequence_number FROM event_store WHERE aggregate_id = 'a' AND sequence_number > 1"),
        ["2", "3"]
    );
    assert_eq!(
        node.rows("SELECT \"cdc$operation\", \"cdc$ttl\", aggregate_id, sequence_number, event_type FROM outbox_scylla_cdc_log"),
        ["2 | 86400 | a | 1 | Created", "2 | 86400 | a | 2 | Created", "2 | 86400 | a | 3 | Created"]
    );
    // What scylla-cdc asks, of one stream and window.
    let stream =
        node.rows_of("SELECT \"cdc$stream_id\" FROM outbox_scylla_cdc_log LIMIT 1", vec![]);
    let stream = stream.data.slice(4..);
    let mut list = vec![0, 0, 0, 1, 0, 0, 0, 16];
    list.extend_from_slice(&stream);
    let now = node.engine.clock().now_millis();
    let found = node.rows_of(
        "SELECT * FROM k.outbox_scylla_cdc_log WHERE \"cdc$stream_id\" in ? AND \"cdc$time\" >= minTimeuuid(?) AND \"cdc$time\" < minTimeuuid(?)  BYPASS CACHE",
        vec![crate::request::Value::Bytes(list.into()), bigint(now - 60_000), bigint(now + 1000)],
    );
    assert_eq!(found.count, 3);
}

#[test]
fn a_conditional_batch_over_both_tables_is_refused() {
    let mut node =
        Node::with(&["CREATE TABLE a (k int PRIMARY KEY)", "CREATE TABLE b (k int PRIMARY KEY)"]);
    assert_eq!(
        node.refusal("BEGIN BATCH INSERT INTO a (k) VALUES (1) IF NOT EXISTS; INSERT INTO b (k) VALUES (1); APPLY BATCH"),
        "BATCH with conditions cannot span multiple tables"
    );
}

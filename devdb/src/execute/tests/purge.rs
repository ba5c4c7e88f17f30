//! What expires is gone, and its memory with it.

use super::node::Node;
use crate::store::TableSize;

const HOUR: i64 = 3_600_000_000;

fn size(node: &Node, table: &str) -> TableSize {
    node.engine.table_size("k", table).unwrap().unwrap()
}

/// Purges by hand, beside the node's own purge, until it has been around.
fn purge(node: &Node) {
    let database = node.engine.database();
    for _ in 0..2 {
        while !database.purge(node.engine.clock().now_seconds()) {}
    }
}

#[test]
fn rows_go_when_they_expire_and_no_others() {
    let mut node = Node::with(&[
        "CREATE TABLE s (p int PRIMARY KEY, v int) WITH gc_grace_seconds = 0",
        "CREATE TABLE w (p int, c int, v int, PRIMARY KEY (p, c)) WITH gc_grace_seconds = 0",
    ]);
    for n in 0..600 {
        // Of three, one lives for ever, one for an hour, one for two.
        let ttl = n % 3 * 3600;
        node.ok(&format!("INSERT INTO s (p, v) VALUES ({n}, 1) USING TTL {ttl}"));
        node.ok(&format!("INSERT INTO w (p, c, v) VALUES (1, {n}, 1) USING TTL {ttl}"));
        node.ok(&format!("INSERT INTO w (p, c, v) VALUES ({n}, -1, 1) USING TTL {ttl}"));
    }
    let full = (size(&node, "s").bytes, size(&node, "w").bytes);
    for (hours, left) in [(0, 3), (1, 2), (2, 1), (3, 1)] {
        node.engine.clock().set_offset_micros(hours * HOUR + HOUR / 60);
        purge(&node);
        let (single, wide) = (size(&node, "s"), size(&node, "w"));
        assert_eq!((single.rows, single.partitions), (200 * left, 200 * left), "after {hours} h");
        // The partition with many rows is one of those with one.
        assert_eq!(wide.rows, 400 * left, "after {hours} h");
        assert_eq!(node.rows("SELECT count(*) FROM s"), [(200 * left).to_string()]);
        assert_eq!(node.rows("SELECT count(*) FROM w"), [(400 * left).to_string()]);
    }
    let rest = (size(&node, "s").bytes, size(&node, "w").bytes);
    assert!(rest.0 < full.0 / 3 + full.0 / 20 && rest.1 < full.1 / 3 + full.1 / 20);
}

#[test]
fn log_rows_go_when_their_ttl_is_over() {
    let mut node = Node::with(&[
        "CREATE TABLE t (p int, c int, v text, PRIMARY KEY (p, c)) WITH cdc = {'enabled': true, 'ttl': 3600}",
    ]);
    for n in 0..100 {
        node.ok(&format!("INSERT INTO t (p, c, v) VALUES ({}, {n}, 'x')", n % 7));
    }
    assert_eq!(size(&node, "t_scylla_cdc_log").rows, 100);
    node.engine.clock().set_offset_micros(HOUR + HOUR / 60);
    purge(&node);
    assert_eq!(size(&node, "t_scylla_cdc_log"), TableSize::default());
    assert_eq!(size(&node, "t").rows, 100);
}

#[test]
fn a_long_partition_is_purged_in_steps() {
    let mut node = Node::with(&[
        "CREATE TABLE t (p int, c int, PRIMARY KEY (p, c)) WITH gc_grace_seconds = 0",
    ]);
    for n in 0..25 {
        let rows: String = (n * 100..n * 100 + 100)
            .map(|c| format!("INSERT INTO t (p, c) VALUES (1, {c}) USING TTL {};", c % 2 * 60))
            .collect();
        node.ok(&format!("BEGIN UNLOGGED BATCH {rows} APPLY BATCH"));
    }
    node.engine.clock().set_offset_micros(HOUR);
    purge(&node);
    assert_eq!(size(&node, "t").rows, 1250);
    assert_eq!(node.rows("SELECT count(*) FROM t"), ["1250"]);
}

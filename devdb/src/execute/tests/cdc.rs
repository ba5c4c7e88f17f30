//! CDC logs as statements make them.

use super::node::Node;

const LOG: &str = "SELECT \"cdc$batch_seq_no\", \"cdc$operation\", \"cdc$end_of_batch\", p, c, v FROM t_scylla_cdc_log WHERE p = {} ALLOW FILTERING";

fn logged() -> Node {
    Node::with(&[
        "CREATE TABLE t (p int, c int, v text, PRIMARY KEY (p, c)) WITH cdc = {'enabled': true}",
    ])
}

fn log(node: &mut Node, p: i32) -> Vec<String> {
    node.rows(&LOG.replace("{}", &p.to_string()))
}

#[test]
fn each_kind_of_write_has_its_operation() {
    let mut node = logged();
    for statement in [
        "INSERT INTO t (p, c, v) VALUES (1, 1, 'a')",
        "UPDATE t SET v = 'b' WHERE p = 1 AND c = 1",
        "DELETE FROM t WHERE p = 1 AND c = 1",
        "DELETE FROM t WHERE p = 1 AND c > 1 AND c <= 5",
        "DELETE FROM t WHERE p = 1",
    ] {
        node.ok(statement);
    }
    assert_eq!(
        log(&mut node, 1),
        [
            "0 | 2 | true | 1 | 1 | a",
            "0 | 1 | true | 1 | 1 | b",
            "0 | 3 | true | 1 | 1 | null",
            "0 | 6 | null | 1 | 1 | null",
            "1 | 7 | true | 1 | 5 | null",
            "0 | 4 | true | 1 | null | null",
        ]
    );
}

#[test]
fn a_batch_is_one_time_and_its_rows_are_in_clustering_order() {
    let mut node = logged();
    node.ok("BEGIN BATCH INSERT INTO t (p, c, v) VALUES (1, 12, 'l'); INSERT INTO t (p, c, v) VALUES (1, 10, 'j'); INSERT INTO t (p, c, v) VALUES (2, 1, 'x'); APPLY BATCH");
    assert_eq!(log(&mut node, 1), ["0 | 2 | null | 1 | 10 | j", "1 | 2 | true | 1 | 12 | l"]);
    let times = node.rows("SELECT \"cdc$time\" FROM t_scylla_cdc_log WHERE p = 1 ALLOW FILTERING");
    assert_eq!(times[0], times[1]);
}

#[test]
fn a_transaction_logs_what_it_applies_only() {
    let mut node = logged();
    node.rows("INSERT INTO t (p, c, v) VALUES (1, 1, 'a') IF NOT EXISTS");
    node.rows("INSERT INTO t (p, c, v) VALUES (1, 1, 'b') IF NOT EXISTS");
    assert_eq!(log(&mut node, 1), ["0 | 2 | true | 1 | 1 | a"]);
}

#[test]
fn a_timestamp_of_no_generation_refuses_the_whole_batch() {
    let mut node = logged();
    node.ok("CREATE TABLE plain (p int PRIMARY KEY)");
    node.refusal("INSERT INTO t (p, c, v) VALUES (1, 1, 'far past') USING TIMESTAMP 1000");
    node.refusal(
        "INSERT INTO t (p, c, v) VALUES (1, 1, 'far future') USING TIMESTAMP 4000000000000000",
    );
    node.refusal("BEGIN BATCH USING TIMESTAMP 1000 INSERT INTO plain (p) VALUES (1); INSERT INTO t (p, c, v) VALUES (1, 1, 'x'); APPLY BATCH");
    assert!(node.rows("SELECT * FROM t").is_empty());
    assert!(node.rows("SELECT * FROM plain").is_empty());
    assert!(node.rows("SELECT * FROM t_scylla_cdc_log").is_empty());
}

#[test]
fn the_log_table_comes_and_goes_with_its_table() {
    let mut node = logged();
    assert_eq!(
        node.refusal("DROP TABLE t_scylla_cdc_log"),
        "Cannot DROP cdc log table <table k.t_scylla_cdc_log>"
    );
    node.ok("INSERT INTO t (p, c) VALUES (1, 1)");
    node.ok("INSERT INTO t_scylla_cdc_log (\"cdc$stream_id\", \"cdc$time\", \"cdc$batch_seq_no\") VALUES (0x00, now(), 0)");
    node.ok("ALTER TABLE t WITH cdc = {'enabled': false}");
    node.ok("INSERT INTO t (p, c) VALUES (1, 2)");
    assert_eq!(node.rows("SELECT count(*) FROM t_scylla_cdc_log"), ["2"]);
    node.ok("ALTER TABLE t WITH cdc = {'enabled': true}");
    node.ok("INSERT INTO t (p, c) VALUES (1, 3)");
    assert_eq!(node.rows("SELECT count(*) FROM t_scylla_cdc_log"), ["3"]);
    node.ok("ALTER TABLE t ADD w int");
    node.ok("INSERT INTO t (p, c, w) VALUES (7, 3, 8)");
    assert_eq!(node.rows("SELECT w FROM t_scylla_cdc_log WHERE p = 7 ALLOW FILTERING"), ["8"]);
    node.ok("DROP TABLE t");
    assert_eq!(
        node.refusal("SELECT * FROM t_scylla_cdc_log"),
        "unconfigured table t_scylla_cdc_log"
    );
}

#[test]
fn a_statement_prepared_before_cdc_was_turned_on_is_prepared_again() {
    let mut node = Node::with(&["CREATE TABLE t (p int, c int, v text, PRIMARY KEY (p, c))"]);
    let prepared = node.engine.prepare(&node.state, "INSERT INTO t (p, c) VALUES (1, 1)").unwrap();
    node.ok("ALTER TABLE t WITH cdc = {'enabled': true}");
    assert!(node.engine.prepared(&prepared.info.id).is_none());
}

#[test]
fn a_new_generation_is_written_down() {
    let mut node = Node::new();
    let before = node.rows(
        "SELECT time FROM system_distributed.cdc_generation_timestamps WHERE key = 'timestamps'",
    );
    assert_eq!(before.len(), 1);
    node.engine.new_cdc_generation(std::time::Duration::ZERO).unwrap();
    let after = node.rows(
        "SELECT time FROM system_distributed.cdc_generation_timestamps WHERE key = 'timestamps'",
    );
    assert_eq!(after.len(), 2);
    assert_eq!(after[1], before[0], "the newest comes first");
    let streams =
        node.rows("SELECT time, streams FROM system_distributed.cdc_streams_descriptions_v2");
    assert_eq!(streams.len(), 16);
}

#[test]
fn range_deletions_of_a_batch_that_touch_are_one() {
    let mut node = logged();
    node.ok("BEGIN BATCH DELETE FROM t WHERE p = 1 AND c > 1 AND c < 5; \
         DELETE FROM t WHERE p = 1 AND c >= 7 AND c <= 8; \
         DELETE FROM t WHERE p = 1 AND c >= 3 AND c < 7; \
         DELETE FROM t WHERE p = 1 AND c > 20; APPLY BATCH");
    assert_eq!(
        log(&mut node, 1),
        [
            "0 | 6 | null | 1 | 1 | null",
            "1 | 7 | null | 1 | 8 | null",
            "2 | 6 | null | 1 | 20 | null",
            "3 | 7 | true | 1 | null | null",
        ]
    );
}

#[test]
fn what_a_batch_deletes_again_has_no_postimage() {
    let mut node = Node::with(&[
        "CREATE TABLE t (p int, c int, v text, PRIMARY KEY (p, c)) WITH cdc = {'enabled': true, 'preimage': true, 'postimage': true}",
    ]);
    for (p, delete) in
        [(1, "p = 1 AND c >= 1 AND c <= 2"), (2, "p = 2"), (3, "p = 3 AND c >= 2 AND c <= 3")]
    {
        node.ok(&format!(
            "BEGIN BATCH INSERT INTO t (p, c, v) VALUES ({p}, 1, 'a'); DELETE FROM t WHERE {delete}; APPLY BATCH"
        ));
    }
    assert_eq!(
        log(&mut node, 1),
        ["0 | 2 | null | 1 | 1 | a", "1 | 5 | null | 1 | 1 | null", "2 | 7 | true | 1 | 2 | null"]
    );
    assert_eq!(log(&mut node, 2), ["0 | 2 | null | 2 | 1 | a", "1 | 4 | true | 2 | null | null"]);
    assert_eq!(
        log(&mut node, 3),
        [
            "0 | 2 | null | 3 | 1 | a",
            "1 | 5 | null | 3 | 2 | null",
            "2 | 7 | null | 3 | 3 | null",
            "3 | 9 | true | 3 | 1 | a",
        ]
    );
}

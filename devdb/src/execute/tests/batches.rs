//! Batches: one write, and what they must not mix.

use super::node::Node;

fn tables() -> Node {
    Node::with(&[
        "CREATE TABLE a (k int PRIMARY KEY, v text)",
        "CREATE TABLE b (p int, c int, v text, PRIMARY KEY (p, c))",
        "CREATE TABLE cnt (k int PRIMARY KEY, n counter)",
    ])
}

#[test]
fn statements_of_a_batch_meet_by_the_rules_of_cells_not_in_order() {
    let mut node = tables();
    node.ok("BEGIN BATCH INSERT INTO a (k, v) VALUES (5, 'second'); INSERT INTO a (k, v) VALUES (5, 'first'); APPLY BATCH");
    assert_eq!(node.rows("SELECT v FROM a WHERE k = 5"), ["second"]);
    node.ok("BEGIN BATCH DELETE FROM a WHERE k = 6; INSERT INTO a (k, v) VALUES (6, 'ins'); APPLY BATCH");
    assert!(node.rows("SELECT * FROM a WHERE k = 6").is_empty());
}

#[test]
fn a_refused_statement_refuses_the_batch() {
    let mut node = tables();
    assert_eq!(
        node.refusal("BEGIN BATCH INSERT INTO a (k, v) VALUES (4, 'four'); INSERT INTO nope (k) VALUES (1); APPLY BATCH"),
        "unconfigured table nope"
    );
    assert!(node.rows("SELECT * FROM a").is_empty());
    node.ok("BEGIN BATCH APPLY BATCH");
}

#[test]
fn counters_count_and_stay_among_themselves() {
    let mut node = tables();
    node.ok("BEGIN COUNTER BATCH UPDATE cnt SET n = n + 1 WHERE k = 1; UPDATE cnt SET n = n + 2 WHERE k = 2; APPLY BATCH");
    node.ok("UPDATE cnt SET n = n - 5 WHERE k = 1");
    assert_eq!(node.rows("SELECT * FROM cnt WHERE k IN (1, 2)"), ["1 | -4", "2 | 2"]);
    let cases = [
        (
            "BEGIN BATCH INSERT INTO a (k, v) VALUES (4, 'x'); UPDATE cnt SET n = n + 1 WHERE k = 1; APPLY BATCH",
            "Cannot include a counter statement in a logged batch",
        ),
        (
            "BEGIN COUNTER BATCH INSERT INTO a (k, v) VALUES (4, 'x'); APPLY BATCH",
            "Cannot include non-counter statement in a counter batch",
        ),
        (
            "UPDATE cnt SET n = 5 WHERE k = 1",
            "Cannot set the value of counter column n (counters can only be incremented/decremented, not set)",
        ),
        (
            "INSERT INTO cnt (k, n) VALUES (1, 1)",
            "INSERT statement are not allowed on counter tables, use UPDATE instead",
        ),
    ];
    for (statement, refusal) in cases {
        assert_eq!(node.refusal(statement), refusal);
    }
}

#[test]
fn timestamps_of_batches_and_their_statements() {
    let mut node = tables();
    node.ok("BEGIN BATCH USING TIMESTAMP 700 INSERT INTO b (p, c, v) VALUES (2, 1, 'x'); INSERT INTO b (p, c, v) VALUES (2, 2, 'y'); APPLY BATCH");
    node.ok("BEGIN UNLOGGED BATCH INSERT INTO b (p, c, v) VALUES (2, 3, 'z') USING TIMESTAMP 10; APPLY BATCH");
    assert_eq!(
        node.rows("SELECT v, writetime(v) FROM b WHERE p = 2"),
        ["x | 700", "y | 700", "z | 10"]
    );
    assert_eq!(
        node.refusal("BEGIN BATCH USING TIMESTAMP 1 INSERT INTO a (k, v) VALUES (3, 'x') USING TIMESTAMP 10; APPLY BATCH"),
        "Timestamp must be set either on BATCH or individual statements"
    );
}

#[test]
fn a_large_batch_over_several_partitions_is_refused() {
    let mut node = tables();
    let large = "x".repeat(600 * 1024);
    let two = |p: i32| {
        format!(
            "BEGIN BATCH INSERT INTO b (p, c, v) VALUES (1, 1, '{large}'); INSERT INTO b (p, c, v) VALUES ({p}, 2, '{large}'); APPLY BATCH"
        )
    };
    assert_eq!(node.refusal(&two(2)), "Batch too large");
    assert!(node.rows("SELECT * FROM b").is_empty());
    node.ok(&two(1));
    assert_eq!(node.rows("SELECT c FROM b"), ["1", "2"]);
}

//! Lightweight transactions: what they do and what they return.

use super::node::{Node, parameters};
use crate::request::{Consistency, Outcome};

fn table() -> Node {
    Node::with(&[
        "CREATE TABLE l (p int, c int, v int, w text, s int static, PRIMARY KEY (p, c))",
        "CREATE TABLE other (p int PRIMARY KEY, v int)",
    ])
}

#[test]
fn an_insert_happens_once() {
    let mut node = table();
    assert_eq!(
        node.rows("INSERT INTO l (p, c, v) VALUES (1, 1, 10) IF NOT EXISTS"),
        ["true | null | null | null | null | null"]
    );
    assert_eq!(
        node.rows("INSERT INTO l (p, c, v) VALUES (1, 1, 11) IF NOT EXISTS"),
        ["false | 1 | 1 | null | 10 | null"]
    );
}

#[test]
fn conditions_compare_and_null_equals_null() {
    let mut node = table();
    node.ok("INSERT INTO l (p, c, v) VALUES (1, 1, 10)");
    let cases = [
        ("v = 10", "true | 10"),
        ("v = 11 AND w = 'x'", "false | 10 | null"),
        ("v IN (10, 20)", "true | 10"),
        ("v > 9 AND v < 20", "true | 10"),
        ("v != 10", "false | 10"),
        ("w = null", "true | null"),
        ("w != null", "false | null"),
    ];
    for (condition, expected) in cases {
        assert_eq!(
            node.rows(&format!("UPDATE l SET v = 10 WHERE p = 1 AND c = 1 IF {condition}")),
            [expected],
            "{condition}"
        );
    }
    assert_eq!(node.rows("UPDATE l SET v = 1 WHERE p = 9 AND c = 9 IF v = null"), ["true | null"]);
    assert_eq!(
        node.rows("UPDATE l SET v = 1 WHERE p = 9 AND c = 10 IF EXISTS"),
        ["false | null | null | null | null | null"]
    );
    assert_eq!(
        node.rows("DELETE FROM l WHERE p = 9 AND c = 9 IF EXISTS"),
        ["true | 9 | 9 | null | 1 | null"]
    );
}

#[test]
fn a_batch_applies_whole_or_not_and_shows_a_row_for_each_statement() {
    let mut node = table();
    let batch = |statements: &str| format!("BEGIN BATCH {statements} APPLY BATCH");
    assert_eq!(
        node.rows(&batch(
            "INSERT INTO l (p, c, v) VALUES (2, 1, 1) IF NOT EXISTS; INSERT INTO l (p, c, v) VALUES (2, 2, 2);"
        )),
        ["true | null | null | null | null | null"; 2]
    );
    assert_eq!(
        node.rows(&batch(
            "INSERT INTO l (p, c, v) VALUES (2, 1, 1) IF NOT EXISTS; INSERT INTO l (p, c, v) VALUES (2, 3, 2);"
        )),
        ["false | 2 | 1 | null | 1 | null", "false | 2 | null | null | null | null"]
    );
    assert_eq!(
        node.rows(&batch(
            "INSERT INTO l (p, c, v) VALUES (2, 3, 3) IF NOT EXISTS; UPDATE l SET v = 5 WHERE p = 2 AND c = 1 IF v = 1;"
        )),
        ["true | null | null | null | null | null", "true | 2 | 1 | null | 1 | null"]
    );
    assert_eq!(node.rows("SELECT c, v FROM l WHERE p = 2"), ["1 | 5", "2 | 2", "3 | 3"]);
}

#[test]
fn conditions_on_static_columns() {
    let mut node = table();
    let batch = |expected: &str, new: i32, c: i32| {
        format!(
            "BEGIN BATCH UPDATE l SET s = {new} WHERE p = 3 IF s = {expected}; INSERT INTO l (p, c, v) VALUES (3, {c}, 1); APPLY BATCH"
        )
    };
    assert_eq!(node.rows(&batch("null", 1, 1)), ["true | null | null | null"; 2]);
    assert_eq!(node.rows(&batch("1", 2, 2)), ["true | 3 | null | 1"; 2]);
    assert_eq!(node.rows(&batch("1", 2, 3)), ["false | 3 | null | 2"; 2]);
    assert_eq!(node.rows("SELECT c, s FROM l WHERE p = 3"), ["1 | 2", "2 | 2"]);
    node.ok("INSERT INTO l (p, c, v) VALUES (1, 1, 1)");
    assert_eq!(
        node.rows("UPDATE l SET s = 9 WHERE p = 1 IF EXISTS"),
        ["false | 1 | null | null | null | null"]
    );
    // The condition alone decides: the row need not exist.
    assert_eq!(node.rows("UPDATE l SET v = 7 WHERE p = 3 AND c = 9 IF s = 2"), ["true | 2"]);
}

#[test]
fn what_conditions_cannot_be() {
    let mut node = table();
    let cases = [
        (
            "INSERT INTO l (p, c, v) VALUES (1, 2, 1) IF NOT EXISTS USING TIMESTAMP 5",
            "Cannot provide custom timestamp for conditional updates",
        ),
        (
            "BEGIN BATCH INSERT INTO l (p, c, v) VALUES (4, 1, 1) IF NOT EXISTS; INSERT INTO l (p, c, v) VALUES (5, 1, 1); APPLY BATCH",
            "BATCH with conditions cannot span multiple partitions",
        ),
        (
            "BEGIN BATCH INSERT INTO l (p, c, v) VALUES (4, 1, 1) IF NOT EXISTS; INSERT INTO other (p, v) VALUES (4, 1); APPLY BATCH",
            "BATCH with conditions cannot span multiple tables",
        ),
        (
            "BEGIN BATCH USING TIMESTAMP 5 INSERT INTO l (p, c, v) VALUES (4, 1, 1) IF NOT EXISTS; APPLY BATCH",
            "Cannot provide custom timestamp for conditional BATCH",
        ),
        ("UPDATE l SET v = 1 WHERE p = 1 IF v = 1", "Missing mandatory PRIMARY KEY part c"),
        (
            "UPDATE l SET v = 1 WHERE p IN (1, 2) AND c = 1 IF v = 1",
            "IN on the partition key is not supported with conditional updates",
        ),
        (
            "DELETE FROM l WHERE p = 1 AND c > 0 IF EXISTS",
            "DELETE statements must restrict all PRIMARY KEY columns with equality relations in order to delete non static columns",
        ),
    ];
    for (statement, refusal) in cases {
        assert_eq!(node.refusal(statement), refusal);
    }
    assert!(node.rows("SELECT * FROM l").is_empty());
}

#[test]
fn serial_consistency_is_for_the_condition_only() {
    let mut node = table();
    let mut request = parameters(vec![]);
    request.consistency = Consistency::LocalSerial;
    let engine = node.engine.clone();
    let refused = engine
        .query(&mut node.state, "INSERT INTO other (p, v) VALUES (1, 1) IF NOT EXISTS", &request)
        .unwrap_err();
    assert!(
        refused
            .message
            .starts_with("LOCAL_SERIAL is not supported as conditional update commit consistency")
    );
    assert!(engine.query(&mut node.state, "SELECT * FROM other", &request).is_ok());
    assert!(engine.query(&mut node.state, "INSERT INTO other (p) VALUES (1)", &request).is_err());
}

#[test]
fn of_racing_transactions_each_sees_the_one_before() {
    let node = Node::with(&["CREATE TABLE n (id int PRIMARY KEY, version bigint)"]);
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let engine = node.engine.clone();
            let mut state = node.state.clone();
            std::thread::spawn(move || {
                let mut won = 0u64;
                for version in 0..200i64 {
                    let expected =
                        if version == 0 { "null".to_owned() } else { version.to_string() };
                    let statement = format!(
                        "UPDATE n SET version = {} WHERE id = 1 IF version = {expected}",
                        version + 1
                    );
                    match engine.query(&mut state, &statement, &parameters(vec![])).unwrap() {
                        Outcome::Rows(rows) => won += u64::from(rows.data[4]),
                        other => panic!("{other:?}"),
                    }
                }
                won
            })
        })
        .collect();
    let won: u64 = threads.into_iter().map(|t| t.join().unwrap()).sum();
    let mut node = node;
    let last: u64 = node.rows("SELECT version FROM n")[0].parse().unwrap();
    assert_eq!(won, last, "each version was won once");
}

#[test]
fn texts_are_matched_with_patterns() {
    let mut node = Node::with(&[
        "CREATE TABLE t (p text, c text, v text, n int, PRIMARY KEY (p, c))",
        "INSERT INTO t (p, c, v, n) VALUES ('one', 'a1', 'red', 1)",
        "INSERT INTO t (p, c, v, n) VALUES ('one', 'a2', 'green', 2)",
        "INSERT INTO t (p, c, n) VALUES ('one', 'b1', 3)",
    ]);
    for (clause, rows) in [
        ("v LIKE 're%'", &["a1"][..]),
        ("v LIKE '%'", &["a1", "a2"]),
        ("p = 'one' AND c LIKE 'a_'", &["a1", "a2"]),
        ("p LIKE 'o%' AND v LIKE '%ee%'", &["a2"]),
    ] {
        assert_eq!(
            node.rows(&format!("SELECT c FROM t WHERE {clause} ALLOW FILTERING")),
            rows,
            "{clause}"
        );
    }
    assert_eq!(
        node.refusal("SELECT c FROM t WHERE n LIKE '1' ALLOW FILTERING"),
        "LIKE is allowed only on string types, which n is not"
    );
    let update = |pattern: &str, c: &str| {
        format!("UPDATE t SET n = 9 WHERE p = 'one' AND c = '{c}' IF v LIKE {pattern}")
    };
    assert_eq!(node.rows(&update("'r_d'", "a1")), ["true | red"]);
    assert_eq!(node.rows(&update("'r_'", "a1")), ["false | red"]);
    assert_eq!(node.rows(&update("'%'", "b1")), ["false | null"]);
    assert_eq!(node.rows(&update("null", "a1")), ["false | red"]);
}

#[test]
fn without_a_value_an_empty_one_is_in_the_list() {
    let mut node = Node::with(&[
        "CREATE TABLE t (p int PRIMARY KEY, v text, b blob)",
        "INSERT INTO t (p) VALUES (1)",
    ]);
    assert_eq!(node.rows("UPDATE t SET v = 'x' WHERE p = 1 IF v IN ('')"), ["true | null"]);
    assert_eq!(node.rows("UPDATE t SET v = 'y' WHERE p = 1 IF v IN ('')"), ["false | x"]);
    assert_eq!(node.rows("UPDATE t SET v = 'y' WHERE p = 1 IF b IN (0x00)"), ["false | null"]);
}

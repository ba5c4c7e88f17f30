//! Lists: an element's place is the timestamp of its write.

use super::node::{Node, parameters};
use crate::parse::ast::BatchKind;
use crate::request::{BatchItem, BatchRequest, BatchStatement, Consistency};

fn table() -> Node {
    Node::with(&["CREATE TABLE t (p int PRIMARY KEY, l list<int>)"])
}

fn at(node: &mut Node, timestamp: i64, change: &str) {
    node.ok(&format!("UPDATE t USING TIMESTAMP {timestamp} SET l = {change} WHERE p = 1"));
}

fn list(node: &mut Node) -> String {
    node.rows("SELECT l FROM t").pop().unwrap_or_default()
}

#[test]
fn what_is_appended_with_an_older_timestamp_comes_before() {
    let mut node = table();
    at(&mut node, 2000, "l + [3, 4]");
    at(&mut node, 1999, "l + [1, 2]");
    at(&mut node, 2001, "l + [5]");
    assert_eq!(list(&mut node), "[1, 2, 3, 4, 5]");
}

#[test]
fn appended_twice_at_one_time_it_is_one_element_of_which_the_greater_stays() {
    let mut node = table();
    at(&mut node, 2000, "l + [4]");
    at(&mut node, 2000, "l + [3]");
    assert_eq!(list(&mut node), "[4]");
    at(&mut node, 2000, "l + [5]");
    assert_eq!(list(&mut node), "[5]");
    at(&mut node, 2000, "l + [1, 2]");
    assert_eq!(list(&mut node), "[5, 2]");
}

#[test]
fn statements_of_a_batch_of_one_time_count_on() {
    let mut node = table();
    at(&mut node, 1_607_100_000_000_000, "l + [9]");
    node.ok("BEGIN BATCH USING TIMESTAMP 1607099999999998 \
         UPDATE t SET l = [-5] + l WHERE p = 1; UPDATE t SET l = [-7, -6] + l WHERE p = 1; \
         UPDATE t SET l = [-8] + l WHERE p = 1; UPDATE t SET l = l + [0] WHERE p = 1; \
         UPDATE t SET l = l + [1, 2] WHERE p = 1; UPDATE t SET l = l + [3] WHERE p = 1; \
         APPLY BATCH");
    assert_eq!(list(&mut node), "[-8, -7, -6, -5, 0, 1, 2, 3, 9]");
}

#[test]
fn statements_of_a_batch_frame_count_each_for_itself() {
    let mut node = table();
    let item = |text: &str| BatchItem {
        statement: BatchStatement::Text(text.to_owned()),
        values: Vec::new(),
    };
    let batch = BatchRequest {
        kind: BatchKind::Logged,
        items: vec![
            item("UPDATE t SET l = l + [2] WHERE p = 1"),
            item("UPDATE t SET l = l + [1, 3] WHERE p = 1"),
        ],
        consistency: Consistency::One,
        serial_consistency: None,
        default_timestamp: Some(5000),
        effects: Default::default(),
    };
    node.engine.clone().batch(&mut node.state, &batch).unwrap();
    assert_eq!(list(&mut node), "[2, 3]");
}

#[test]
fn prepended_is_the_later_before_the_earlier_and_none_from_before_2010() {
    let mut node = table();
    at(&mut node, 1_607_100_000_000_000, "[2] + l");
    at(&mut node, 1_607_100_000_000_001, "[1] + l");
    assert_eq!(list(&mut node), "[1, 2]");
    assert_eq!(
        node.refusal("UPDATE t USING TIMESTAMP 1000 SET l = [0] + l WHERE p = 1"),
        "List prepend custom timestamp must be greater than Jan 1 2010 00:00:00"
    );
}

#[test]
fn a_client_s_timestamp_places_elements_too() {
    let mut node = table();
    for (timestamp, value) in [(300, 3), (100, 1), (200, 2)] {
        let mut request = parameters(vec![]);
        request.default_timestamp = Some(timestamp);
        let text = format!("UPDATE t SET l = l + [{value}] WHERE p = 1");
        node.engine.clone().query(&mut node.state, &text, &request).unwrap();
    }
    assert_eq!(list(&mut node), "[1, 2, 3]");
}

#[test]
fn an_element_can_be_written_by_its_key() {
    let mut node = table();
    let first = "50554d6e-29bb-11e5-b345-feff819cdc9f";
    let second = "50554d6f-29bb-11e5-b345-feff819cdc9f";
    for (key, value) in [(second, "2"), (first, "1")] {
        node.ok(&format!(
            "UPDATE t SET l[SCYLLA_TIMEUUID_LIST_INDEX({key})] = {value} WHERE p = 1"
        ));
    }
    assert_eq!(list(&mut node), "[1, 2]");
    node.ok(&format!("UPDATE t SET l[SCYLLA_TIMEUUID_LIST_INDEX({first})] = null WHERE p = 1"));
    assert_eq!(list(&mut node), "[2]");
}

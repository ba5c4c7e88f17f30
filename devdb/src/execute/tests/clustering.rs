//! Slices, order, limits, aggregates, and what is refused.

use super::node::{Node, int};

fn filled() -> Node {
    Node::with(&[
        "CREATE TABLE e (p int, c int, d text, v int, PRIMARY KEY (p, c, d))",
        "INSERT INTO e (p, c, d, v) VALUES (1, 1, 'a', 11)",
        "INSERT INTO e (p, c, d, v) VALUES (1, 1, 'b', 12)",
        "INSERT INTO e (p, c, d, v) VALUES (1, 2, 'a', 21)",
        "INSERT INTO e (p, c, d, v) VALUES (1, 3, 'a', 31)",
        "INSERT INTO e (p, c, d, v) VALUES (2, 1, 'a', 211)",
        "INSERT INTO e (p, c, d, v) VALUES (2, 2, 'a', 221)",
    ])
}

#[test]
fn slices_by_column_and_by_tuple() {
    let mut node = filled();
    let cases: [(&str, &[&str]); 8] = [
        ("c = 1", &["11", "12"]),
        ("c > 1 AND c < 3", &["21"]),
        ("c = 1 AND d > 'a'", &["12"]),
        ("c IN (3, 1)", &["11", "12", "31"]),
        ("c IN ()", &[]),
        ("(c, d) > (1, 'a')", &["12", "21", "31"]),
        ("(c, d) >= (1, 'b') AND (c) < (3)", &["12", "21"]),
        ("(c, d) IN ((1, 'b'), (3, 'a'))", &["12", "31"]),
    ];
    for (clause, expected) in cases {
        assert_eq!(
            node.rows(&format!("SELECT v FROM e WHERE p = 1 AND {clause}")),
            expected,
            "{clause}"
        );
    }
    assert!(node.rows("SELECT v FROM e WHERE p = 1 AND c > 3 AND c < 1").is_empty());
    assert!(node.rows("SELECT v FROM e WHERE p = 1 AND p = 2").is_empty());
}

#[test]
fn partitions_named_by_in_come_in_the_order_of_their_values() {
    let mut node = filled();
    assert_eq!(
        node.rows("SELECT p, v FROM e WHERE p IN (2, 1) AND c = 1 AND d = 'a'"),
        ["1 | 11", "2 | 211"]
    );
    assert_eq!(
        node.rows("SELECT p, v FROM e WHERE p IN (1, 2) PER PARTITION LIMIT 1"),
        ["1 | 11", "2 | 211"]
    );
    assert_eq!(
        node.rows("SELECT p, v FROM e WHERE p IN (1, 2) ORDER BY c DESC LIMIT 3"),
        ["1 | 31", "1 | 21", "2 | 221"]
    );
}

#[test]
fn order_limit_and_descending_tables() {
    let mut node = filled();
    assert_eq!(
        node.rows("SELECT v FROM e WHERE p = 1 ORDER BY c DESC LIMIT 3"),
        ["31", "21", "12"]
    );
    assert_eq!(
        node.refusal("SELECT * FROM e WHERE p = 1 LIMIT 0"),
        "LIMIT must be strictly positive"
    );
    node.ok("CREATE TABLE r (p int, c int, PRIMARY KEY (p, c)) WITH CLUSTERING ORDER BY (c DESC)");
    for c in [1, 3, 2] {
        node.ok(&format!("INSERT INTO r (p, c) VALUES (1, {c})"));
    }
    assert_eq!(node.rows("SELECT c FROM r WHERE p = 1"), ["3", "2", "1"]);
    assert_eq!(node.rows("SELECT c FROM r WHERE p = 1 AND c < 3"), ["2", "1"]);
    assert_eq!(node.rows("SELECT c FROM r WHERE p = 1 ORDER BY c ASC"), ["1", "2", "3"]);
    assert_eq!(node.rows("SELECT c FROM r WHERE p = 1 AND c IN (1, 3)"), ["3", "1"]);
}

#[test]
fn aggregates_and_groups() {
    let mut node = filled();
    let rows = node.rows_of("SELECT max(v), min(v), sum(v), avg(v) FROM e WHERE p = 1", vec![]);
    let names: Vec<&str> = rows.columns.iter().map(|c| c.name.as_str()).collect();
    assert_eq!(names, ["system.max(v)", "system.min(v)", "system.sum(v)", "system.avg(v)"]);
    assert_eq!(super::node::shown(&rows), ["31 | 11 | 75 | 18"]);
    assert_eq!(node.rows("SELECT count(*) FROM e WHERE p = 99"), ["0"]);
    assert_eq!(node.rows("SELECT max(c) FROM e WHERE p = 99"), ["null"]);
    assert_eq!(
        node.rows("SELECT p, c, count(*) FROM e WHERE p = 1 GROUP BY p, c"),
        ["1 | 1 | 2", "1 | 2 | 1", "1 | 3 | 1"]
    );
    assert_eq!(
        node.rows("SELECT p, c, count(*) FROM e WHERE p = 1 GROUP BY p, c LIMIT 2"),
        ["1 | 1 | 2", "1 | 2 | 1"]
    );
}

#[test]
fn filtering_is_asked_for_and_done() {
    let mut node = filled();
    assert_eq!(node.rows("SELECT v FROM e WHERE c = 1"), ["11", "12", "211"]);
    assert!(node.refusal("SELECT * FROM e WHERE v = 21").ends_with("use ALLOW FILTERING"));
    assert_eq!(
        node.rows("SELECT v FROM e WHERE p = 1 AND v > 11 ALLOW FILTERING"),
        ["12", "21", "31"]
    );
    assert_eq!(node.rows("SELECT v FROM e WHERE d = 'b' ALLOW FILTERING"), ["12"]);
    assert_eq!(node.rows("SELECT v FROM e WHERE v > 11 LIMIT 2 ALLOW FILTERING"), ["12", "21"]);
    assert_eq!(
        node.refusal("SELECT * FROM e WHERE p = 1 AND d = 'a'"),
        "PRIMARY KEY column \"d\" cannot be restricted as preceding column \"c\" is not restricted"
    );
    assert_eq!(
        node.refusal("SELECT * FROM e WHERE p > 1"),
        "Only EQ and IN relation are supported on the partition key (unless you use the token() function or allow filtering)"
    );
    assert_eq!(node.rows("SELECT v FROM e WHERE p > 1 ALLOW FILTERING"), ["211", "221"]);
}

#[test]
fn names_that_are_not_there() {
    let mut node = filled();
    assert_eq!(
        node.refusal("SELECT * FROM e WHERE p = 1 AND nope = 2"),
        "Undefined name nope in where clause ('unresolved(nope)')"
    );
    assert_eq!(node.refusal("SELECT nope FROM e"), "Undefined name nope in selection clause");
    assert_eq!(node.refusal("SELECT * FROM nope"), "unconfigured table nope");
    assert_eq!(node.refusal("INSERT INTO e (p, zz) VALUES (1, 2)"), "Unknown identifier zz");
    assert_eq!(node.refusal("SELECT nosuch(v) FROM e"), "Unknown function nosuch called");
}

#[test]
fn deletions_of_rows_and_ranges() {
    let mut node = filled();
    node.ok("DELETE FROM e WHERE p = 1 AND c = 1");
    assert_eq!(node.rows("SELECT v FROM e WHERE p = 1"), ["21", "31"]);
    node.ok("DELETE FROM e WHERE p = 1 AND c >= 3");
    node.ok("DELETE v FROM e WHERE p = 1 AND c = 2 AND d = 'a'");
    assert_eq!(node.rows("SELECT c, v FROM e WHERE p = 1"), ["2 | null"]);
    assert_eq!(
        node.refusal("DELETE v FROM e WHERE p = 1 AND c = 2"),
        "Primary key column 'd' must be specified in order to modify column 'v'"
    );
    assert_eq!(
        node.refusal("UPDATE e SET v = 5 WHERE p = 7 AND c = 7"),
        "Missing mandatory PRIMARY KEY part d"
    );
    assert_eq!(node.refusal("DELETE FROM e WHERE c = 1"), "Missing mandatory PRIMARY KEY part p");
    assert_eq!(
        node.refusal("UPDATE e SET c = 5 WHERE p = 7 AND c = 7 AND d = 'u'"),
        "PRIMARY KEY part c found in SET part"
    );
}

#[test]
fn bound_values_stand_for_constants() {
    let mut node = filled();
    let rows =
        node.rows_of("SELECT v FROM e WHERE p = ? AND c > ? LIMIT ?", vec![int(1), int(1), int(1)]);
    assert_eq!(super::node::shown(&rows), ["21"]);
    let refused = node.try_run("SELECT v FROM e WHERE p = ?", vec![]).unwrap_err();
    assert!(refused.message.starts_with("Invalid amount of bind variables"));
}

//! What a conditional batch returns for each of its statements.

use super::node::Node;

fn with_static() -> Node {
    Node::with(&[
        "CREATE TABLE t (p int, c int, s int static, v int, l list<int>, PRIMARY KEY (p, c))",
        "INSERT INTO t (p, c, v, l) VALUES (1, 1, 10, [1, 2])",
    ])
}

fn batch(statements: &str) -> String {
    format!("BEGIN BATCH {statements}; APPLY BATCH")
}

#[test]
fn a_row_that_is_not_there_shows_as_the_static_row() {
    let mut node = with_static();
    let rows = node.rows(&batch(
        "UPDATE t SET v = 11 WHERE p = 1 AND c = 1 IF v = 10; \
         UPDATE t SET v = 1 WHERE p = 1 AND c = 7 IF v = null; \
         INSERT INTO t (p, c) VALUES (1, 8)",
    ));
    assert_eq!(rows, ["true | 1 | 1 | 10", "true | 1 | null | null", "true | 1 | null | null"]);
}

#[test]
fn where_a_row_is_asked_for_its_absence_shows_as_nulls() {
    let mut node = with_static();
    let rows = node.rows(&batch(
        "UPDATE t SET v = 1 WHERE p = 1 AND c = 7 IF EXISTS; \
         INSERT INTO t (p, c, v) VALUES (1, 1, 1)",
    ));
    assert_eq!(rows[0], "false | null | null | null | null | null");
}

#[test]
fn without_static_columns_there_is_no_static_row() {
    let mut node = Node::with(&[
        "CREATE TABLE t (p int, c int, v int, PRIMARY KEY (p, c))",
        "INSERT INTO t (p, c, v) VALUES (1, 1, 10)",
    ]);
    let rows = node.rows(&batch(
        "UPDATE t SET v = 11 WHERE p = 1 AND c = 1 IF v = 10; \
         UPDATE t SET v = 1 WHERE p = 1 AND c = 7 IF v = null; \
         INSERT INTO t (p, c) VALUES (1, 8)",
    ));
    assert_eq!(
        rows,
        ["true | 1 | 1 | 10", "true | null | null | null", "true | null | null | null"]
    );
}

#[test]
fn a_statement_that_reads_its_list_shows_its_row_without_a_condition() {
    let mut node = with_static();
    node.ok("INSERT INTO t (p, c, v, l) VALUES (1, 2, 20, [1, 2, 3])");
    let rows = node.rows(&batch(
        "UPDATE t SET v = 3 WHERE p = 1 AND c = 1 IF v = 5; \
         UPDATE t SET l = l - [1] WHERE p = 1 AND c = 2",
    ));
    assert_eq!(rows, ["false | 1 | 1 | 10", "false | 1 | 2 | 20"]);
}

#[test]
fn of_several_rows_the_first_one_is_shown() {
    let mut node = with_static();
    let rows = node.rows(&batch(
        "UPDATE t SET v = 11 WHERE p = 1 AND c = 1 IF EXISTS; \
         UPDATE t SET v = 12 WHERE p = 1 AND c IN (3, 1, 2)",
    ));
    assert_eq!(rows, ["true | 1 | 1 | null | [1, 2] | 10"; 2]);
}

#[test]
fn one_value_written_out_is_no_in() {
    let mut node = with_static();
    assert_eq!(
        node.rows("UPDATE t SET v = 2 WHERE p IN (1) AND c IN (1) IF v = 10"),
        ["true | 10"]
    );
    for (statement, kind) in [
        ("UPDATE t SET v = 2 WHERE p = 1 AND c IN (1, 2) IF v = 2", "updates"),
        ("DELETE FROM t WHERE p = 1 AND c IN (1, 2) IF v = 2", "deletions"),
    ] {
        let expected =
            format!("IN on the clustering key columns is not supported with conditional {kind}");
        assert_eq!(node.refusal(statement), expected);
    }
}

#[test]
fn a_condition_on_a_row_needs_the_row() {
    let mut node = with_static();
    for (statement, refusal) in [
        ("UPDATE t SET s = 1 WHERE p = 1 IF v = 1", "Missing mandatory PRIMARY KEY part c"),
        (
            "DELETE s FROM t WHERE p = 1 IF v = 1",
            "DELETE statements must restrict all PRIMARY KEY columns with equality relations in order to use IF condition on non static columns",
        ),
        (
            "DELETE v FROM t WHERE p = 1 AND c > 0 IF EXISTS",
            "DELETE statements must restrict all PRIMARY KEY columns with equality relations in order to delete non static columns",
        ),
        (
            "UPDATE t SET s = 1 WHERE p = 1 AND c = 1 IF s = 1",
            "Invalid restriction on clustering column c since the UPDATE statement modifies only static columns",
        ),
    ] {
        assert_eq!(node.refusal(statement), refusal, "{statement}");
    }
    assert_eq!(
        node.rows("UPDATE t SET s = 1 WHERE p = 1 AND c = 1 IF s = null AND v = 10"),
        ["true | null | 10"]
    );
}

//! Pages: every row once, whatever their size.

use super::node::Node;

#[test]
fn a_full_page_always_has_a_follower() {
    let mut node = Node::with(&["CREATE TABLE t (p int, c int, PRIMARY KEY (p, c))"]);
    for c in 0..4 {
        node.ok(&format!("INSERT INTO t (p, c) VALUES (1, {c})"));
    }
    let (rows, pages) = node.pages("SELECT c FROM t WHERE p = 1", 2);
    assert_eq!(
        (rows, pages),
        (vec!["0".into(), "1".into(), "2".into(), "3".into()], vec![2, 2, 0])
    );
    let (_, pages) = node.pages("SELECT c FROM t WHERE p = 1 LIMIT 4", 2);
    assert_eq!(pages, [2, 2]);
    let (_, pages) = node.pages("SELECT c FROM t WHERE p = 1", 3);
    assert_eq!(pages, [3, 1]);
}

#[test]
fn pages_of_every_size_hold_the_rows_of_the_unpaged_query() {
    let mut node = Node::with(&[
        "CREATE TABLE t (p int, c int, v int, s int static, PRIMARY KEY (p, c))",
        "INSERT INTO t (p, s) VALUES (100, 1)",
        "INSERT INTO t (p, s) VALUES (101, 2)",
    ]);
    for p in 0..7 {
        for c in 0..p {
            node.ok(&format!("INSERT INTO t (p, c, v) VALUES ({p}, {c}, {})", c % 3));
        }
    }
    node.ok("UPDATE t SET s = 5 WHERE p = 3");
    let queries = [
        "SELECT p, c, s FROM t",
        "SELECT p, c FROM t PER PARTITION LIMIT 2",
        "SELECT p, c FROM t WHERE p IN (6, 3, 5, 100, 0)",
        "SELECT p, c FROM t WHERE p IN (6, 3, 5) PER PARTITION LIMIT 3",
        "SELECT p, c FROM t WHERE p IN (6, 3, 5) AND c >= 2 LIMIT 5",
        "SELECT p, c FROM t WHERE p = 6 ORDER BY c DESC",
        "SELECT p, c FROM t WHERE p = 6 AND c IN (5, 1, 3) ORDER BY c DESC",
        "SELECT DISTINCT p, s FROM t",
        "SELECT p, c FROM t WHERE v = 1 ALLOW FILTERING",
        "SELECT p, c FROM t WHERE v = 1 PER PARTITION LIMIT 1 ALLOW FILTERING",
        "SELECT p, c FROM t WHERE c = 2",
        "SELECT p, c FROM t WHERE token(p) > 0 LIMIT 9",
        "SELECT JSON p, c FROM t",
    ];
    for query in queries {
        let whole = node.rows(query);
        for size in 1..12 {
            let (rows, pages) = node.pages(query, size);
            assert_eq!(rows, whole, "{query} by {size}");
            assert!(pages.iter().all(|n| *n <= size), "{query} by {size}");
        }
    }
}

#[test]
fn a_scan_goes_on_where_it_was_though_rows_come_and_go() {
    let mut node = Node::with(&["CREATE TABLE t (p int, c int, PRIMARY KEY (p, c))"]);
    for c in 0..10 {
        node.ok(&format!("INSERT INTO t (p, c) VALUES (1, {c})"));
    }
    let mut request = super::node::parameters(vec![]);
    request.page_size = Some(4);
    let engine = node.engine.clone();
    let first = match engine.query(&mut node.state, "SELECT c FROM t", &request).unwrap() {
        crate::request::Outcome::Rows(rows) => rows,
        other => panic!("{other:?}"),
    };
    node.ok("DELETE FROM t WHERE p = 1 AND c <= 4");
    request.paging_state = first.paging_state;
    match engine.query(&mut node.state, "SELECT c FROM t", &request).unwrap() {
        crate::request::Outcome::Rows(rows) => {
            assert_eq!(super::node::shown(&rows), ["5", "6", "7", "8"]);
        }
        other => panic!("{other:?}"),
    }
}

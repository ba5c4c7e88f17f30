//! Which of two writes is seen.

use super::node::Node;

const TABLE: &str =
    "CREATE TABLE t (p int, c int, a text, b text, s text static, PRIMARY KEY (p, c))";

#[test]
fn the_later_timestamp_wins_in_whatever_order_the_writes_come() {
    let mut node = Node::with(&[
        TABLE,
        "INSERT INTO t (p, c, a, b) VALUES (1, 1, 'new', 'new') USING TIMESTAMP 200",
        "INSERT INTO t (p, c, a, b) VALUES (1, 1, 'old', 'old') USING TIMESTAMP 100",
        "UPDATE t USING TIMESTAMP 300 SET a = 'newer' WHERE p = 1 AND c = 1",
    ]);
    assert_eq!(
        node.rows("SELECT a, writetime(a), b, writetime(b) FROM t WHERE p = 1"),
        ["newer | 300 | new | 200"]
    );
}

#[test]
fn at_one_timestamp_a_deletion_wins_and_else_the_larger_value() {
    let mut node = Node::with(&[
        TABLE,
        "INSERT INTO t (p, c, a) VALUES (1, 1, 'zzzz') USING TIMESTAMP 300",
        "UPDATE t USING TIMESTAMP 300 SET a = 'aaaa' WHERE p = 1 AND c = 1",
    ]);
    assert_eq!(node.rows("SELECT a FROM t"), ["zzzz"]);
    node.ok("DELETE a FROM t USING TIMESTAMP 300 WHERE p = 1 AND c = 1");
    node.ok("UPDATE t USING TIMESTAMP 300 SET a = 'zzzzz' WHERE p = 1 AND c = 1");
    assert_eq!(node.rows("SELECT a FROM t"), ["null"]);
}

#[test]
fn deletions_of_rows_ranges_and_partitions_cover_what_is_older() {
    let mut node = Node::with(&[
        TABLE,
        "DELETE FROM t USING TIMESTAMP 500 WHERE p = 1",
        "INSERT INTO t (p, c, b) VALUES (1, 2, 'shadowed') USING TIMESTAMP 400",
        "INSERT INTO t (p, c, b) VALUES (1, 3, 'alive') USING TIMESTAMP 501",
    ]);
    assert_eq!(node.rows("SELECT c, b FROM t"), ["3 | alive"]);
    node.ok("DELETE FROM t USING TIMESTAMP 600 WHERE p = 1 AND c > 2");
    assert!(node.rows("SELECT c, b FROM t").is_empty());
    node.ok("INSERT INTO t (p, c, b) VALUES (1, 3, 'same time') USING TIMESTAMP 600");
    assert!(node.rows("SELECT c, b FROM t").is_empty());
    node.ok("INSERT INTO t (p, c, b) VALUES (1, 3, 'later') USING TIMESTAMP 601");
    assert_eq!(node.rows("SELECT c, b FROM t"), ["3 | later"]);
}

#[test]
fn a_row_lives_by_its_insert_or_by_its_cells() {
    let mut node = Node::with(&[
        TABLE,
        "INSERT INTO t (p, c, a) VALUES (1, 1, 'inserted')",
        "UPDATE t SET a = null WHERE p = 1 AND c = 1",
        "UPDATE t SET a = 'updated' WHERE p = 1 AND c = 2",
        "UPDATE t SET a = null WHERE p = 1 AND c = 2",
    ]);
    assert_eq!(node.rows("SELECT c, a FROM t"), ["1 | null"]);
}

#[test]
fn static_columns_are_seen_with_and_without_rows() {
    let mut node = Node::with(&[TABLE, "UPDATE t USING TIMESTAMP 50 SET s = 'static' WHERE p = 6"]);
    assert_eq!(node.rows("SELECT * FROM t WHERE p = 6"), ["6 | null | static | null | null"]);
    assert!(node.rows("SELECT * FROM t WHERE p = 6 AND c = 1").is_empty());
    node.ok("INSERT INTO t (p, c, a) VALUES (6, 1, 'row')");
    assert_eq!(node.rows("SELECT * FROM t WHERE p = 6"), ["6 | 1 | static | row | null"]);
    assert_eq!(node.rows("SELECT DISTINCT p, s FROM t"), ["6 | static"]);
    assert_eq!(
        node.refusal("UPDATE t SET s = 'x' WHERE p = 6 AND c = 1"),
        "Invalid restriction on clustering column c since the UPDATE statement modifies only static columns"
    );
}

#[test]
fn ttls_are_checked_and_shown() {
    let mut node = Node::with(&[
        TABLE,
        "INSERT INTO t (p, c, a) VALUES (4, 1, 'x') USING TIMESTAMP 100 AND TTL 10000",
    ]);
    let ttl: i32 = node.rows("SELECT ttl(a) FROM t")[0].parse().unwrap();
    assert!((9990..=10_000).contains(&ttl));
    node.ok("UPDATE t USING TTL 0 SET a = 'forever' WHERE p = 4 AND c = 1");
    assert_eq!(node.rows("SELECT a, ttl(a) FROM t"), ["forever | null"]);
    assert_eq!(
        node.refusal("INSERT INTO t (p, c, a) VALUES (4, 2, 'x') USING TTL -1"),
        "A TTL must be greater or equal to 0"
    );
    assert_eq!(
        node.refusal("INSERT INTO t (p, c, a) VALUES (4, 2, 'x') USING TTL 999999999"),
        "ttl is too large. requested (999999999) maximum (630720000)"
    );
    assert_eq!(
        node.refusal("SELECT writetime(p) FROM t"),
        "Cannot use selection function writeTime on PRIMARY KEY part 70"
    );
}

#[test]
fn expired_values_and_rows_are_gone() {
    let mut node = Node::with(&[
        "CREATE TABLE d (p int PRIMARY KEY, v text, w text) WITH default_time_to_live = 100",
        "INSERT INTO d (p, v, w) VALUES (1, 'default', 'default')",
        "INSERT INTO d (p, v) VALUES (2, 'never') USING TTL 0",
        "UPDATE d USING TTL 1000 SET w = 'longer' WHERE p = 1",
        "INSERT INTO d (p, v) VALUES (3, 'default')",
    ]);
    node.engine.clock().set_offset_micros(200_000_000);
    assert_eq!(
        node.rows("SELECT p, v, w FROM d WHERE p IN (1, 2, 3)"),
        ["1 | null | longer", "2 | never | null"]
    );
    assert_eq!(
        node.rows("INSERT INTO d (p, v) VALUES (3, 'again') IF NOT EXISTS"),
        ["true | null | null | null"]
    );
}

#[test]
fn a_timestamp_days_ahead_is_taken_for_a_mistake() {
    let mut node = Node::with(&[TABLE]);
    const REFUSED: &str = "Cannot provide a timestamp more than 3 days into the future. If this was not intended, make sure the timestamp is in microseconds. You can also disable this check by setting the restrict_future_timestamp configuration option to false.";
    const DAY: i64 = 86_400_000_000;
    let now = node.engine.clock().read_micros();
    for ahead in [4 * DAY, i64::MAX - now] {
        let timestamp = now + ahead;
        for statement in [
            format!("INSERT INTO t (p, c) VALUES (1, 1) USING TIMESTAMP {timestamp}"),
            format!("DELETE FROM t USING TIMESTAMP {timestamp} WHERE p = 1"),
            format!(
                "BEGIN BATCH USING TIMESTAMP {timestamp} INSERT INTO t (p, c) VALUES (1, 1); APPLY BATCH"
            ),
        ] {
            assert_eq!(node.refusal(&statement), REFUSED);
        }
    }
    node.ok(&format!("INSERT INTO t (p, c) VALUES (1, 1) USING TIMESTAMP {}", now + 2 * DAY));
    // What a driver sends with the request is not looked at.
    let mut parameters = super::node::parameters(Vec::new());
    parameters.default_timestamp = Some(now + 5 * DAY);
    let insert = "INSERT INTO t (p, c) VALUES (1, 2)";
    node.engine.query(&mut node.state, insert, &parameters).unwrap();
    assert_eq!(node.rows("SELECT c FROM t"), ["1", "2"]);
}

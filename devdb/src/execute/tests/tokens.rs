//! The ring: tokens of keys, scans in their order.

use super::node::Node;

#[test]
fn a_scan_runs_in_ring_order_and_token_ranges_cut_it() {
    let mut node = Node::with(&["CREATE TABLE t (id uuid, n int, PRIMARY KEY (id, n))"]);
    for (id, n) in [
        ("00000000-0000-0000-0000-000000000001", 1),
        ("00000000-0000-0000-0000-000000000002", 2),
        ("00000000-0000-0000-0000-000000000003", 3),
        ("123e4567-e89b-12d3-a456-426614174000", 4),
        ("ffffffff-ffff-ffff-ffff-ffffffffffff", 5),
    ] {
        node.ok(&format!("INSERT INTO t (id, n) VALUES ({id}, {n})"));
    }
    assert_eq!(
        node.rows("SELECT token(id), n FROM t"),
        [
            "-2824192546314762522 | 5",
            "-1269335609491535025 | 2",
            "-44119901388393997 | 4",
            "2589554819249504804 | 1",
            "5646780201487259956 | 3"
        ]
    );
    assert_eq!(
        node.rows("SELECT n FROM t WHERE token(id) > -9223372036854775808 AND token(id) <= 0"),
        ["5", "2", "4"]
    );
    assert_eq!(node.rows("SELECT n FROM t WHERE token(id) > 0"), ["1", "3"]);
    assert_eq!(
        node.rows(
            "SELECT n FROM t WHERE token(id) >= token(123e4567-e89b-12d3-a456-426614174000) LIMIT 2"
        ),
        ["4", "1"]
    );
    assert_eq!(
        node.rows("SELECT count(*) FROM t WHERE token(id) > -9223372036854775808 AND token(id) <= 9223372036854775807"),
        ["5"]
    );
    assert!(node.rows("SELECT n FROM t WHERE token(id) > 5 AND token(id) < 5").is_empty());
}

#[test]
fn tokens_of_composite_keys_and_of_parts_of_them() {
    let mut node = Node::with(&[
        "CREATE TABLE m (a int, b text, c int, PRIMARY KEY ((a, b), c))",
        "INSERT INTO m (a, b, c) VALUES (1, 'x', 1)",
        "INSERT INTO m (a, b, c) VALUES (2, 'yy', 1)",
    ]);
    assert_eq!(
        node.rows("SELECT token(a, b), a, b FROM m"),
        ["-4577661913518231145 | 2 | yy", "746584927563629270 | 1 | x"]
    );
    assert_eq!(
        node.rows("SELECT token(a) FROM m"),
        ["5881589184840470790", "-2849496453147726091"]
    );
    assert!(node.refusal("SELECT * FROM m WHERE token(a) > 1").contains("token()"));
    node.ok("CREATE TABLE tx (k text PRIMARY KEY)");
    assert_eq!(node.refusal("INSERT INTO tx (k) VALUES ('')"), "Key may not be empty");
}

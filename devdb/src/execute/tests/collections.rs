//! Lists, sets, maps, tuples, user types, JSON.

use super::node::Node;

fn tables() -> Node {
    Node::with(&[
        "CREATE TYPE addr (street text, zip int)",
        "CREATE TABLE c (k int PRIMARY KEY, l list<int>, s set<text>, m map<text, int>, fl frozen<list<int>>, u frozen<addr>, n addr)",
    ])
}

#[test]
fn lists_grow_at_both_ends_and_change_in_the_middle() {
    let mut node = tables();
    node.ok("INSERT INTO c (k, l) VALUES (1, [3, 1, 2])");
    node.ok("UPDATE c SET l = l + [4, 5] WHERE k = 1");
    node.ok("UPDATE c SET l = [8, 9] + l WHERE k = 1");
    node.ok("UPDATE c SET l = [7] + l WHERE k = 1");
    assert_eq!(node.rows("SELECT l FROM c"), ["[7, 8, 9, 3, 1, 2, 4, 5]"]);
    node.ok("UPDATE c SET l[1] = 88 WHERE k = 1");
    node.ok("DELETE l[0] FROM c WHERE k = 1");
    node.ok("UPDATE c SET l = l - [1, 5] WHERE k = 1");
    assert_eq!(node.rows("SELECT l FROM c"), ["[88, 9, 3, 2, 4]"]);
    assert_eq!(
        node.refusal("UPDATE c SET l[99] = 1 WHERE k = 1"),
        "List index 99 out of bound, list has size 5"
    );
    node.ok("UPDATE c SET l = [1] WHERE k = 1");
    assert_eq!(node.rows("SELECT l FROM c"), ["[1]"]);
}

#[test]
fn sets_and_maps_by_element() {
    let mut node = tables();
    node.ok("INSERT INTO c (k, s, m) VALUES (1, {'b', 'a', 'b'}, {'z': 1, 'a': 2})");
    node.ok("UPDATE c SET s = s + {'c'}, m = m + {'n': 5} WHERE k = 1");
    node.ok("UPDATE c SET s = s - {'a'}, m['z'] = 7, m['a'] = null WHERE k = 1");
    assert_eq!(node.rows("SELECT s, m FROM c"), ["[\"b\", \"c\"] | {\"n\": 5, \"z\": 7}"]);
    node.ok("UPDATE c SET m = m - {'n'} WHERE k = 1");
    node.ok("DELETE s['b'] FROM c WHERE k = 1");
    assert_eq!(node.rows("SELECT s, m FROM c"), ["[\"c\"] | {\"z\": 7}"]);
    node.ok("UPDATE c SET s = {}, m = null WHERE k = 1");
    assert_eq!(node.rows("SELECT s, m FROM c"), ["null | null"]);
    assert_eq!(node.rows("SELECT k FROM c WHERE s CONTAINS 'c' ALLOW FILTERING"), [""; 0]);
}

#[test]
fn an_overwrite_does_not_remove_what_is_written_with_it() {
    let mut node = tables();
    node.ok("INSERT INTO c (k, m) VALUES (1, {'a': 1}) USING TIMESTAMP 10");
    node.ok("UPDATE c USING TIMESTAMP 10 SET m = {'b': 2} WHERE k = 1");
    assert_eq!(node.rows("SELECT m FROM c"), ["{\"a\": 1, \"b\": 2}"]);
    node.ok("UPDATE c USING TIMESTAMP 11 SET m = {'c': 3} WHERE k = 1");
    assert_eq!(node.rows("SELECT m FROM c"), ["{\"c\": 3}"]);
}

#[test]
fn user_types_whole_and_by_field() {
    let mut node = tables();
    node.ok("INSERT INTO c (k, u, n) VALUES (1, {street: 'Via', zip: 1}, {street: 'Corso'})");
    node.ok("UPDATE c SET n.zip = 5 WHERE k = 1");
    assert_eq!(node.rows("SELECT u.zip, n.street, n.zip FROM c"), ["1 | Corso | 5"]);
    node.ok("DELETE n.street FROM c WHERE k = 1");
    assert_eq!(node.rows("SELECT n.street, n.zip FROM c"), ["null | 5"]);
    node.ok("ALTER TYPE addr ADD floor int");
    node.ok("UPDATE c SET n.floor = 3 WHERE k = 1");
    assert_eq!(node.rows("SELECT n.floor, u.floor FROM c"), ["3 | null"]);
}

#[test]
fn literals_that_do_not_fit() {
    let mut node = tables();
    let cases = [
        (
            "UPDATE c SET fl = fl + [1] WHERE k = 1",
            "Invalid operation (fl = fl + [1]) for frozen collection column 666c",
        ),
        (
            "INSERT INTO c (k, s) VALUES (3, {1, 2})",
            "Invalid set literal for s: value 1 is not of type text",
        ),
        ("INSERT INTO c (k, l) VALUES (3, [null])", "null is not supported inside collections"),
        (
            "INSERT INTO c (k, u) VALUES (3, {nope: 1})",
            "Unknown field 'nope' in value of user defined type addr",
        ),
        (
            "INSERT INTO c (k, m) VALUES (3, [1])",
            "Invalid list literal for m of type map<text, int>",
        ),
    ];
    for (statement, refusal) in cases {
        assert_eq!(node.refusal(statement), refusal);
    }
}

#[test]
fn rows_as_json_and_back() {
    let mut node = Node::with(&[
        "CREATE TABLE j (k int PRIMARY KEY, t text, l list<int>, m map<text, int>, \"Q\" int)",
        "INSERT INTO j JSON '{\"k\": 1, \"t\": \"x\", \"l\": [1, 2], \"m\": {\"a\": 1}, \"\\\"Q\\\"\": 5}'",
    ]);
    assert_eq!(
        node.rows("SELECT JSON * FROM j"),
        ["{\"k\": 1, \"\\\"Q\\\"\": 5, \"l\": [1, 2], \"m\": {\"a\": 1}, \"t\": \"x\"}"]
    );
    node.ok("INSERT INTO j JSON '{\"k\": 1, \"t\": \"y\"}' DEFAULT UNSET");
    assert_eq!(node.rows("SELECT t, l FROM j"), ["y | [1, 2]"]);
    node.ok("INSERT INTO j JSON '{\"k\": 1, \"t\": \"z\"}'");
    assert_eq!(node.rows("SELECT t, l FROM j"), ["z | null"]);
    assert_eq!(
        node.refusal("INSERT INTO j JSON '{\"k\": 2, \"nope\": 1}'"),
        "JSON values map contains unrecognized column: nope"
    );
    assert!(
        node.refusal("INSERT INTO j JSON '{'").starts_with("Could not decode JSON string as a map")
    );
}

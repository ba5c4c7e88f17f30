//! DDL: what it changes and what it refuses.

use super::node::Node;
use crate::error::ErrorKind;

#[test]
fn tables_that_cannot_be() {
    let mut node = Node::with(&["CREATE TABLE t (a int PRIMARY KEY, b text)"]);
    let cases = [
        ("CREATE TABLE bad (a int, b text)", "No PRIMARY KEY specified (exactly one required)"),
        ("CREATE TABLE bad (a nonsense PRIMARY KEY)", "Unknown type k.nonsense"),
        (
            "CREATE TABLE bad (a int, PRIMARY KEY (c))",
            "Unknown definition c referenced in PRIMARY KEY",
        ),
        (
            "CREATE TABLE bad (a int, b list<int>, PRIMARY KEY (b))",
            "Invalid non-frozen collection type for PRIMARY KEY component b",
        ),
        (
            "CREATE TABLE bad (a int PRIMARY KEY, s int static)",
            "Static columns are only useful (and thus allowed) if the table has at least one clustering column",
        ),
        (
            "CREATE TABLE bad (a int PRIMARY KEY, b list<list<int>>)",
            "Non-frozen user types or collections are not allowed inside collections: list<list<int>>",
        ),
        (
            "CREATE TABLE bad (a int PRIMARY KEY, n counter, v int)",
            "Cannot mix counter and non counter columns in the same table",
        ),
        ("CREATE TABLE bad (a int PRIMARY KEY) WITH colour = 'red'", "Unknown property 'colour'"),
        (
            "CREATE TABLE bad (a int PRIMARY KEY) WITH cdc = {'enabled': true, 'nonsense': 1}",
            "Invalid CDC option: nonsense",
        ),
        ("CREATE TABLE nokeyspace.bad (a int PRIMARY KEY)", "Keyspace 'nokeyspace' does not exist"),
        ("CREATE TABLE system.bad (a int PRIMARY KEY)", "system keyspace is not user-modifiable."),
    ];
    for (statement, refusal) in cases {
        assert_eq!(node.refusal(statement), refusal, "{statement}");
    }
    let twice = node.error("CREATE TABLE t (a int PRIMARY KEY)");
    assert_eq!(
        twice.kind,
        ErrorKind::AlreadyExists { keyspace: "k".to_owned(), table: "t".to_owned() }
    );
    node.ok("CREATE TABLE IF NOT EXISTS t (a int PRIMARY KEY)");
}

#[test]
fn keyspaces() {
    let mut node = Node::new();
    node.ok("CREATE KEYSPACE v WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 3} AND tablets = {'enabled': false}");
    let refused = node.error("CREATE KEYSPACE w WITH replication = {'class': 'NoSuchStrategy'}");
    assert_eq!(
        (refused.kind, refused.message.as_str()),
        (ErrorKind::ConfigError, "unable to find class 'NoSuchStrategy'")
    );
    assert_eq!(
        node.rows("SELECT * FROM system_schema.keyspaces WHERE keyspace_name = 'v'"),
        [
            "v | true | {\"class\": \"org.apache.cassandra.locator.SimpleStrategy\", \"replication_factor\": \"3\"}"
        ]
    );
    node.ok("CREATE TABLE v.t (a int PRIMARY KEY)");
    node.ok("DROP KEYSPACE v");
    assert!(node.rows("SELECT * FROM system_schema.tables WHERE keyspace_name = 'v'").is_empty());
    assert_eq!(node.refusal("SELECT * FROM v.t"), "Keyspace v does not exist");
    assert_eq!(node.refusal("DROP KEYSPACE v"), "Cannot drop non existing keyspace 'v'.");
    node.ok("DROP KEYSPACE IF EXISTS v");
    assert_eq!(node.refusal("USE v"), "Keyspace 'v' does not exist");
}

#[test]
fn a_server_without_tablets_refuses_the_clause() {
    let config = crate::engine::EngineConfig { knows_tablets: false, ..Default::default() };
    let mut node = Node {
        engine: crate::engine::Engine::new(config).unwrap(),
        state: crate::request::ClientState::default(),
    };
    let refused = node.error("CREATE KEYSPACE v WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1} AND tablets = {'enabled': false}");
    assert_eq!(
        (refused.kind, refused.message.as_str()),
        (ErrorKind::SyntaxError, "Unknown property 'tablets'")
    );
    node.error("SELECT initial_tablets FROM system_schema.scylla_keyspaces");
}

#[test]
fn columns_come_and_go() {
    let mut node = Node::with(&[
        "CREATE TABLE t (a int PRIMARY KEY, b text)",
        "INSERT INTO t (a, b) VALUES (1, 'x')",
        "ALTER TABLE t ADD (c int, d bigint)",
    ]);
    assert_eq!(
        node.refusal("ALTER TABLE t ADD c int"),
        "Invalid column name c because it conflicts with an existing column"
    );
    node.ok("ALTER TABLE t DROP b");
    node.ok("ALTER TABLE t ADD b text");
    assert_eq!(node.rows("SELECT * FROM t"), ["1 | null | null | null"]);
    node.ok("ALTER TABLE t RENAME a TO k");
    assert_eq!(node.rows("SELECT k FROM t"), ["1"]);
    assert_eq!(node.refusal("ALTER TABLE t DROP k"), "Cannot drop PRIMARY KEY part k");
    assert_eq!(node.refusal("ALTER TABLE t DROP zz"), "Column zz was not found in table t");
    node.ok("TRUNCATE t");
    assert!(node.rows("SELECT * FROM t").is_empty());
    node.ok("DROP TABLE t");
    assert_eq!(node.refusal("DROP TABLE t"), "unconfigured table t");
}

#[test]
fn a_dropped_column_is_remembered() {
    let mut node = Node::with(&[
        "CREATE TYPE pair (a int, b frozen<list<text>>)",
        "CREATE TABLE t (p int, c int, v text, u frozen<pair>, l list<int>, PRIMARY KEY (p, c))",
        "ALTER TABLE t DROP v USING TIMESTAMP 1500",
        "ALTER TABLE t DROP (u, l)",
    ]);
    let dropped = "SELECT column_name, type FROM system_schema.dropped_columns WHERE keyspace_name = 'k' AND table_name = 't'";
    assert_eq!(
        node.rows(dropped),
        ["l | list<int>", "u | frozen<tuple<int, frozen<list<text>>>>", "v | text"]
    );
    // Microseconds in a column of milliseconds, as ScyllaDB has it.
    let time = "SELECT blobasbigint(timestampasblob(dropped_time)) FROM system_schema.dropped_columns WHERE keyspace_name = 'k' AND table_name = 't' AND column_name = 'v'";
    assert_eq!(node.rows(time), ["1500"]);
    node.ok("DROP TYPE pair");
    assert_eq!(
        node.refusal("ALTER TABLE t ADD l set<int>"),
        "Cannot add a collection with the name l because a collection with the same name and a different type has already been used in the past"
    );
    node.ok("ALTER TABLE t ADD (l list<int>, v int, u text)");
    assert_eq!(node.rows(dropped).len(), 3, "also of those that came back");
    node.ok("DROP TABLE t");
    assert!(node.rows(dropped).is_empty());
    node.ok("CREATE TABLE n (p int PRIMARY KEY, n counter)");
    node.ok("ALTER TABLE n DROP n");
    assert_eq!(
        node.refusal("ALTER TABLE n ADD n counter"),
        "Cannot re-add previously dropped counter column n"
    );
}

#[test]
fn values_later_than_the_drop_come_back_with_the_column() {
    let mut node = Node::with(&[
        "CREATE TABLE t (p int PRIMARY KEY, v text, s set<int>, w int)",
        "INSERT INTO t (p, w) VALUES (1, 0) USING TIMESTAMP 50",
        "UPDATE t USING TIMESTAMP 100 SET v = 'old', s = s + {1} WHERE p = 1",
        "UPDATE t USING TIMESTAMP 200 SET s = s + {2} WHERE p = 1",
        "UPDATE t USING TIMESTAMP 200 SET v = 'new' WHERE p = 2",
        "ALTER TABLE t DROP v USING TIMESTAMP 150",
        "ALTER TABLE t DROP s USING TIMESTAMP 150",
    ]);
    assert_eq!(node.rows("SELECT * FROM t"), ["1 | 0"], "no row lives by what is hidden");
    node.ok("ALTER TABLE t ADD (v text, s set<int>)");
    assert_eq!(
        node.rows("SELECT p, s, v, w FROM t"),
        ["1 | [2] | null | 0", "2 | null | new | null"]
    );
    node.ok("ALTER TABLE t DROP v");
    node.ok("ALTER TABLE t ADD v int");
    assert_eq!(node.rows("SELECT v FROM t WHERE p = 2"), [""; 0]);
}

#[test]
fn a_column_dropped_from_a_table_is_dropped_from_its_log() {
    let mut node = Node::with(&[
        "CREATE TABLE t (p int PRIMARY KEY, v text, s set<int>) WITH cdc = {'enabled': true}",
        "INSERT INTO t (p, v, s) VALUES (1, 'x', {1})",
        "ALTER TABLE t DROP (v, s)",
    ]);
    assert_eq!(
        node.rows("SELECT column_name FROM system_schema.dropped_columns WHERE keyspace_name = 'k' AND table_name = 't_scylla_cdc_log'"),
        ["cdc$deleted_elements_s", "cdc$deleted_s", "cdc$deleted_v", "s", "v"]
    );
    node.ok("INSERT INTO t (p) VALUES (2)");
    node.ok("ALTER TABLE t ADD v text");
    node.ok("INSERT INTO t (p, v) VALUES (3, 'y')");
    let mut log = node.rows("SELECT p, v FROM t_scylla_cdc_log");
    log.sort();
    assert_eq!(log, ["1 | null", "2 | null", "3 | y"]);
}

#[test]
fn the_schema_has_a_new_version_with_each_change_and_only_then() {
    let mut node = Node::new();
    let version = "SELECT schema_version FROM system.local";
    let before = node.rows(version);
    assert_eq!(node.rows(version), before);
    node.ok("CREATE TABLE t (a int PRIMARY KEY)");
    assert_ne!(node.rows(version), before);
    let mut changes = node.engine.subscribe_schema();
    node.ok("CREATE TABLE IF NOT EXISTS t (a int PRIMARY KEY)");
    assert!(changes.try_recv().is_err());
    node.ok("ALTER TABLE t ADD b int");
    let change = changes.try_recv().unwrap();
    assert_eq!((change.change, change.target, change.name.as_str()), ("UPDATED", "TABLE", "t"));
}

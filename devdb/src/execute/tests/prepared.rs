//! PREPARE: what it says of markers, and how bound values are taken.

use super::node::{Node, int, parameters, shown, text};
use crate::request::{BatchItem, BatchRequest, BatchStatement, Consistency, Outcome, Value};

const TABLE: &str =
    "CREATE TABLE t (p int, c text, v text, l list<int>, m map<text, int>, PRIMARY KEY (p, c))";

#[test]
fn markers_have_the_names_and_types_of_what_they_stand_for() {
    let node = Node::with(&[TABLE]);
    let cases: [(&str, &[&str], &[u16]); 7] = [
        (
            "INSERT INTO t (c, p, v) VALUES (?, ?, ?) USING TIMESTAMP ? AND TTL ?",
            &["c text", "p int", "v text", "[timestamp] bigint", "[ttl] int"],
            &[1],
        ),
        ("INSERT INTO t (p, c) VALUES (:x, :y)", &["x int", "y text"], &[0]),
        (
            "UPDATE t SET m[?] = ?, l = l + ? WHERE p = ? AND c = ? IF v = ?",
            &["key(m) text", "value(m) int", "l list<int>", "p int", "c text", "v text"],
            &[3],
        ),
        (
            "SELECT * FROM t WHERE p IN ? AND c > ? LIMIT ?",
            &["in(p) list<int>", "c text", "[limit] int"],
            &[],
        ),
        (
            "SELECT * FROM t WHERE token(p) > ? PER PARTITION LIMIT ?",
            &["partition key token bigint", "[per_partition_limit] int"],
            &[],
        ),
        (
            "SELECT * FROM t WHERE p = ? AND (c) IN ?",
            &["p int", "in(c) list<frozen<tuple<text>>>"],
            &[0],
        ),
        (
            "BEGIN BATCH INSERT INTO t (p, c) VALUES (?, 'a'); DELETE FROM t WHERE p = ?; APPLY BATCH",
            &["p int", "p int"],
            &[0],
        ),
    ];
    for (statement, markers, key) in cases {
        let prepared = node.engine.prepare(&node.state, statement).unwrap();
        let found: Vec<String> =
            prepared.info.markers.iter().map(|m| format!("{} {}", m.name, m.cql_type)).collect();
        assert_eq!(found, markers, "{statement}");
        assert_eq!(&prepared.info.partition_key[..], key, "{statement}");
    }
    let conditional =
        node.engine.prepare(&node.state, "DELETE FROM t WHERE p = ? AND c = ? IF v = ?").unwrap();
    assert!(conditional.info.is_lwt);
    let names: Vec<&str> = conditional.info.columns.iter().map(|c| c.name.as_str()).collect();
    assert_eq!(names, ["[applied]", "v"]);
}

#[test]
fn the_same_text_is_the_same_statement() {
    let node = Node::with(&[TABLE]);
    let a = node.engine.prepare(&node.state, "SELECT * FROM t").unwrap();
    let b = node.engine.prepare(&node.state, "SELECT * FROM t").unwrap();
    assert_eq!(a.info.id, b.info.id);
    let mut elsewhere = node.state.clone();
    elsewhere.keyspace = Some("system".to_owned());
    assert!(node.engine.prepare(&elsewhere, "SELECT * FROM t").is_err());
}

#[test]
fn unset_leaves_alone_and_null_deletes() {
    let mut node = Node::with(&[TABLE, "INSERT INTO t (p, c, v) VALUES (1, 'x', 'kept')"]);
    node.try_run("UPDATE t SET v = ? WHERE p = 1 AND c = 'x'", vec![Value::Unset]).unwrap();
    assert_eq!(node.rows("SELECT v FROM t"), ["kept"]);
    node.try_run("UPDATE t SET v = 'y' WHERE p = 1 AND c = ?", vec![Value::Unset]).unwrap();
    assert_eq!(node.rows("SELECT v FROM t"), ["kept"]);
    let rows = node.rows_of("SELECT v FROM t LIMIT ?", vec![Value::Unset]);
    assert_eq!(shown(&rows), ["kept"]);
    node.try_run("UPDATE t SET v = ? WHERE p = 1 AND c = 'x'", vec![Value::Null]).unwrap();
    assert_eq!(node.rows("SELECT v FROM t"), ["null"]);
    assert!(node.try_run("SELECT v FROM t WHERE p = ?", vec![Value::Null]).is_err());
}

#[test]
fn values_by_name() {
    let mut node = Node::with(&[TABLE]);
    let mut request = parameters(vec![text("v"), int(1), text("c")]);
    request.names = Some(vec!["v".to_owned(), "p".to_owned(), "c".to_owned()]);
    let engine = node.engine.clone();
    engine.query(&mut node.state, "INSERT INTO t (p, c, v) VALUES (:p, :c, :v)", &request).unwrap();
    assert_eq!(node.rows("SELECT p, c, v FROM t"), ["1 | c | v"]);
}

#[test]
fn values_of_the_wrong_size_are_refused() {
    let mut node = Node::with(&[TABLE]);
    let refused = node.try_run("SELECT * FROM t WHERE p = ?", vec![text("abc")]);
    assert!(refused.is_err());
}

#[test]
fn batch_frames_mix_texts_and_prepared_statements() {
    let mut node = Node::with(&[TABLE]);
    let prepared = node.engine.prepare(&node.state, "INSERT INTO t (p, c) VALUES (?, ?)").unwrap();
    let mut batch = BatchRequest {
        kind: crate::parse::ast::BatchKind::Unlogged,
        items: vec![
            BatchItem {
                statement: BatchStatement::Prepared(prepared.info.id),
                values: vec![int(1), text("a")],
            },
            BatchItem {
                statement: BatchStatement::Text("INSERT INTO t (p, c) VALUES (1, 'b')".to_owned()),
                values: vec![],
            },
        ],
        consistency: Consistency::One,
        serial_consistency: None,
        default_timestamp: Some(77),
        effects: crate::faults::Effects::default(),
    };
    let engine = node.engine.clone();
    assert!(matches!(engine.batch(&mut node.state, &batch), Ok(Outcome::Void)));
    assert_eq!(node.rows("SELECT c FROM t"), ["a", "b"]);
    batch.items[1].statement = BatchStatement::Prepared([0; 16]);
    let refused = engine.batch(&mut node.state, &batch).unwrap_err();
    assert_eq!(refused.kind, crate::error::ErrorKind::Unprepared { id: [0; 16] });
}

#[test]
fn long_statements_are_not_kept_without_end() {
    let node = Node::with(&["CREATE TABLE t (p int PRIMARY KEY)"]);
    let long = "x".repeat(1 << 20);
    let ids: Vec<[u8; 16]> = (0..70)
        .map(|n| {
            let text = format!("SELECT p FROM t WHERE p = {n} /* {long} */");
            node.engine.prepare(&node.state, &text).unwrap().info.id
        })
        .collect();
    let kept = ids.iter().filter(|id| node.engine.prepared(id).is_some()).count();
    assert_eq!(kept, 63);
    assert!(node.engine.prepared(ids.last().unwrap()).is_some());
}

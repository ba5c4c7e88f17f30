//! Whatever is asked, with whatever values, is answered or refused: nothing panics.

use bytes::Bytes;
use proptest::prelude::*;

use super::node::{Node, parameters};
use crate::request::{Outcome, Value};
use crate::testing::{STATEMENTS, cases, damage};

fn piece() -> impl Strategy<Value = String> + Clone {
    let words: Vec<&str> = STATEMENTS.split_inclusive([' ', '(', ',', '\'']).collect();
    prop_oneof![
        8 => prop::sample::select(words).prop_map(str::to_owned),
        3 => prop::sample::select(vec![
            "null", "?", "-1", "0", "''", "0x", "{}", "[]", "9223372036854775807",
            "-9223372036854775808", "1e400", "NaN", "'2026-13-45'", "P1Y", "now()", "token(p)",
            "ALLOW FILTERING", "USING TIMESTAMP ", "USING TTL ", "IF EXISTS", "DISTINCT ",
        ]).prop_map(str::to_owned),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        1 => Just(Value::Null),
        1 => Just(Value::Unset),
        2 => any::<i32>().prop_map(|n| Value::Bytes(Bytes::copy_from_slice(&n.to_be_bytes()))),
        2 => any::<i64>().prop_map(|n| Value::Bytes(Bytes::copy_from_slice(&n.to_be_bytes()))),
        4 => prop::collection::vec(prop_oneof![2 => Just(0u8), 1 => any::<u8>()], 0..40)
            .prop_map(|bytes| Value::Bytes(Bytes::from(bytes))),
    ]
}

/// Lines that make tables, and those after them that use them.
fn windows() -> Vec<Vec<&'static str>> {
    let lines: Vec<&str> = STATEMENTS.lines().collect();
    let begins = lines.iter().enumerate().filter(|(_, line)| line.starts_with("CREATE TABLE"));
    begins.map(|(at, _)| lines[at..(at + 12).min(lines.len())].to_vec()).collect()
}

/// Runs it, as text and prepared, the pages as well.
fn run(node: &mut Node, text: &str, values: &[Value], state: Option<&[u8]>) {
    let engine = node.engine.clone();
    let Ok(prepared) = engine.prepare(&node.state, text) else {
        // As text: it may be a statement that is not prepared, or none.
        let _ = engine.query(&mut node.state, text, &parameters(Vec::new()));
        return;
    };
    let markers = prepared.info.markers.len();
    let values: Vec<Value> = values.iter().cycle().take(markers).cloned().collect();
    let mut request = parameters(values);
    request.page_size = Some(2);
    let first = engine.execute(&mut node.state, &prepared, &request);
    let Ok(Outcome::Rows(rows)) = first else { return };
    let own = rows.paging_state.as_deref().unwrap_or_default().to_vec();
    request.paging_state = Some(Bytes::from(own.clone()));
    let _ = engine.execute(&mut node.state, &prepared, &request);
    if let Some(state) = state {
        // Its own with something wrong, and something else entirely.
        let mut wrong = own;
        for (mine, other) in wrong.iter_mut().zip(state) {
            *mine ^= other;
        }
        for state in [wrong, state.to_vec()] {
            request.paging_state = Some(Bytes::from(state));
            let _ = engine.execute(&mut node.state, &prepared, &request);
        }
    }
}

proptest! {
    #![proptest_config(cases(150))]

    #[test]
    fn damaged_statements_are_answered_or_refused(
        statements in prop::sample::select(windows()),
        damages in prop::collection::vec((0..12usize, damage(piece())), 0..8),
        values in prop::collection::vec(value(), 1..6),
        state in prop::option::of(prop::collection::vec(any::<u8>(), 0..40)),
    ) {
        let mut node = Node::new();
        for (index, statement) in statements.iter().enumerate() {
            let mut pieces: Vec<String> =
                statement.split_inclusive([' ', '(', ',', '\'']).map(str::to_owned).collect();
            for (_, damage) in damages.iter().filter(|(at, _)| *at == index && *at > 0) {
                damage.done_to(&mut pieces);
            }
            run(&mut node, &pieces.concat(), &values, state.as_deref());
        }
    }

    #[test]
    fn any_value_of_any_type_is_stored_or_refused(
        cql_type in prop::sample::select(vec![
            "ascii", "bigint", "blob", "boolean", "date", "decimal", "double", "duration",
            "float", "inet", "int", "smallint", "text", "time", "timestamp", "timeuuid",
            "tinyint", "uuid", "varint", "list<int>", "set<text>", "map<varint, decimal>",
            "frozen<list<timeuuid>>", "frozen<map<int, frozen<set<inet>>>>", "tuple<int, text>",
            "frozen<u>", "u", "frozen<tuple<duration, frozen<u>>>",
        ]),
        values in prop::collection::vec(value(), 1..8),
    ) {
        let mut node = Node::new();
        node.ok("CREATE TYPE u (a int, b frozen<list<text>>)");
        node.ok(&format!(
            "CREATE TABLE t (p int, c int, v {cql_type}, s {cql_type} static, PRIMARY KEY (p, c)) \
             WITH cdc = {{'enabled': true, 'preimage': 'full', 'postimage': true}}"
        ));
        let keyed = format!("CREATE TABLE k (p {cql_type}, c {cql_type}, PRIMARY KEY (p, c))");
        let _ = node.try_run(&keyed, Vec::new());
        for statement in [
            "INSERT INTO t (p, c, v, s) VALUES (1, 1, ?, ?)",
            "UPDATE t SET v = ? WHERE p = 1 AND c = 2",
            "UPDATE t SET v = v + ? WHERE p = 1 AND c = 1",
            "UPDATE t SET v = v - ? WHERE p = 1 AND c = 1",
            "UPDATE t SET v[?] = ? WHERE p = 1 AND c = 1",
            "UPDATE t SET v = ? WHERE p = 1 AND c = 1 IF v = ? AND s != ?",
            "DELETE v[?] FROM t WHERE p = 1 AND c = 1",
            "INSERT INTO k (p, c) VALUES (?, ?)",
            "SELECT * FROM k WHERE p = ? AND c >= ?",
            "SELECT * FROM k WHERE token(p) > token(?)",
            "SELECT JSON * FROM t",
            "SELECT * FROM t WHERE v = ? ALLOW FILTERING",
            "SELECT * FROM t WHERE v CONTAINS ? ALLOW FILTERING",
            "SELECT min(v), max(v), sum(v), avg(v), CAST(v AS text) FROM t",
            "SELECT * FROM t_scylla_cdc_log",
            "INSERT INTO t JSON ?",
        ] {
            run(&mut node, statement, &values, None);
        }
    }
}

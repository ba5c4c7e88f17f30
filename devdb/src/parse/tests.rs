//! The grammar as a whole: what parses, what does not and with which words.

use super::ast::*;
use super::{parse_statement, parse_type};
use crate::testing::STATEMENTS;

fn statement(text: &str) -> Statement {
    match parse_statement(text) {
        Ok(parsed) => parsed.statement,
        Err(error) => panic!("{text}: {error}"),
    }
}

fn message(text: &str) -> String {
    parse_statement(text).unwrap_err().message
}

fn integer(text: &str) -> Term {
    Term::Literal(Literal::Integer(text.into()))
}

#[test]
fn every_statement_that_scylladb_parsed_parses() {
    for text in STATEMENTS.lines() {
        statement(text);
        statement(&format!("{text};"));
    }
}

#[test]
fn syntax_errors_read_as_scylladbs() {
    for (text, expected) in [
        (
            "CREATE TABLE s (k int PRIMARY KEY, asc ascii, big bigint)",
            "line 1:35 missing ')' at '<missing '",
        ),
        (
            "INSERT INTO s (k, asc, big) VALUES (1, 2, 3)",
            "line 1:18 no viable alternative at input 'asc'",
        ),
        ("SELECT asc, big FROM s", "line 1:7 no viable alternative at input 'asc'"),
        (
            "SELECT textAsBlob('abc'), intAsBlob(1) FROM s WHERE k = 1",
            "line 1:17 no viable alternative at input '('",
        ),
        ("SELEC * FROM t", "line 1:0 no viable alternative at input 'SELEC'"),
        ("", "line 1:0 no viable alternative at input '<EOF>'"),
        ("UPDATE t SET a = 1", "line 1:18 mismatched input '<EOF>' expecting K_WHERE"),
    ] {
        assert_eq!(message(text), expected, "{text}");
    }
    for text in [
        "SELECT * FROM t WHERE",
        "CREATE TABLE",
        "UPDATE t SET WHERE a = 1",
        "SELECT * FROM t WHERE a = 'unterminated",
        "DELETE FROM t",
        "BEGIN BATCH SELECT * FROM a; APPLY BATCH",
        "SELECT * FROM t; SELECT * FROM t",
        "UPDATE t SET a += 1 WHERE k = 1",
        "INSERT INTO t (a) VALUES ()",
        "USE",
    ] {
        assert_eq!(parse_statement(text).unwrap_err().kind.code(), 0x2000, "{text}");
    }
}

#[test]
fn what_devdb_lacks_is_named() {
    for (text, name) in [
        ("CREATE INDEX i ON t (a)", "CREATE INDEX"),
        ("CREATE MATERIALIZED VIEW v AS SELECT * FROM t PRIMARY KEY (a)", "MATERIALIZED VIEW"),
        ("DROP ROLE r", "DROP ROLE"),
        ("LIST ROLES", "LIST"),
        ("INSERT INTO t (a) VALUES (ks.f(1))", "ks.f"),
    ] {
        let error = parse_statement(text).unwrap_err();
        assert_eq!(error.kind.code(), 0x2200, "{text}");
        assert!(error.message.contains(name), "{error}");
    }
}

#[test]
fn markers_are_counted_in_order_of_appearance() {
    let parsed =
        parse_statement("UPDATE t USING TTL ? AND TIMESTAMP :ts SET a = ?, b[?] = 1 WHERE k IN ?")
            .unwrap();
    assert_eq!(parsed.markers, [None, Some("ts".to_owned()), None, None, None]);
    let Statement::Update(update) = parsed.statement else { panic!("not an update") };
    assert_eq!(update.using.ttl, Some(Term::Bind(BindMarker { index: 0 })));
    assert_eq!(update.using.timestamp, Some(Term::Bind(BindMarker { index: 1 })));
    assert_eq!(
        update.relations,
        [Relation::ColumnIn {
            column: "k".into(),
            values: InValues::Bind(BindMarker { index: 4 })
        }]
    );
}

#[test]
fn assignments_of_every_form() {
    let Statement::Update(update) = statement(
        "UPDATE t SET a = 1, b = b + [1], c = [1] + c, d = d - 3, e = e -3, f['k'] = 2, \
         l[SCYLLA_TIMEUUID_LIST_INDEX(?)] = 1, g.h = 3, i = now() WHERE k = 1",
    ) else {
        panic!("not an update")
    };
    let kinds: Vec<String> = update
        .assignments
        .iter()
        .map(|a| match a {
            Assignment::Set { column, value } => format!("{column} = {value}"),
            Assignment::Add { column, value } => format!("{column} + {value}"),
            Assignment::Subtract { column, value } => format!("{column} - {value}"),
            Assignment::Prepend { column, value } => format!("{value} + {column}"),
            Assignment::Element { column, key, value } => format!("{column}[{key}] = {value}"),
            Assignment::ListCell { column, key, value } => format!("{column}[key {key}] = {value}"),
            Assignment::Field { column, field, value } => format!("{column}.{field} = {value}"),
        })
        .collect();
    assert_eq!(
        kinds,
        [
            "a = 1",
            "b + [1]",
            "[1] + c",
            "d - 3",
            "e + -3",
            "f['k'] = 2",
            "l[key ?] = 1",
            "g.h = 3",
            "i = now()"
        ]
    );
}

#[test]
fn selections_of_every_form() {
    let Statement::Select(select) = statement(
        "SELECT JSON DISTINCT a AS b, count(*), count(1), count(a), writetime(a), ttl(a), \
         token(a, b), CAST(a AS text), u.f, m['k'], toJson(l), \"Q\" FROM ks.t",
    ) else {
        panic!("not a select")
    };
    assert!(select.json && select.distinct);
    assert_eq!(select.selectors.len(), 12);
    assert_eq!(select.selectors[0].alias.as_deref(), Some("b"));
    assert_eq!(select.selectors[1].expression, SelectExpression::CountRows);
    assert_eq!(select.selectors[2].expression, SelectExpression::CountRows);
    assert!(matches!(&select.selectors[3].expression,
        SelectExpression::Function { name, arguments } if name == "count" && arguments.len() == 1));
    assert!(matches!(&select.selectors[6].expression,
        SelectExpression::Function { name, .. } if name == "token"));
    assert_eq!(select.selectors[11].expression, SelectExpression::Column("Q".into()));
    assert_eq!(select.table.keyspace.as_deref(), Some("ks"));
}

#[test]
fn words_of_the_grammar_can_be_columns() {
    for text in [
        "TRUNCATE TABLE ks.t USING TIMEOUT 5s",
        "SELECT json FROM t",
        "SELECT distinct, json FROM t",
        "SELECT json, count, ttl, key, type FROM t",
        "UPDATE t SET exists = 1 WHERE key = 1 IF exists = 2",
        "CREATE TABLE t (key int PRIMARY KEY, type text, timestamp timestamp, date date)",
    ] {
        statement(text);
    }
    let Statement::Select(select) = statement("SELECT json FROM t") else { panic!() };
    assert!(!select.json);
    let Statement::Update(update) = statement("UPDATE t SET a = 1 WHERE k = 1 IF EXISTS") else {
        panic!()
    };
    assert_eq!(update.conditions, Conditions::Exists);
}

#[test]
fn clauses_of_a_select() {
    let Statement::Select(select) = statement(
        "SELECT * FROM t WHERE (a = 1) AND token(a) > token(1) AND (b, c) IN ((1, 2), ?) \
         AND m['k'] = 1 AND s CONTAINS KEY 'x' AND (b) >= (1) GROUP BY a, b ORDER BY b DESC, c \
         PER PARTITION LIMIT 2 LIMIT ? ALLOW FILTERING BYPASS CACHE USING TIMEOUT 5s",
    ) else {
        panic!("not a select")
    };
    assert_eq!(select.relations.len(), 6);
    assert_eq!(select.order_by, [("b".to_owned(), true), ("c".to_owned(), false)]);
    assert_eq!(select.per_partition_limit, Some(integer("2")));
    assert!(select.allow_filtering && select.bypass_cache);
    assert_eq!(select.using.timeout, Some(Term::Literal(Literal::Duration("5s".into()))));
}

#[test]
fn a_table_with_every_option_form() {
    let Statement::CreateTable(table) = statement(
        "CREATE TABLE IF NOT EXISTS ks.t (a int, b frozen<list<text>>, c text STATIC, d int, \
         PRIMARY KEY ((a, b), d),) WITH CLUSTERING ORDER BY (d DESC) AND COMPACT STORAGE \
         AND comment = 'x' AND gc_grace_seconds = 10 AND cdc = {'enabled': true, 'ttl': 1} \
         AND tombstone_gc = {} AND crc_check_chance = 1.0 AND caching = all",
    ) else {
        panic!("not a table")
    };
    assert_eq!(table.primary_keys, [(vec!["a".into(), "b".into()], vec!["d".into()])]);
    assert_eq!(table.clustering_order, [("d".to_owned(), true)]);
    assert!(table.compact_storage && table.columns[2].is_static);
    assert_eq!(table.options.len(), 6);
    assert_eq!(
        table.options[2].1,
        OptionValue::Map(vec![
            ("enabled".into(), OptionValue::Literal(Literal::Boolean(true))),
            ("ttl".into(), OptionValue::Literal(Literal::Integer("1".into()))),
        ])
    );
    assert_eq!(table.options[5].1, OptionValue::Literal(Literal::String("all".into())));
}

#[test]
fn type_hints_are_told_from_tuples() {
    let Statement::Insert(Insert { source: InsertSource::Values { values, .. }, .. }) =
        statement("INSERT INTO t (a) VALUES ((int) 5, (1, 2), (now(), ?), (ks.udt) ?)")
    else {
        panic!("not an insert")
    };
    assert!(matches!(values[0], Term::TypeHint { .. }));
    assert!(matches!(values[1], Term::Tuple(_)));
    assert!(matches!(values[2], Term::Tuple(_)));
    assert!(matches!(values[3], Term::TypeHint { .. }));
}

#[test]
fn nesting_has_a_limit() {
    let deep = |n: usize| format!("INSERT INTO t (a) VALUES ({}1{})", "[".repeat(n), "]".repeat(n));
    statement(&deep(20));
    assert!(message(&deep(100_000)).ends_with("expression nested too deeply"));
    assert!(parse_type(&"frozen<".repeat(100_000)).is_err());
    let parentheses = "(".repeat(100_000);
    assert!(parse_statement(&format!("SELECT * FROM t WHERE {parentheses}")).is_err());
    assert!(parse_statement(&format!("SELECT {} FROM t", "f(".repeat(100_000))).is_err());
    let map = "{'a': ".repeat(100_000);
    assert!(parse_statement(&format!("CREATE KEYSPACE k WITH a = {map}")).is_err());
}

//! Whatever is sent as a statement is a tree or an error.

use proptest::prelude::*;

use super::lexer::tokenize;
use super::{parse_statement, parse_type};
use crate::testing::{STATEMENTS, cases, damage};

/// What CQL's texts are made of, and what they are not.
fn piece() -> impl Strategy<Value = String> + Clone {
    let words: Vec<&str> = STATEMENTS.split_inclusive([' ', '(', ',', '\'']).collect();
    prop_oneof![
        6 => prop::sample::select(words).prop_map(str::to_owned),
        3 => prop::sample::select(vec![
            "(", ")", "[", "]", "{", "}", "<", ">", ",", ";", ":", ".", "'", "\"", "$$", "?", "=",
            "!=", "+", "-", "--", "/*", "*/", "0x", "-9223372036854775809", "1e999999999", "NaN",
            "P1Y", "1ns", "\u{0}", "ä", "🦀", "é'",
        ]).prop_map(str::to_owned),
        1 => "\\PC{1,8}",
    ]
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn any_bytes_are_tokens_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let text = String::from_utf8_lossy(&bytes);
        let _ = tokenize(&text);
        let _ = parse_statement(&text);
    }

    #[test]
    fn any_pieces_are_a_tree_or_an_error(pieces in prop::collection::vec(piece(), 0..60)) {
        let text = pieces.concat();
        let _ = parse_statement(&text);
        let _ = parse_type(&text);
    }

    #[test]
    fn a_damaged_statement_is_a_tree_or_an_error(
        text in prop::sample::select(STATEMENTS.lines().collect::<Vec<_>>()),
        damages in prop::collection::vec(damage(piece()), 1..5),
    ) {
        let mut pieces: Vec<String> =
            text.split_inclusive([' ', '(', ',', '\'']).map(str::to_owned).collect();
        for damage in &damages {
            damage.done_to(&mut pieces);
        }
        let _ = parse_statement(&pieces.concat());
    }

    #[test]
    fn any_nesting_is_a_tree_or_an_error(
        opened in prop::collection::vec(prop::sample::select(vec![
            "(", "[", "{", "{1:", "{a:", "f(", "(int)", "CAST(", "CAST(a AS ", "frozen<", "list<",
            "map<int,", "tuple<", "-", "token(", "a[", "a.", "{'x': ", "(a, ", "NOT ",
        ]), 1..6),
        times in 1..4_000usize,
        before in prop::sample::select(vec![
            "SELECT ", "SELECT * FROM t WHERE a = ", "SELECT * FROM t WHERE ", "UPDATE t SET a = ",
            "INSERT INTO t (a) VALUES (", "CREATE TABLE t (a ", "CREATE KEYSPACE k WITH r = ",
            "CREATE TYPE t (a ", "DELETE ", "BEGIN BATCH UPDATE t SET a = ", "DESCRIBE ",
            "UPDATE t SET a = 1 WHERE b = 1 IF ", "ALTER TABLE t ADD a ",
        ]),
    ) {
        let nested = opened.iter().copied().cycle().take(times).collect::<String>();
        let _ = parse_statement(&format!("{before}{nested}"));
        let _ = parse_type(&nested);
    }
}

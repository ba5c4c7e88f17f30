//! Random histories against a model: the laws, whatever the statements.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::node::Node;

/// A write to column `v` of row (p, c): a value or a deletion.
type Write = (i32, i32, i64, Option<u8>);

fn expected(writes: &[Write]) -> Vec<String> {
    let mut cells: BTreeMap<(i32, i32), (i64, bool, Option<String>)> = BTreeMap::new();
    for (p, c, timestamp, value) in writes {
        let new = (*timestamp, value.is_none(), value.map(|v| format!("v{v}")));
        let cell = cells.entry((*p, *c)).or_insert_with(|| new.clone());
        // Later wins; at one time a deletion; of two values the larger.
        if new > *cell {
            *cell = new;
        }
    }
    cells
        .into_iter()
        .filter_map(|((p, c), (_, _, value))| value.map(|v| format!("{p} | {c} | {v}")))
        .collect()
}

fn statement((p, c, timestamp, value): &Write) -> String {
    match value {
        Some(v) => {
            format!("UPDATE t USING TIMESTAMP {timestamp} SET v = 'v{v}' WHERE p = {p} AND c = {c}")
        }
        None => format!("DELETE v FROM t USING TIMESTAMP {timestamp} WHERE p = {p} AND c = {c}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_last_write_wins_singly_and_in_batches(
        writes in prop::collection::vec((0..3i32, 0..3i32, 1..6i64, prop::option::of(0..9u8)), 1..30),
        batched in any::<bool>(),
    ) {
        let mut node = Node::with(&["CREATE TABLE t (p int, c int, v text, PRIMARY KEY (p, c))"]);
        if batched {
            for chunk in writes.chunks(7) {
                let texts: Vec<String> = chunk.iter().map(statement).collect();
                node.ok(&format!("BEGIN UNLOGGED BATCH {}; APPLY BATCH", texts.join("; ")));
            }
        } else {
            for write in &writes {
                node.ok(&statement(write));
            }
        }
        prop_assert_eq!(node.rows("SELECT p, c, v FROM t WHERE p IN (0, 1, 2)"), expected(&writes));
    }

    #[test]
    fn slices_return_what_a_filter_over_all_rows_returns(
        rows in prop::collection::btree_set((0..4i32, 0..4i32), 0..12),
        bounds in prop::collection::vec((0..5usize, 0..4i32, 0..4i32), 1..3),
        directions in any::<(bool, bool)>(),
        reversed in any::<bool>(),
    ) {
        let word = |desc: bool| if desc { "DESC" } else { "ASC" };
        let mut node = Node::with(&[&format!(
            "CREATE TABLE t (p int, c int, d int, PRIMARY KEY (p, c, d)) WITH CLUSTERING ORDER BY (c {}, d {})",
            word(directions.0), word(directions.1)
        )]);
        for (c, d) in &rows {
            node.ok(&format!("INSERT INTO t (p, c, d) VALUES (1, {c}, {d})"));
        }
        let operators = ["=", "<", "<=", ">", ">="];
        let mut clause = String::new();
        let mut used = (false, false, false);
        let mut tests: Vec<(usize, (i32, i32))> = Vec::new();
        for (operator, c, d) in &bounds {
            // One bound a side is what the grammar of restrictions allows.
            let slot = match operator { 0 => &mut used.0, 1 | 2 => &mut used.1, _ => &mut used.2 };
            if std::mem::replace(slot, true) || (used.0 && (used.1 || used.2)) {
                continue;
            }
            clause.push_str(&format!(" AND (c, d) {} ({c}, {d})", operators[*operator]));
            tests.push((*operator, (*c, *d)));
        }
        let holds = |row: &(i32, i32)| tests.iter().all(|(operator, at)| match operator {
            0 => row == at,
            1 => row < at,
            2 => row <= at,
            3 => row > at,
            _ => row >= at,
        });
        let mut wanted: Vec<(i32, i32)> = rows.iter().copied().filter(holds).collect();
        let sign = |desc: bool, n: i32| if desc { -n } else { n };
        wanted.sort_by_key(|(c, d)| (sign(directions.0, *c), sign(directions.1, *d)));
        let mut query = format!("SELECT c, d FROM t WHERE p = 1{clause}");
        if reversed {
            wanted.reverse();
            query.push_str(&format!(" ORDER BY c {}, d {}", word(!directions.0), word(!directions.1)));
        }
        let wanted: Vec<String> = wanted.iter().map(|(c, d)| format!("{c} | {d}")).collect();
        prop_assert_eq!(&node.rows(&query), &wanted, "{}", query);
        prop_assert_eq!(&node.pages(&query, 2).0, &wanted, "{}", query);
    }
}

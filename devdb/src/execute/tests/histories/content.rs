//! The last write wins, cell by cell, whatever order and batches writes come in.

use proptest::prelude::*;

use super::super::node::Node;
use super::model;
use super::write::{TABLE, Write, writes};
use crate::testing::cases;

pub(super) fn table(options: &str) -> Node {
    Node::with(&["CREATE TYPE ud (a int, b int)", &format!("CREATE TABLE t ({TABLE}){options}")])
}

/// As the model shows it: by p and c.
pub(super) fn content(node: &mut Node, table: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for p in 0..2 {
        lines.extend(node.rows(&format!(
            "SELECT p, c, s, sz, v, w, m, z, u, writetime(s), writetime(v) FROM {table} \
             WHERE p = {p}"
        )));
    }
    lines
}

/// One statement after the other, or so many in a batch.
pub(super) fn run(node: &mut Node, writes: &[Write], batch: usize) {
    for chunk in writes.chunks(batch.max(1)) {
        let texts: Vec<String> = chunk.iter().map(Write::statement).collect();
        match (batch, texts.as_slice()) {
            (0 | 1, texts) => texts.iter().for_each(|text| node.ok(text)),
            (_, texts) => {
                node.ok(&format!("BEGIN UNLOGGED BATCH {}; APPLY BATCH", texts.join("; ")))
            }
        }
    }
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn the_order_of_writes_does_not_matter(
        (writes, shuffled) in writes(1, 8, 40)
            .prop_flat_map(|writes| (Just(writes.clone()), Just(writes).prop_shuffle())),
        batch in 0..6usize,
    ) {
        let expected = model::content(&writes);
        let mut node = table("");
        let began = node.engine.clock().now_seconds();
        run(&mut node, &writes, 0);
        let in_order = content(&mut node, "t");
        // Again, all of it, in other batches: nothing changes.
        run(&mut node, &writes, 3);
        let repeated = content(&mut node, "t");
        let mut node = table("");
        run(&mut node, &shuffled, batch);
        let in_disorder = content(&mut node, "t");
        // Of two writes of one time with the same TTL that wins which dies later, which here
        // must not depend on when they were executed.
        prop_assume!(node.engine.clock().now_seconds() == began);
        prop_assert_eq!(in_order, expected.clone());
        prop_assert_eq!(repeated, expected.clone());
        prop_assert_eq!(in_disorder, expected);
    }
}

//! The range deletions of one write, as one list: sorted, none over another.
//!
//! It decides what a CDC log shows of several deletions in a batch: those that overlap or
//! touch and are of one time are one. Source: ScyllaDB, range_tombstone_list.cc,
//! `insert_from`.

use std::cmp::Ordering;

use super::ranges::{compare_positions, position};
use crate::store::mutation::{ClusteringBound, ClusteringRange, Tombstone};

/// Range deletions in clustering order.
#[derive(Debug, Default)]
pub struct RangeDeletes(Vec<(ClusteringRange, Tombstone)>);

/// The end of what lies before this start, or the start of what lies behind this end.
fn other_side(bound: &ClusteringBound) -> ClusteringBound {
    match bound {
        ClusteringBound::Unbounded => ClusteringBound::Unbounded,
        ClusteringBound::Inclusive(key) => ClusteringBound::Exclusive(key.clone()),
        ClusteringBound::Exclusive(key) => ClusteringBound::Inclusive(key.clone()),
    }
}

fn compare_starts(a: &ClusteringBound, b: &ClusteringBound) -> Ordering {
    match (position(a, true), position(b, true)) {
        (Some(a), Some(b)) => compare_positions(a, b),
        // Without a bound: before everything.
        (a, b) => a.is_some().cmp(&b.is_some()),
    }
}

fn compare_ends(a: &ClusteringBound, b: &ClusteringBound) -> Ordering {
    match (position(a, false), position(b, false)) {
        (Some(a), Some(b)) => compare_positions(a, b),
        // Without a bound: behind everything.
        (a, b) => a.is_none().cmp(&b.is_none()),
    }
}

/// How an end lies to a start; equal: they touch.
fn compare_end_to_start(end: &ClusteringBound, start: &ClusteringBound) -> Ordering {
    match (position(end, false), position(start, true)) {
        (Some(end), Some(start)) => compare_positions(end, start),
        _ => Ordering::Greater,
    }
}

/// Appends a piece, to the last one if it goes on from there.
fn push(
    pieces: &mut Vec<(ClusteringRange, Tombstone)>,
    start: ClusteringBound,
    end: ClusteringBound,
    tombstone: Tombstone,
) {
    match pieces.last_mut() {
        Some((last, same))
            if *same == tombstone && compare_end_to_start(&last.end, &start).is_eq() =>
        {
            last.end = end;
        }
        _ => pieces.push((ClusteringRange { start, end }, tombstone)),
    }
}

impl RangeDeletes {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Adds one; where it meets another, the newer counts.
    pub fn add(&mut self, range: ClusteringRange, tombstone: Tombstone) {
        if compare_end_to_start(&range.end, &range.start).is_le() {
            return;
        }
        let mut pieces = Vec::with_capacity(self.0.len() + 2);
        // What of the new range is not placed yet.
        let mut rest = Some(range);
        for (old, theirs) in std::mem::take(&mut self.0) {
            let Some(new) = rest.take() else {
                push(&mut pieces, old.start, old.end, theirs);
                continue;
            };
            if compare_end_to_start(&old.end, &new.start).is_le() {
                push(&mut pieces, old.start, old.end, theirs);
                rest = Some(new);
                continue;
            }
            if compare_end_to_start(&new.end, &old.start).is_le() {
                push(&mut pieces, new.start, new.end, tombstone);
                push(&mut pieces, old.start, old.end, theirs);
                continue;
            }
            let start = match compare_starts(&old.start, &new.start) {
                Ordering::Less => {
                    push(&mut pieces, old.start, other_side(&new.start), theirs);
                    new.start
                }
                Ordering::Greater => {
                    push(&mut pieces, new.start, other_side(&old.start), tombstone);
                    old.start
                }
                Ordering::Equal => new.start,
            };
            let newer = theirs.max(tombstone);
            match compare_ends(&old.end, &new.end) {
                Ordering::Less => {
                    let behind = other_side(&old.end);
                    push(&mut pieces, start, old.end, newer);
                    rest = Some(ClusteringRange { start: behind, end: new.end });
                }
                Ordering::Greater => {
                    let behind = other_side(&new.end);
                    push(&mut pieces, start, new.end, newer);
                    push(&mut pieces, behind, old.end, theirs);
                }
                Ordering::Equal => push(&mut pieces, start, old.end, newer),
            }
        }
        if let Some(new) = rest {
            push(&mut pieces, new.start, new.end, tombstone);
        }
        self.0 = pieces;
    }

    /// The deletions.
    pub fn into_vec(self) -> Vec<(ClusteringRange, Tombstone)> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::store::mutation::ClusteringKey;

    fn key(n: u8) -> ClusteringKey {
        ClusteringKey(vec![n].into())
    }

    fn bound() -> impl Strategy<Value = ClusteringBound> {
        prop_oneof![
            1 => Just(ClusteringBound::Unbounded),
            5 => (0u8..8).prop_map(|n| ClusteringBound::Inclusive(key(n))),
            5 => (0u8..8).prop_map(|n| ClusteringBound::Exclusive(key(n))),
        ]
    }

    fn covers(range: &ClusteringRange, n: u8) -> bool {
        let row = key(n);
        let starts = match &range.start {
            ClusteringBound::Unbounded => true,
            ClusteringBound::Inclusive(k) => *k <= row,
            ClusteringBound::Exclusive(k) => *k < row,
        };
        let ends = match &range.end {
            ClusteringBound::Unbounded => true,
            ClusteringBound::Inclusive(k) => *k >= row,
            ClusteringBound::Exclusive(k) => *k > row,
        };
        starts && ends
    }

    proptest! {
        #[test]
        fn each_row_is_covered_by_the_newest_and_by_one(
            deletes in proptest::collection::vec((bound(), bound(), 0i64..4), 0..6),
        ) {
            let mut list = RangeDeletes::default();
            for (start, end, timestamp) in &deletes {
                let range = ClusteringRange { start: start.clone(), end: end.clone() };
                list.add(range, Tombstone { timestamp: *timestamp, deletion_time: 0 });
            }
            let pieces = list.into_vec();
            for n in 0..9 {
                let newest = deletes
                    .iter()
                    .filter(|(start, end, _)| {
                        covers(&ClusteringRange { start: start.clone(), end: end.clone() }, n)
                    })
                    .map(|(_, _, timestamp)| *timestamp)
                    .max();
                let found: Vec<i64> = pieces
                    .iter()
                    .filter(|(range, _)| covers(range, n))
                    .map(|(_, tombstone)| tombstone.timestamp)
                    .collect();
                prop_assert_eq!(found, newest.into_iter().collect::<Vec<_>>());
            }
            for pair in pieces.windows(2) {
                let order = compare_end_to_start(&pair[0].0.end, &pair[1].0.start);
                prop_assert!(order.is_lt() || order.is_eq() && pair[0].1 != pair[1].1);
            }
        }
    }
}

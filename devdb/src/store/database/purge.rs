//! What expired, and tombstones past their grace, go.

use std::ops::Bound;
use std::sync::Arc;

use uuid::Uuid;

use super::shard::Shard;
use super::{Database, PartitionPosition};
use crate::store::partition::Layout;

/// Partitions and rows that a purge looks at under one lock, and in one call.
const STEP: usize = 1000;
const BUDGET: usize = 100_000;

/// Where the purge is.
#[derive(Debug, Default)]
pub(super) struct PurgeCursor {
    /// Tables still to visit in this round.
    tables: Vec<Uuid>,
    started: bool,
    shard: usize,
    /// Where to go on in the shard.
    at: Option<PartitionPosition>,
    /// Of the shard at hand: the earliest second seen at which something is due.
    next: i64,
}

impl Database {
    /// Drops what expired and tombstones past their grace, a bounded amount of work each
    /// time it is called. True: it has now been around all tables once more.
    pub fn purge(&self, now: i64) -> bool {
        let mut cursor = self.purging.lock();
        if !cursor.started {
            cursor.tables = self.tables.read().keys().copied().collect();
            cursor.started = true;
            cursor.next = i64::MAX;
        }
        let mut budget = BUDGET;
        while let Some(id) = cursor.tables.last().copied() {
            let Ok(data) = self.table(id) else {
                cursor.next_table();
                continue;
            };
            let layout = Arc::clone(&data.layout.read());
            while let Some(shard) = data.shards.get(cursor.shard) {
                if budget == 0 {
                    return false;
                }
                let mut shard = shard.write();
                let seen = cursor.step(&mut shard, now, &layout, STEP.min(budget));
                budget = budget.saturating_sub(seen);
            }
            cursor.next_table();
        }
        cursor.started = false;
        true
    }
}

impl PurgeCursor {
    fn next_table(&mut self) {
        self.tables.pop();
        self.shard = 0;
        self.at = None;
        self.next = i64::MAX;
    }

    /// Looks at about `budget` partitions and rows of the shard, and moves on to the next
    /// one when it is done. Returns how many it has looked at.
    fn step(&mut self, shard: &mut Shard, now: i64, layout: &Layout, budget: usize) -> usize {
        if self.at.is_none() {
            if shard.next_purge > now {
                self.shard += 1;
                return 0;
            }
            // Writes that come while the shard is being walked lower it again.
            shard.next_purge = i64::MAX;
            self.next = i64::MAX;
        }
        let (start, resumed) = match self.at.take() {
            Some((key, Some(row))) => (Bound::Included(key.clone()), Some((key, row))),
            Some((key, None)) => (Bound::Included(key), None),
            None => (Bound::Unbounded, None),
        };
        let mut looked = 0;
        let mut due: Vec<Box<[u8]>> = Vec::new();
        for (key, next) in shard.due(start.as_ref().map(|key| &**key)) {
            if looked == budget {
                self.at = Some((key.into(), None));
                break;
            }
            looked += 1;
            if next <= now || resumed.as_ref().is_some_and(|(partition, _)| **partition == *key) {
                due.push(key.into());
            } else {
                self.next = self.next.min(next);
            }
        }
        let mut rows = 0;
        let mut due = due.into_iter();
        while let Some(key) = due.next() {
            let from = resumed.as_ref().filter(|(partition, _)| *partition == key);
            let from = from.map(|(_, row)| &**row);
            let mut more = None;
            shard.update(&key, |partition| {
                if from.is_none() {
                    partition.next_purge = i64::MAX;
                }
                let left = budget.saturating_sub(rows).max(1);
                let (stopped, next, seen) = partition.purge(now, layout, from, left);
                partition.next_purge = partition.next_purge.min(next);
                self.next = self.next.min(partition.next_purge);
                rows += seen;
                more = stopped;
            });
            if more.is_some() {
                self.at = Some((key, more));
                break;
            }
            if rows >= budget {
                self.at = due.next().map(|next| (next, None)).or_else(|| self.at.take());
                break;
            }
        }
        if self.at.is_none() {
            shard.next_purge = shard.next_purge.min(self.next);
            self.shard += 1;
        }
        looked + rows
    }
}

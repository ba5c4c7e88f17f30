//! A small view: how often what happened, and how far each order has come.

use std::collections::{BTreeMap, HashMap};

use uuid::Uuid;

use crate::record::OrderRecord;

/// Built from the topic alone; kept in memory, so each run reads from the beginning.
#[derive(Debug, Default)]
pub struct View {
    orders: HashMap<Uuid, Last>,
    by_type: BTreeMap<String, u64>,
    counts: Counts,
}

/// The last event of an order.
#[derive(Debug)]
struct Last {
    sequence_number: i64,
    event_id: Uuid,
}

/// What has been read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Events in the view.
    pub events: u64,
    /// Records that had been seen before.
    pub repeated: u64,
    /// Events whose predecessor is not in the topic: it is older than the topic's retention.
    pub gaps: u64,
}

impl View {
    /// Takes a record in; `false`: it had been seen.
    pub fn apply(&mut self, record: &OrderRecord) -> bool {
        let last = self.orders.get(&record.order);
        // An event is first seen after all its predecessors, so one number per order tells as
        // much as the ids of all its events would.
        if let Some(last) = last
            && (record.sequence_number <= last.sequence_number || record.event_id == last.event_id)
        {
            self.counts.repeated += 1;
            return false;
        }
        if record.sequence_number != last.map_or(0, |last| last.sequence_number) + 1 {
            self.counts.gaps += 1;
        }
        let Last { sequence_number, event_id } =
            Last { sequence_number: record.sequence_number, event_id: record.event_id };
        self.orders.insert(record.order, Last { sequence_number, event_id });
        *self.by_type.entry(record.event_type.clone()).or_default() += 1;
        self.counts.events += 1;
        true
    }

    /// What has been read.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// How many orders there are.
    pub fn orders(&self) -> usize {
        self.orders.len()
    }

    /// How often each type of event happened.
    pub fn by_type(&self) -> &BTreeMap<String, u64> {
        &self.by_type
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(order: Uuid, sequence_number: i64) -> OrderRecord {
        OrderRecord {
            order,
            event_id: Uuid::from_u64_pair(1, sequence_number as u64),
            sequence_number,
            event_type: "OrderPlaced".to_owned(),
        }
    }

    #[test]
    fn what_comes_again_changes_nothing() {
        let (mut view, order) = (View::default(), Uuid::nil());
        let taken: Vec<bool> =
            [1, 2, 1, 2, 3].iter().map(|n| view.apply(&record(order, *n))).collect();
        assert_eq!(taken, [true, true, false, false, true]);
        assert_eq!(view.counts(), Counts { events: 3, repeated: 2, gaps: 0 });
        assert_eq!(view.by_type()["OrderPlaced"], 3);
        assert_eq!(view.orders(), 1);
    }

    #[test]
    fn a_history_whose_beginning_has_expired_is_noticed() {
        let mut view = View::default();
        assert!(view.apply(&record(Uuid::nil(), 7)));
        assert_eq!(view.counts().gaps, 1);
    }
}

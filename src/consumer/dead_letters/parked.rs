//! Which aggregates are parked, as the group's runner knows it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use crate::ids::AggregateId;

/// The parked aggregates of a slice and the first event of each that waits. Bounded by the
/// group's `max_parked`: past it the group halts.
#[derive(Debug, Default)]
pub(crate) struct Parked {
    first: Mutex<HashMap<AggregateId, i64>>,
    /// How many, so that events of a group without any take no lock.
    count: AtomicUsize,
}

impl Parked {
    /// Later events of the aggregate wait behind this one.
    pub(crate) fn park(&self, id: AggregateId, sequence_number: i64) {
        let mut first = self.first.lock();
        let entry = first.entry(id).or_insert(sequence_number);
        *entry = sequence_number.min(*entry);
        self.count.store(first.len(), Ordering::Release);
    }

    /// The aggregate's last letter has gone.
    pub(crate) fn release(&self, id: AggregateId) {
        let mut first = self.first.lock();
        first.remove(&id);
        self.count.store(first.len(), Ordering::Release);
    }

    /// The aggregate's first letter is now this one, which may be later than the one before.
    pub(crate) fn advance(&self, id: AggregateId, sequence_number: i64) {
        let mut first = self.first.lock();
        first.insert(id, sequence_number);
        self.count.store(first.len(), Ordering::Release);
    }

    /// Whether the event has to wait. Events before the first letter do not: they were
    /// handled, or sent, before it failed, and come again.
    pub(crate) fn holds(&self, id: AggregateId, sequence_number: i64) -> bool {
        self.count() > 0
            && self.first.lock().get(&id).is_some_and(|first| *first <= sequence_number)
    }

    /// How many aggregates are parked.
    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_from_the_first_letter_on_wait_until_the_last_has_gone() {
        let parked = Parked::default();
        let (id, other) = (AggregateId::new(), AggregateId::new());
        assert!(!parked.holds(id, 1));
        parked.park(id, 5);
        parked.park(id, 6);
        assert!(!parked.holds(id, 4) && parked.holds(id, 5) && parked.holds(id, 9));
        assert!(!parked.holds(other, 9));
        parked.advance(id, 6);
        assert!(!parked.holds(id, 5) && parked.holds(id, 7));
        parked.release(id);
        assert!(!parked.holds(id, 9));
        assert_eq!(parked.count(), 0);
    }
}

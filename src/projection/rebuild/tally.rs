//! Counting a range's events so that a resumed rebuild counts none twice.

use crate::event::EventEnvelope;
use crate::ids::AggregateId;
use crate::projection::rebuild::stored::RangeState;

/// What has been done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) events: u64,
    pub(super) writes: u64,
    pub(super) skipped: u64,
}

/// A range's counts: all, and in its state those of the aggregates that are done, since an
/// interrupted aggregate is replayed from its beginning.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tally {
    pub(super) state: RangeState,
    pub(super) counts: Counts,
    last: Option<AggregateId>,
}

impl Tally {
    pub(super) fn new(state: RangeState) -> Self {
        Self { state, counts: state.counts, last: None }
    }

    /// The next event is this one.
    pub(super) fn reach(&mut self, event: &EventEnvelope) {
        if self.last != Some(event.aggregate_id) {
            self.last = Some(event.aggregate_id);
            self.state.counts = self.counts;
        }
    }

    /// The range is done.
    pub(super) fn finished(mut self) -> RangeState {
        self.state.counts = self.counts;
        self.state
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::TokenRange;
    use crate::testing::envelope;

    #[test]
    fn an_unfinished_aggregate_is_not_among_the_stored_counts() {
        let state = RangeState::new(TokenRange { first: 0, last: 9 });
        let mut tally = Tally::new(state);
        let (one, other) = (envelope("Order", 1), envelope("Order", 1));
        for event in [&one, &one, &other, &other, &other] {
            tally.reach(event);
            tally.counts.events += 1;
        }
        assert_eq!(tally.state.counts.events, 2);
        assert_eq!(tally.finished().counts.events, 5);
    }
}

//! Which rows have been given out already: polls overlap.

use std::collections::BTreeSet;

use uuid::Uuid;

use crate::consumer::log_query::RowId;
use crate::consumer::log_row::ticks_of;
use crate::consumer::progress::Millis;

/// The rows of the last moments, by time.
#[derive(Debug, Default)]
pub(super) struct Seen {
    rows: BTreeSet<(i64, u64, i32)>,
}

impl Seen {
    /// Whether the row is new; it is not the next time.
    pub(super) fn is_new(&mut self, (time, number): RowId) -> bool {
        self.rows.insert((ticks(time), time.as_u64_pair().1, number))
    }

    /// Forgets the rows from before this moment, which are not asked for again.
    pub(super) fn forget_before(&mut self, moment: Millis) {
        let kept = self.rows.split_off(&(moment.saturating_mul(10_000), 0, i32::MIN));
        self.rows = kept;
    }
}

fn ticks(time: Uuid) -> i64 {
    ticks_of(time).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(micros: u64, node: u8) -> RowId {
        let time = uuid::Timestamp::from_unix(
            uuid::NoContext,
            micros / 1_000_000,
            (micros % 1_000_000 * 1000) as u32,
        );
        (Uuid::new_v1(time, &[node; 6]), 0)
    }

    #[test]
    fn a_row_is_new_once_until_it_is_forgotten() {
        let mut seen = Seen::default();
        let (first, other, later) = (row(1_000_000, 1), row(1_000_000, 2), row(2_000_000, 1));
        for row in [first, other, later] {
            assert!(seen.is_new(row));
            assert!(!seen.is_new(row));
        }
        seen.forget_before(1_500);
        assert!(seen.is_new(first));
        assert!(!seen.is_new(later));
    }
}

//! Reading everything: `event_store` by ranges of the token ring.

use std::ops::ControlFlow;

use scylla::response::{PagingState, PagingStateResponse};

use super::rows::EventRow;
use super::store::unavailable;
use crate::event::EventEnvelope;
use crate::store::{EventStore, StoreError};

/// A range of the token ring, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenRange {
    /// First token.
    pub first: i64,
    /// Last token.
    pub last: i64,
}

impl TokenRange {
    /// The whole ring in `parts` ranges of equal length (at least one).
    pub fn split_ring(parts: u32) -> Vec<Self> {
        let parts = i128::from(parts.max(1));
        let (start, ring) = (i128::from(i64::MIN), 1_i128 << 64);
        let bound = |n: i128| start + ring * n / parts;
        (0..parts)
            .map(|n| Self { first: bound(n) as i64, last: (bound(n + 1) - 1) as i64 })
            .collect()
    }
}

/// Where a scan goes on.
#[derive(Debug, Clone, Default)]
pub(crate) struct ScanPosition {
    state: Option<PagingState>,
}

/// A page of a scan.
pub(crate) struct ScanPage {
    /// Events in ring order; an aggregate's in theirs.
    pub(crate) events: Vec<EventEnvelope>,
    /// When each was written, µs since 1970.
    pub(crate) write_times: Vec<i64>,
    /// Where the next page begins; `None`: the range is read.
    pub(crate) next: Option<ScanPosition>,
}

impl EventStore {
    /// One page of a range's events, aggregate by aggregate, each in order.
    pub(crate) async fn scan_page(
        &self,
        range: TokenRange,
        position: ScanPosition,
    ) -> Result<ScanPage, StoreError> {
        let operation = "scanning event_store";
        let state = position.state.unwrap_or_else(PagingState::start);
        let (result, paging): (_, PagingStateResponse) = self
            .inner
            .session
            .execute_single_page(&self.inner.statements.scan, (range.first, range.last), state)
            .await
            .map_err(unavailable(operation))?;
        let rows = result.into_rows_result().map_err(unavailable(operation))?;
        let mut events: Vec<EventEnvelope> = Vec::with_capacity(rows.rows_num());
        let mut write_times = Vec::with_capacity(rows.rows_num());
        for row in rows.rows::<EventRow<'_>>().map_err(unavailable(operation))? {
            let row = row.map_err(unavailable(operation))?;
            let (id, sequence_number) = (row.aggregate_id, row.sequence_number);
            write_times.push(row.write_time.unwrap_or(0));
            let envelope = row.envelope(events.last()).map_err(|reason| StoreError::Corrupt {
                aggregate_id: id.into(),
                sequence_number,
                reason,
            })?;
            events.push(envelope);
        }
        let next = match paging.into_paging_control_flow() {
            ControlFlow::Break(()) => None,
            ControlFlow::Continue(state) => Some(ScanPosition { state: Some(state) }),
        };
        Ok(ScanPage { events, write_times, next })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_the_ring_cover_it_without_overlap() {
        for parts in [1, 2, 3, 7, 1000] {
            let ranges = TokenRange::split_ring(parts);
            assert_eq!(ranges.len(), parts as usize);
            assert_eq!(ranges[0].first, i64::MIN);
            assert_eq!(ranges[ranges.len() - 1].last, i64::MAX);
            for pair in ranges.windows(2) {
                assert_eq!(pair[0].last + 1, pair[1].first);
            }
        }
    }
}

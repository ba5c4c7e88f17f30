//! Replaying: a group whose events are no longer in the log, or never were, handles those of
//! `event_store` first.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;

use crate::consumer::error::GroupError;
use crate::consumer::lanes::{Job, Lanes};
use crate::consumer::progress::{Millis, Progress, StreamId};
use crate::consumer::replay_table::Plan;
use crate::consumer::sequencer::Sequencer;
use crate::consumer::slice::Slice;
use crate::event::EventEnvelope;
use crate::store::{
    Backoff, DatabaseError, EventStore, ScanPosition, StoreError, TokenRange, is_transient,
};

/// Parts of the ring: enough that those at the end are short.
pub(crate) const PARTS: u32 = 64;

/// Parts read at once. A page of each is in memory.
const CONCURRENT: usize = 4;

/// Most aggregates remembered for the log that follows. What is beyond may be handled again.
const REMEMBERED: usize = 500_000;

/// A replay at work.
pub(crate) struct Replay {
    pub(crate) store: EventStore,
    pub(crate) slice: Slice,
    pub(crate) plan: Plan,
    /// Streams are the parts, times their tokens.
    pub(crate) progress: Arc<Progress>,
    /// Of the run that follows the log from `plan.log_from` on.
    pub(crate) sequencer: Arc<Sequencer>,
    pub(crate) lanes: Lanes,
    pub(crate) next_part: AtomicUsize,
}

impl Replay {
    /// Begins reading where each part stands. The tasks end when every event is in a lane,
    /// or with an error.
    pub(crate) fn start(self: &Arc<Self>) -> JoinSet<Result<(), GroupError>> {
        let mut tasks = JoinSet::new();
        for _ in 0..CONCURRENT {
            tasks.spawn(Arc::clone(self).read_parts());
        }
        tasks
    }

    async fn read_parts(self: Arc<Self>) -> Result<(), GroupError> {
        let ranges = TokenRange::split_ring(self.plan.parts);
        let positions = self.progress.positions();
        loop {
            let part = self.next_part.fetch_add(1, Ordering::Relaxed);
            let Some(range) = ranges.get(part) else { return Ok(()) };
            let first = positions.get(&(part as StreamId)).copied().unwrap_or(range.first);
            if first <= range.last {
                let rest = TokenRange { first, last: range.last };
                self.read_part(part as StreamId, rest).await?;
            }
            // Beyond the end, so that nothing of it is read again.
            self.progress.advance(part as StreamId, Millis::MAX);
        }
    }

    async fn read_part(&self, part: StreamId, range: TokenRange) -> Result<(), GroupError> {
        let mut position = Some(ScanPosition::default());
        // Where events are that are not in a lane yet: a page begins with the rest of the
        // aggregate that the page before ended with.
        let mut token = range.first;
        while let Some(at) = position {
            let page = self.page(range, at).await?;
            for (event, written) in page.events.iter().zip(page.write_times) {
                self.take(part, token, event, written).await;
            }
            if let Some(last) = page.events.last() {
                token = self.token(last)?;
                self.progress.advance(part, token);
            }
            position = page.next;
        }
        Ok(())
    }

    /// A database that is away is waited for.
    async fn page(
        &self,
        range: TokenRange,
        at: ScanPosition,
    ) -> Result<crate::store::ScanPage, GroupError> {
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(10));
        loop {
            match self.store.scan_page(range, at.clone()).await {
                Ok(page) => return Ok(page),
                Err(StoreError::Unavailable { source, .. }) if is_transient(&source) => {
                    tracing::warn!(error = %source, "event_store cannot be read yet");
                    backoff.wait().await;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn take(&self, part: StreamId, token: i64, event: &EventEnvelope, written: i64) {
        let id = event.aggregate_id;
        if !self.slice.contains(id) || written / 1000 < self.plan.since {
            return;
        }
        let lane = self.lanes.lane_of(id);
        let Some(permit) = self.lanes.reserve(id).await else { return };
        // The log will show it again.
        if self.sequencer.is_recent(written / 1000) && self.sequencer.aggregates() < REMEMBERED {
            let mut shard = self.sequencer.shard(lane).await;
            self.sequencer.settled(&mut shard, event, written / 1000);
        }
        let ticket = self.progress.open(part, token);
        permit.send(Job { event: event.clone(), ticket });
    }

    fn token(&self, event: &EventEnvelope) -> Result<i64, GroupError> {
        let cluster = self.store.session().get_cluster_state();
        let token = cluster
            .compute_token(self.store.keyspace(), "event_store", &(event.aggregate_id.0,))
            .map_err(|error| StoreError::Unavailable {
                operation: "computing a token",
                source: DatabaseError::Answer(error.to_string()),
            })?;
        Ok(token.value())
    }
}

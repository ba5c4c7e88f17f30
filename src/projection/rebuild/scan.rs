//! Replaying `event_store` into one version of the tables, by ranges of the token ring.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use scylla::routing::partitioner::{Murmur3Partitioner, Partitioner};
use tokio::task::JoinSet;
use tokio::time::{Instant, interval};
use tokio_util::sync::CancellationToken;

use crate::event::EventEnvelope;
use crate::ids::AggregateId;
use crate::projection::rebuild::batches::{
    BatchWriter, CollectError, Pending, WriteError, patiently,
};
use crate::projection::rebuild::pace::Pace;
use crate::projection::rebuild::progress::{Meter, Totals};
use crate::projection::rebuild::stored::{RangeState, StoredProgress};
use crate::projection::rebuild::tally::{Counts, Tally};
use crate::projection::rebuild::{OnError, RebuildError, RebuildProgress, SkippedEvent};
use crate::projection::{Projection, ProjectionError};
use crate::store::{EventStore, ScanPosition, StoreError, TokenRange, is_transient};

/// How often the progress within a range is stored.
const SAVE_INTERVAL: Duration = Duration::from_secs(1);

/// How often progress is told.
const TELL_INTERVAL: Duration = Duration::from_millis(100);

/// A replay of all events that a projection takes.
pub(super) struct Replay {
    pub(super) store: EventStore,
    pub(super) projection: Arc<dyn Projection>,
    pub(super) writer: BatchWriter,
    pub(super) pace: Option<Arc<Pace>>,
    pub(super) on_error: OnError,
    pub(super) totals: Arc<Totals>,
    /// `None`: this replay is not gone on with after an interruption.
    pub(super) stored: Option<Arc<StoredProgress>>,
    pub(super) cancel: CancellationToken,
}

/// The token of an aggregate's partition.
pub(super) fn token(id: AggregateId) -> i64 {
    Murmur3Partitioner.hash_one(id.0.as_bytes()).value()
}

fn ring_part(range: TokenRange) -> u64 {
    let length = i128::from(range.last) - i128::from(range.first) + 1;
    // A part of 2^64, in parts of Totals::RING.
    u64::try_from((length * i128::from(Totals::RING)) >> 64).unwrap_or(0)
}

impl Replay {
    /// Replays these ranges, `parallel` at once.
    pub(super) async fn run(
        self: &Arc<Self>,
        ranges: Vec<RangeState>,
        parallel: usize,
        meter: &mut Meter,
        tell: &mut (dyn FnMut(RebuildProgress) + Send),
    ) -> Result<(), RebuildError> {
        let queue: VecDeque<RangeState> = ranges.into_iter().filter(|r| !r.finished).collect();
        let queue = Arc::new(Mutex::new(queue));
        let failed = self.cancel.child_token();
        let mut workers = JoinSet::new();
        for _ in 0..parallel {
            let (replay, queue, cancel) = (Arc::clone(self), Arc::clone(&queue), failed.clone());
            workers.spawn(async move {
                // The guard is dropped before the range is read.
                let next = || queue.lock().pop_front();
                while let Some(state) = next() {
                    replay.range(state, &cancel).await?;
                }
                Ok::<_, RebuildError>(())
            });
        }
        let mut tick = interval(TELL_INTERVAL);
        let mut result = Ok(());
        loop {
            tokio::select! {
                ended = workers.join_next() => match ended {
                    None => break,
                    Some(Ok(Ok(()))) => {}
                    Some(Ok(Err(error))) => {
                        failed.cancel();
                        // The first error is the reason; the others stop because of it.
                        result = result.and(Err(error));
                    }
                    Some(Err(error)) => {
                        failed.cancel();
                        if let Ok(panic) = error.try_into_panic() {
                            std::panic::resume_unwind(panic);
                        }
                    }
                },
                _ = tick.tick() => tell(meter.progress(&self.totals)),
            }
        }
        tell(meter.progress(&self.totals));
        result
    }

    async fn range(
        &self,
        mut state: RangeState,
        cancel: &CancellationToken,
    ) -> Result<(), RebuildError> {
        let whole = state.range;
        let begin = state.done_to.map_or(whole.first, |done| done.saturating_add(1));
        let mut saved = Instant::now();
        // Of the ring, this range's part that has been counted as done.
        let mut counted = match state.done_to {
            Some(done) if done >= whole.first => {
                ring_part(TokenRange { first: whole.first, last: done })
            }
            _ => 0,
        };
        if begin <= whole.last {
            let rest = TokenRange { first: begin, last: whole.last };
            let mut tally = Tally::new(state);
            let mut page = Some(self.page(rest, ScanPosition::default()).await?);
            while let Some(current) = page.take() {
                let next = async {
                    match current.next.clone() {
                        Some(position) => self.page(rest, position).await.map(Some),
                        None => Ok(None),
                    }
                };
                // The next page is fetched while this one is written.
                let (written, next) =
                    tokio::join!(self.write(&current.events, &mut tally, cancel), next);
                written?;
                page = next?;
                if page.is_some() {
                    if let Some(last) = current.events.last() {
                        // The last aggregate may go on in the next page.
                        tally.state.done_to = Some(token(last.aggregate_id).saturating_sub(1));
                    }
                    let done = tally.state.done_to.unwrap_or(whole.first).max(whole.first);
                    let part = ring_part(TokenRange { first: whole.first, last: done });
                    Totals::add(&self.totals.ring, part.saturating_sub(counted));
                    counted = counted.max(part);
                    if saved.elapsed() > SAVE_INTERVAL {
                        self.save(&tally.state).await?;
                        saved = Instant::now();
                    }
                }
            }
            state = tally.finished();
        }
        Totals::add(&self.totals.ring, ring_part(whole).saturating_sub(counted));
        state.done_to = Some(whole.last);
        state.finished = true;
        self.save(&state).await
    }

    async fn save(&self, state: &RangeState) -> Result<(), RebuildError> {
        let Some(stored) = &self.stored else { return Ok(()) };
        patiently(|| stored.save(state), is_transient)
            .await
            .map_err(RebuildError::database("storing the rebuild's progress"))
    }

    async fn page(
        &self,
        range: TokenRange,
        position: ScanPosition,
    ) -> Result<crate::store::ScanPage, RebuildError> {
        let passing = |error: &StoreError| matches!(error, StoreError::Unavailable { source, .. } if is_transient(source));
        Ok(patiently(|| self.store.scan_page(range, position.clone()), passing).await?)
    }

    /// Writes events in portions: the whole page, or what the rate allows at once.
    async fn write(
        &self,
        events: &[EventEnvelope],
        tally: &mut Tally,
        cancel: &CancellationToken,
    ) -> Result<(), RebuildError> {
        let portion = self.pace.as_ref().map_or(usize::MAX, |pace| pace.portion());
        for events in events.chunks(portion.min(events.len().max(1))) {
            if let Some(pace) = &self.pace {
                tokio::select! {
                    () = pace.take(events.len()) => {}
                    () = cancel.cancelled() => return Err(RebuildError::Cancelled),
                }
            }
            if cancel.is_cancelled() {
                return Err(RebuildError::Cancelled);
            }
            self.write_portion(events, tally).await?;
        }
        Ok(())
    }

    pub(super) async fn write_portion(
        &self,
        events: &[EventEnvelope],
        tally: &mut Tally,
    ) -> Result<(), RebuildError> {
        // Events whose writes the database refuses; usually none, so usually one round.
        let mut refused: Vec<usize> = Vec::new();
        loop {
            let mut round = Round { tally: *tally, skipped: Vec::new() };
            let mut pending = Pending::default();
            for (place, event) in events.iter().enumerate() {
                round.tally.reach(event);
                if !self.projection.aggregate_types().contains(&&*event.aggregate_type) {
                    continue;
                }
                round.tally.counts.events += 1;
                if refused.contains(&place) {
                    round.tally.counts.skipped += 1;
                    continue;
                }
                let before = pending.len();
                match self.writer.collect(event, place, &mut pending).await {
                    Ok(()) => {}
                    Err(CollectError::Projection(source)) => {
                        round.skipped.push(self.skipped(event, source)?);
                        round.tally.counts.skipped += 1;
                    }
                    Err(CollectError::Database(error)) => return Err(RebuildError::Write(error)),
                }
                round.tally.counts.writes += (pending.len() - before) as u64;
            }
            match self.writer.write(pending).await {
                Ok(()) => {
                    self.count(&tally.counts, &round.tally.counts);
                    round.skipped.into_iter().for_each(|event| self.keep(event));
                    *tally = round.tally;
                    return Ok(());
                }
                Err(WriteError::Database(error)) => return Err(RebuildError::Write(error)),
                Err(WriteError::Refused { event: place, source }) => {
                    let Some(event) = events.get(place) else {
                        return Err(RebuildError::Write(source));
                    };
                    let text = format!("the database refuses its write: {source}");
                    let skipped = self.skipped(event, ProjectionError::Refused(text))?;
                    self.keep(skipped);
                    refused.push(place);
                }
            }
        }
    }

    fn count(&self, before: &Counts, after: &Counts) {
        Totals::add(&self.totals.events, after.events - before.events);
        Totals::add(&self.totals.writes, after.writes - before.writes);
    }

    fn keep(&self, event: SkippedEvent) {
        tracing::warn!(%event, "skipped in a rebuild");
        self.totals.skip(event);
    }

    /// An event that cannot be handled: skipped if that is wanted, an error otherwise.
    fn skipped(
        &self,
        event: &EventEnvelope,
        source: ProjectionError,
    ) -> Result<SkippedEvent, RebuildError> {
        match self.on_error {
            OnError::Stop => Err(RebuildError::Projection {
                aggregate_id: event.aggregate_id,
                aggregate_type: event.aggregate_type.to_string(),
                sequence_number: event.sequence_number,
                source: Box::new(source),
            }),
            OnError::Skip => Ok(SkippedEvent {
                aggregate_id: event.aggregate_id,
                aggregate_type: event.aggregate_type.to_string(),
                sequence_number: event.sequence_number,
                event_type: event.event_type.to_string(),
                reason: source.to_string(),
            }),
        }
    }

    /// Counts what an interrupted run has done.
    pub(super) fn count_earlier(totals: &Totals, ranges: &[RangeState]) {
        for state in ranges {
            Totals::add(&totals.events, state.counts.events);
            Totals::add(&totals.writes, state.counts.writes);
            Totals::add(&totals.skipped, state.counts.skipped);
            let done = match state.done_to {
                _ if state.finished => state.range.last,
                Some(done) if done >= state.range.first => done,
                _ => continue,
            };
            Totals::add(
                &totals.ring,
                ring_part(TokenRange { first: state.range.first, last: done }),
            );
        }
    }
}

struct Round {
    tally: Tally,
    skipped: Vec<SkippedEvent>,
}

//! What events go through on their way from the log to the lanes, whoever read them.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, timeout};

use crate::consumer::error::GroupError;
use crate::consumer::lanes::{Job, Lanes};
use crate::consumer::log_row::LogEvent;
use crate::consumer::progress::{Millis, Progress, StreamId};
use crate::consumer::sequencer::{Sequencer, Shard, Verdict};
use crate::consumer::slice::Slice;
use crate::consumer::status::Counters;
use crate::event::EventEnvelope;
use crate::ids::AggregateId;
use crate::store::{Backoff, EventStore, StoreError};

/// Events fetched at once when a gap is closed.
const FETCH: i64 = 256;

/// How long the sweep waits for an event of `event_store` that the log shows to be there. A
/// logged batch shows its rows one by one; what stopped half-way, the batchlog replays
/// within a minute (`batchlog_replay_delay` and its interval).
const APPEARS: Duration = Duration::from_secs(120);

/// How long a hint waits for room in its lane before it is left to the sweep.
const PATIENCE: Duration = Duration::from_millis(100);

/// How long a lane that had no room is not waited for.
const STUCK: Duration = Duration::from_secs(1);

/// No tail is followed.
const NOT_FOLLOWING: Millis = Millis::MAX;

/// The way into the lanes.
pub(crate) struct Intake {
    pub(crate) group: String,
    /// Events of other slices are someone else's.
    pub(crate) slice: Slice,
    pub(crate) store: EventStore,
    pub(crate) progress: Arc<Progress>,
    pub(crate) sequencer: Arc<Sequencer>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) lanes: Lanes,
    /// The group begins here: what is older is done, or not its own.
    start: Millis,
    /// The error that ended the sweep, with its kind; scylla-cdc passes on only its text.
    pub(crate) failure: Mutex<Option<GroupError>>,
    /// From which moment on the tail should have shown every row.
    followed: AtomicI64,
    /// By lane: when it had no room for a hint.
    stuck: Mutex<Vec<Option<Instant>>>,
}

/// What became of a hint.
#[derive(Debug, PartialEq)]
pub(crate) enum Hinted {
    /// It is in a lane, or was, or is none of the group's.
    Taken,
    /// It is left to the sweep.
    Left,
}

impl Intake {
    #[expect(clippy::too_many_arguments, reason = "the parts of a run meet here, once")]
    pub(crate) fn new(
        group: String,
        slice: Slice,
        store: EventStore,
        progress: Arc<Progress>,
        sequencer: Arc<Sequencer>,
        counters: Arc<Counters>,
        lanes: Lanes,
        start: Millis,
    ) -> Self {
        Self {
            group,
            slice,
            store,
            progress,
            sequencer,
            counters,
            stuck: Mutex::new(vec![None; lanes.count()]),
            lanes,
            start,
            failure: Mutex::new(None),
            followed: AtomicI64::new(NOT_FOLLOWING),
        }
    }

    /// From `since` on the tail shows every row, but for late ones; `None`: it is not followed.
    pub(crate) fn follows(&self, since: Option<Millis>) {
        self.followed.store(since.unwrap_or(NOT_FOLLOWING), Ordering::Relaxed);
    }

    /// Whether an event has been let through already.
    pub(crate) async fn has(&self, id: AggregateId, sequence_number: i64) -> bool {
        let known = self.sequencer.shard(self.lanes.lane_of(id)).await.has(id, sequence_number);
        if known {
            Counters::add(&self.counters.duplicates, 1);
        }
        known
    }

    /// Takes an event of the sweep in. When this returns, the event is in a lane (and in
    /// [`Progress`]) or was a duplicate.
    pub(crate) async fn take(&self, swept: LogEvent) -> Result<(), GroupError> {
        let lane = self.lanes.lane_of(swept.event.aggregate_id);
        let mut shard = self.sequencer.shard(lane).await;
        match self.sequencer.judge(&shard, &swept.event, swept.stream) {
            Verdict::Duplicate => {
                Counters::add(&self.counters.duplicates, 1);
                return Ok(());
            }
            Verdict::Next => {}
            Verdict::Overtaken => tracing::warn!(
                group = %self.group,
                aggregate_id = %swept.event.aggregate_id,
                sequence_number = swept.event.sequence_number,
                "an event became visible after those behind it were handled; it is handled now"
            ),
            gap => self.close_gap(&mut shard, gap, &swept, APPEARS).await?,
        }
        if swept.time >= self.followed.load(Ordering::Relaxed) {
            Counters::add(&self.counters.late, 1);
        }
        self.hand_on(&mut shard, swept.event, swept.stream, swept.time).await;
        Ok(())
    }

    /// Takes an event of the tail in, if there is room for it.
    ///
    /// Dropping the future at any moment leaves everything consistent: an event is noted as
    /// let through when it is in its lane, without a pause between.
    pub(crate) async fn hint(&self, hint: &LogEvent) -> Result<Hinted, GroupError> {
        if hint.time < self.start {
            return Ok(Hinted::Taken);
        }
        let lane = self.lanes.lane_of(hint.event.aggregate_id);
        let patience = match self.stuck.lock().get(lane) {
            Some(Some(since)) if since.elapsed() < STUCK => Duration::ZERO,
            _ => PATIENCE,
        };
        match timeout(patience, self.take_hint(lane, hint)).await {
            Ok(result) => result,
            Err(_) => {
                if let (false, Some(stuck)) = (patience.is_zero(), self.stuck.lock().get_mut(lane))
                {
                    *stuck = Some(Instant::now());
                }
                Ok(Hinted::Left)
            }
        }
    }

    async fn take_hint(&self, lane: usize, hint: &LogEvent) -> Result<Hinted, GroupError> {
        let mut shard = self.sequencer.shard(lane).await;
        match self.sequencer.judge(&shard, &hint.event, hint.stream) {
            Verdict::Duplicate => {
                Counters::add(&self.counters.duplicates, 1);
                return Ok(Hinted::Taken);
            }
            Verdict::Next => {}
            // The tail does not know how far back it reads: the sweep decides.
            Verdict::Overtaken => return Ok(Hinted::Left),
            gap => self.close_gap(&mut shard, gap, hint, PATIENCE).await?,
        }
        let event = hint.event.clone();
        self.hand_on(&mut shard, event, hint.stream, hint.time).await;
        Ok(Hinted::Taken)
    }

    /// Hands on what comes before an event and the log has not shown.
    async fn close_gap(
        &self,
        shard: &mut Shard,
        gap: Verdict,
        before: &LogEvent,
        patience: Duration,
    ) -> Result<(), GroupError> {
        let id = before.event.aggregate_id;
        let end = before.event.sequence_number;
        let (mut after, since) = match gap {
            Verdict::Gap { after } => (after, i64::MIN),
            Verdict::Unknown { since } => (self.older_than(id, end, since, patience).await?, since),
            Verdict::Duplicate | Verdict::Next | Verdict::Overtaken => return Ok(()),
        };
        while after < end - 1 {
            let up_to = (end - 1).min(after + FETCH);
            for (event, written) in self.fetch(id, after, up_to, patience).await? {
                after = event.sequence_number;
                if written >= since {
                    self.hand_on(shard, event, before.stream, before.time).await;
                    Counters::add(&self.counters.repaired, 1);
                }
            }
        }
        Ok(())
    }

    /// A sequence number before `end` up to which all events were written before `since`.
    async fn older_than(
        &self,
        id: AggregateId,
        end: i64,
        since: i64,
        patience: Duration,
    ) -> Result<i64, GroupError> {
        let mut back = 1;
        loop {
            let number = end - back;
            if number < 1 {
                return Ok(0);
            }
            let found = self.fetch(id, number - 1, number, patience).await?;
            if found.iter().all(|(_, written)| *written < since) {
                return Ok(number);
            }
            back *= 2;
        }
    }

    /// The events in `(after, up_to]`, all of them: the log shows that they are there.
    async fn fetch(
        &self,
        id: AggregateId,
        after: i64,
        up_to: i64,
        patience: Duration,
    ) -> Result<Vec<(EventEnvelope, i64)>, GroupError> {
        let began = Instant::now();
        let mut backoff = Backoff::new(Duration::from_millis(5), Duration::from_secs(1));
        loop {
            match self.store.written_events(id, after, up_to).await {
                Ok(events) if events.len() as i64 == up_to - after => return Ok(events),
                // Of a batch that is being written, or a hole that will not go away.
                Ok(_) | Err(StoreError::Corrupt { .. }) if began.elapsed() < patience => {}
                Ok(events) => {
                    return Err(GroupError::Store(StoreError::Corrupt {
                        aggregate_id: id,
                        sequence_number: after + 1 + events.len() as i64,
                        reason: "the outbox's log shows a later event, but it is not in \
                                 event_store"
                            .to_owned(),
                    }));
                }
                Err(error) => return Err(error.into()),
            }
            backoff.wait().await;
        }
    }

    /// A closed lane has failed, and its error ends the run: the event stays open.
    async fn hand_on(
        &self,
        shard: &mut Shard,
        event: EventEnvelope,
        stream: StreamId,
        time: Millis,
    ) {
        if let Some(permit) = self.lanes.reserve(event.aggregate_id).await {
            self.sequencer.passed(shard, &event, stream, time);
            let ticket = self.progress.open(stream, time);
            permit.send(Job { event, ticket });
        }
    }
}

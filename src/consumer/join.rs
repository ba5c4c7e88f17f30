//! Joining the tail: a group that is level takes hints, and after a loss joins again.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use scylla::response::PagingState;
use tokio::time::{Instant, sleep, sleep_until};

use crate::consumer::intake::{Hinted, Intake};
use crate::consumer::log_query::{LogQuery, STREAMS_PER_QUERY};
use crate::consumer::log_row::LogEvent;
use crate::consumer::log_streams::LogStreams;
use crate::consumer::progress::Millis;
use crate::consumer::settings::{GroupSettings, TailSettings, millis};
use crate::consumer::status::Counters;
use crate::consumer::tail::{Subscription, Tail};
use crate::store::{Backoff, DatabaseError};
use crate::time::now_micros;

/// Most aggregates that may be remembered for the tail to run ahead of the sweep, some
/// 100 bytes each. What is beyond comes by the sweep.
const REMEMBERED: usize = 500_000;

/// How often it is looked whether the sweep is level.
const LOOK: Duration = Duration::from_millis(20);

/// First and longest pause before a group that lost hints joins again.
const AGAIN: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

/// After so long without a loss the pause is the first one again.
const CALM: Duration = Duration::from_secs(30);

/// How far ahead of now rows may stand: ScyllaDB refuses CDC writes that are further.
const AHEAD: Millis = 5_000;

/// One group's following of the tail.
pub(crate) struct Follower {
    intake: Arc<Intake>,
    settings: GroupSettings,
    tail: TailSettings,
}

impl Follower {
    pub(crate) fn new(intake: Arc<Intake>, settings: GroupSettings, tail: TailSettings) -> Self {
        Self { intake, settings, tail }
    }

    /// Follows for ever. Nothing that fails here is lost: the sweep brings it.
    pub(crate) async fn run(self) {
        let new_backoff = || Backoff::new(AGAIN.0, AGAIN.1);
        let mut backoff = new_backoff();
        loop {
            let from = self.level().await;
            let began = Instant::now();
            if let Err(error) = self.follow(from).await {
                tracing::warn!(
                    group = %self.intake.group,
                    %error,
                    "the tail cannot be followed now; the sweep goes on"
                );
            }
            self.set_following(None);
            if began.elapsed() > CALM {
                backoff = new_backoff();
            }
            backoff.wait().await;
        }
    }

    /// Waits until the sweep is level; its position.
    async fn level(&self) -> Millis {
        // A position is reported with a delay, and the last window may be being handled.
        let behind = self.settings.safety_interval
            + 2 * self.settings.sweep_interval
            + Duration::from_secs(1);
        loop {
            if let Some(position) = self.intake.progress.position()
                && position >= now_micros() / 1000 - millis(behind)
                && self.intake.sequencer.aggregates() < REMEMBERED
            {
                return position;
            }
            sleep(LOOK).await;
        }
    }

    /// Joins at `from` and takes hints, until the tail ends or too much is remembered.
    async fn follow(&self, mut from: Millis) -> Result<(), DatabaseError> {
        let store = &self.intake.store;
        let query = LogQuery::prepare(store).await?;
        let streams = LogStreams::of(store).await?;
        let tail = Tail::of(store, &self.tail).await?;
        let mut subscription = tail.subscribe();
        drop(tail);
        let new_backoff = || Backoff::new(AGAIN.0, AGAIN.1);
        let mut backoff = new_backoff();
        loop {
            let began = Instant::now();
            let left = self.join(&query, &streams, from).await?;
            self.set_following(Some(from));
            let pause = backoff.delay();
            let Some(lost) = self.take_hints(&mut subscription, left, pause).await else {
                return Ok(());
            };
            if began.elapsed() > CALM {
                backoff = new_backoff();
            }
            self.set_following(None);
            // What is older the sweep is about to bring.
            let swept = self.settings.safety_interval + self.settings.sweep_interval;
            from = lost.max(now_micros() / 1000 - millis(swept));
        }
    }

    fn set_following(&self, since: Option<Millis>) {
        self.intake.follows(since);
        self.intake.counters.following.store(since.is_some(), Ordering::Relaxed);
    }

    /// Reads the log once, from `from` to now, in order. The time of the first event that
    /// there was no room for.
    async fn join(
        &self,
        query: &LogQuery,
        streams: &LogStreams,
        from: Millis,
    ) -> Result<Option<Millis>, DatabaseError> {
        let until = now_micros() / 1000 + AHEAD;
        let generations = streams.generations().await?;
        let before = generations.iter().filter(|began| **began <= from).count();
        let mut left = None;
        for generation in generations.iter().skip(before.saturating_sub(1)) {
            for streams in streams.streams(*generation).await?.chunks(STREAMS_PER_QUERY) {
                let mut state = Some(PagingState::start());
                while let Some(at) = state {
                    let page = query.page(streams, from, until, at).await?;
                    for row in page.rows()? {
                        match row?.event(None) {
                            Ok(Some(event)) => self.take(&event, &mut left).await,
                            Ok(None) => {}
                            Err(reason) => {
                                tracing::debug!(%reason, "a row of the CDC log is no event");
                            }
                        }
                    }
                    state = page.next;
                }
            }
        }
        Ok(left)
    }

    /// Takes hints until some were lost and the pause is over; the time of the first lost
    /// one. `None`: the tail has ended, or the group remembers too much.
    async fn take_hints(
        &self,
        subscription: &mut Subscription,
        mut lost: Option<Millis>,
        pause: Duration,
    ) -> Option<Millis> {
        let mut join_at = lost.map(|_| Instant::now() + pause);
        loop {
            let at = join_at.unwrap_or_else(Instant::now);
            let hints = tokio::select! {
                biased;
                () = sleep_until(at), if join_at.is_some() => return lost,
                hints = subscription.next() => hints?,
            };
            if let Some((since, events)) = subscription.take_lost() {
                Counters::add(&self.intake.counters.hints_lost, events);
                note(&mut lost, since);
            }
            for hint in &*hints {
                self.take(hint, &mut lost).await;
            }
            if lost.is_some() && join_at.is_none() {
                join_at = Some(Instant::now() + pause);
            }
            if self.intake.sequencer.aggregates() >= REMEMBERED {
                return None;
            }
        }
    }

    async fn take(&self, hint: &LogEvent, lost: &mut Option<Millis>) {
        if !self.intake.slice.contains(hint.event.aggregate_id) {
            return;
        }
        let result = self.intake.hint(hint).await;
        if let Err(error) = &result {
            tracing::debug!(group = %self.intake.group, %error, "a hint is left to the sweep");
        }
        if !matches!(result, Ok(Hinted::Taken)) {
            Counters::add(&self.intake.counters.hints_lost, 1);
            note(lost, hint.time);
        }
    }
}

fn note(lost: &mut Option<Millis>, since: Millis) {
    *lost = Some(lost.map_or(since, |before| before.min(since)));
}

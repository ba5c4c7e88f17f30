//! One run of a group: from its checkpoints until it is stopped or something fails.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::consumer::checkpoints::{Checkpoints, Found};
use crate::consumer::dead_letters::{DeadLetterError, LetterTable, Requests};
use crate::consumer::drain::drain;
use crate::consumer::error::GroupError;
use crate::consumer::fence::Fence;
use crate::consumer::handler::EventHandler;
use crate::consumer::intake::Intake;
use crate::consumer::join::Follower;
use crate::consumer::lane_context::{LaneContext, Observer};
use crate::consumer::lanes::Lanes;
use crate::consumer::lease::Lease;
use crate::consumer::log_reader::LogReader;
use crate::consumer::log_streams::LogStreams;
use crate::consumer::progress::{Millis, Progress};
use crate::consumer::sequencer::Sequencer;
use crate::consumer::settings::{GroupSettings, StartFrom, millis};
use crate::consumer::slice::Slice;
use crate::consumer::status::{Counters, GroupState};
use crate::consumer::sweep::start_sweep;
use crate::store::{DatabaseError, EventStore, is_transient};
use crate::time::now_micros;

/// The CDC log keeps its rows this long (`ttl` of the outbox's `cdc` option).
pub(crate) const LOG_TTL: Duration = Duration::from_secs(86_400);

/// What is so close to the log's end may be gone before it is read.
const TTL_MARGIN: Duration = Duration::from_secs(600);

/// What a group is made of, the same in every run.
pub(crate) struct GroupContext {
    pub(crate) name: String,
    pub(crate) store: EventStore,
    pub(crate) handler: Arc<dyn EventHandler>,
    pub(crate) settings: GroupSettings,
    pub(crate) observer: Option<Observer>,
    pub(crate) counters: Arc<Counters>,
    /// Under which it runs; `None`: there is no other runner.
    pub(crate) lease: Option<Lease>,
    /// Of the current run.
    pub(crate) progress: Mutex<Arc<Progress>>,
}

impl GroupContext {
    pub(super) fn checkpoint_error(&self, source: DatabaseError) -> GroupError {
        GroupError::Checkpoints { group: self.name.clone(), source }
    }

    /// Where the group begins if it is new: 0 for the beginning, which no log reaches.
    fn start(&self) -> Millis {
        match self.settings.start_from {
            StartFrom::Time(time) => time
                .duration_since(std::time::UNIX_EPOCH)
                .map_or(0, |since| since.as_millis() as Millis),
            StartFrom::Now => now_micros() / 1000,
            StartFrom::Beginning => 0,
        }
    }

    /// Runs a slice until `stop`: replays what the log does not hold, then follows the log.
    /// At the end what is in the lanes is finished and the progress is stored.
    pub(crate) async fn run(
        &self,
        slice: Slice,
        stop: &CancellationToken,
    ) -> Result<(), GroupError> {
        let mut checkpoints = Checkpoints::prepare(self.store.clone(), &self.name, slice)
            .await
            .map_err(|e| self.checkpoint_error(e))?;
        if let Some(lease) = &self.lease {
            checkpoints = checkpoints.under(lease);
        }
        let mut replayed = None;
        loop {
            let found =
                checkpoints.load(self.start()).await.map_err(|e| self.checkpoint_error(e))?;
            let oldest = found.oldest();
            // A replay may take longer than the log goes back: then there is another, of what
            // was written since.
            if oldest >= now_micros() / 1000 - millis(LOG_TTL - TTL_MARGIN) {
                return self.follow(slice, stop, &checkpoints, found, replayed).await;
            }
            self.counters.set_state(GroupState::Replaying);
            replayed = self.replay(slice, stop, &checkpoints, oldest).await?;
            if replayed.is_none() {
                return Ok(());
            }
            self.counters.set_state(GroupState::Running);
        }
    }

    /// Follows the log from the checkpoints on, with what a replay before it remembers.
    async fn follow(
        &self,
        slice: Slice,
        stop: &CancellationToken,
        checkpoints: &Checkpoints,
        found: Found,
        replayed: Option<Arc<Sequencer>>,
    ) -> Result<(), GroupError> {
        let streams = LogStreams::of(&self.store).await.map_err(|e| self.checkpoint_error(e))?;
        let oldest = found.oldest();
        let start = streams.first_readable(oldest).await.map_err(|e| self.checkpoint_error(e))?;
        let fence = self.fence();
        let progress = Arc::new(Progress::default());
        *self.progress.lock() = Arc::clone(&progress);
        let closing = CancellationToken::new();
        let (lanes, mut tasks) = Lanes::start(self.lane_context(slice, closing.clone()).await?);
        let sequencer = replayed.unwrap_or_else(|| self.sequencer(oldest));
        let intake = Arc::new(Intake::new(
            self.name.clone(),
            slice,
            self.store.clone(),
            Arc::clone(&progress),
            sequencer,
            Arc::clone(&self.counters),
            lanes,
            oldest,
        ));
        let mut sweep = start_sweep(&intake, found, start, &self.settings).await?;
        let follower = self.settings.tail.clone().map(|tail| {
            let follower = Follower::new(Arc::clone(&intake), self.settings.clone(), tail);
            AbortOnDropHandle::new(tokio::spawn(follower.run()))
        });
        let result = self.watch(stop, checkpoints, &intake, &mut sweep, &mut tasks).await;
        drop(sweep);
        drop(follower);
        self.counters.following.store(false, Ordering::Relaxed);
        closing.cancel();
        if !fence.is_valid() {
            // Another runner may have begun: nothing is finished here.
            tasks.shutdown().await;
            return Err(self.lease_lost());
        }
        let drained = self.drain(&mut tasks, &progress).await;
        let saved = checkpoints.save(&progress).await.map_err(|e| self.checkpoint_error(e));
        result.and(drained).and(saved)
    }

    /// Of a run that follows the log from `start` on.
    pub(super) fn sequencer(&self, start: Millis) -> Arc<Sequencer> {
        let lanes = self.settings.lanes;
        Arc::new(Sequencer::new(start, self.settings.safety_interval, lanes))
    }

    pub(super) fn fence(&self) -> Fence {
        self.lease.as_ref().map_or_else(Fence::none, |lease| lease.fence.clone())
    }

    /// Whether a lease is held, so that the slice may run here.
    pub(super) fn is_under_lease(&self) -> bool {
        self.lease.as_ref().is_some_and(|lease| lease.fence.is_valid())
    }

    pub(super) fn lease_lost(&self) -> GroupError {
        GroupError::LeaseLost { group: self.name.clone() }
    }

    pub(super) async fn lane_context(
        &self,
        slice: Slice,
        closing: CancellationToken,
    ) -> Result<LaneContext, GroupError> {
        let failed = |source| GroupError::DeadLetters { group: self.name.clone(), source };
        let prepared = |source| {
            failed(DeadLetterError::Database { operation: "preparing statements", source })
        };
        let letters =
            LetterTable::prepare(self.store.clone(), &self.name).await.map_err(prepared)?;
        let requests = Requests::prepare(self.store.clone(), &self.name).await.map_err(prepared)?;
        let limit = self.settings.max_parked;
        let parked = Arc::new(letters.parked(slice, limit).await.map_err(failed)?);
        *self.counters.parked.lock() = Arc::clone(&parked);
        if parked.count() > limit {
            return Err(GroupError::TooManyParked { group: self.name.clone(), limit });
        }
        Ok(LaneContext {
            group: self.name.clone(),
            slice,
            handler: Arc::clone(&self.handler),
            counters: Arc::clone(&self.counters),
            settings: self.settings.clone(),
            observer: self.observer.clone(),
            closing,
            fence: self.fence(),
            letters,
            parked,
            requests,
        })
    }

    /// Progress that cannot be stored now is stored next time.
    pub(super) fn unless_transient(
        &self,
        saved: Result<(), DatabaseError>,
    ) -> Result<(), GroupError> {
        match saved {
            Ok(()) => Ok(()),
            Err(error) if is_transient(&error) => {
                tracing::warn!(group = %self.name, %error, "progress not stored yet");
                Ok(())
            }
            Err(error) => Err(self.checkpoint_error(error)),
        }
    }

    /// Stores progress now and then, until `stop` or the first failure.
    async fn watch(
        &self,
        stop: &CancellationToken,
        checkpoints: &Checkpoints,
        intake: &Intake,
        sweep: &mut LogReader,
        tasks: &mut JoinSet<Result<(), GroupError>>,
    ) -> Result<(), GroupError> {
        let fence = self.fence();
        let mut tick = interval(self.settings.checkpoint_interval);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = fence.lost() => return Err(self.lease_lost()),
                Some(ended) = tasks.join_next() => self.task_ended(ended)?,
                ended = &mut sweep.finished => {
                    let reason = match ended {
                        Ok(()) => "the reader ended".to_owned(),
                        Err(error) => format!("{error:#}"),
                    };
                    return Err(intake.failure.lock().take().unwrap_or_else(|| {
                        GroupError::Reader { group: self.name.clone(), reason }
                    }));
                }
                _ = tick.tick() => {
                    intake.sequencer.swept(&intake.progress.positions()).await;
                    let saved = checkpoints.save(&intake.progress).await;
                    self.unless_transient(saved)?;
                }
            }
        }
    }

    pub(super) fn task_ended(
        &self,
        ended: Result<Result<(), GroupError>, tokio::task::JoinError>,
    ) -> Result<(), GroupError> {
        match ended {
            Ok(result) => result,
            Err(error) => {
                Err(GroupError::Reader { group: self.name.clone(), reason: error.to_string() })
            }
        }
    }

    /// Waits for the lanes to finish what they have. The first failure is the result, but
    /// the other lanes finish.
    pub(super) async fn drain(
        &self,
        tasks: &mut JoinSet<Result<(), GroupError>>,
        progress: &Progress,
    ) -> Result<(), GroupError> {
        let (time, fence) = (self.settings.drain_timeout, self.fence());
        let drained = drain(tasks, time, &fence, |ended| self.task_ended(ended)).await;
        let in_flight = progress.in_flight();
        let too_late = || GroupError::Drain { group: self.name.clone(), in_flight };
        drained.or(|| self.lease_lost(), too_late)
    }
}

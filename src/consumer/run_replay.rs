//! The part of a run that replays `event_store`.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::consumer::checkpoints::Checkpoints;
use crate::consumer::error::GroupError;
use crate::consumer::lanes::Lanes;
use crate::consumer::log_streams::{LogStreams, stream_id};
use crate::consumer::progress::{Millis, Progress, StreamId};
use crate::consumer::replay::{self, Replay};
use crate::consumer::replay_table::{Plan, ReplayTable};
use crate::consumer::run::GroupContext;
use crate::consumer::sequencer::Sequencer;
use crate::consumer::settings::millis;
use crate::consumer::slice::Slice;
use crate::store::TokenRange;
use crate::time::now_micros;

impl GroupContext {
    /// Handles the events of `event_store` that were written at `since` and later, then sets
    /// the checkpoints where the log is to be followed from. `None`: `stop` came first.
    pub(super) async fn replay(
        &self,
        slice: Slice,
        stop: &CancellationToken,
        checkpoints: &Checkpoints,
        since: Millis,
    ) -> Result<Option<Arc<Sequencer>>, GroupError> {
        let failed = |error| self.checkpoint_error(error);
        let streams = LogStreams::of(&self.store).await.map_err(failed)?;
        let mut table =
            ReplayTable::prepare(self.store.clone(), &self.name, slice).await.map_err(failed)?;
        let (plan, parts) = match table.begun(since).await.map_err(failed)? {
            Some(begun) => begun,
            None => {
                // What is written before this can be seen in event_store by now.
                let settled = self.settings.safety_interval + Duration::from_secs(1);
                let log_from = now_micros() / 1000 - millis(settled);
                let log_from = streams.first_readable(log_from).await.map_err(failed)?;
                let plan = Plan { since, log_from, parts: replay::PARTS };
                table.begin(plan).await.map_err(failed)?;
                (plan, HashMap::new())
            }
        };
        tracing::info!(group = %self.name, %slice, ?plan, "replaying event_store");
        let progress = Arc::new(Progress::replaying(since));
        *self.progress.lock() = Arc::clone(&progress);
        for (part, range) in (0..).zip(TokenRange::split_ring(plan.parts)) {
            let next = parts.get(&part).copied().unwrap_or(range.first);
            progress.begin_stream(StreamId::from(part), next);
        }
        let closing = CancellationToken::new();
        let (lanes, mut tasks) = Lanes::start(self.lane_context(slice, closing.clone()).await?);
        let sequencer = self.sequencer(plan.log_from);
        let replay = Arc::new(Replay {
            store: self.store.clone(),
            slice,
            plan,
            progress: Arc::clone(&progress),
            sequencer: Arc::clone(&sequencer),
            lanes,
            next_part: AtomicUsize::new(0),
        });
        let mut readers = replay.start();
        drop(replay);
        let result = self.watch_replay(stop, &mut table, &progress, &mut readers, &mut tasks).await;
        readers.shutdown().await;
        closing.cancel();
        if !self.fence().is_valid() {
            tasks.shutdown().await;
            return Err(self.lease_lost());
        }
        let drained = self.drain(&mut tasks, &progress).await;
        let saved = table.save(&progress).await.map_err(failed);
        let finished = result.and_then(|finished| drained.and(saved).map(|()| finished))?;
        if !finished {
            return Ok(None);
        }
        // From here on the checkpoints say that there is nothing to replay.
        let began = Progress::default();
        let generations = streams.generations().await.map_err(failed)?;
        let current = generations.iter().rfind(|began| **began <= plan.log_from);
        let generation = current.or(generations.first()).copied().unwrap_or(0);
        began.begin_generation(generation);
        for stream in streams.streams(generation).await.map_err(failed)? {
            let id = stream_id(&stream).map_err(failed)?;
            began.begin_stream(id, plan.log_from);
        }
        checkpoints.save(&began).await.map_err(failed)?;
        table.forget().await.map_err(failed)?;
        tracing::info!(group = %self.name, %slice, "event_store is replayed; following the log");
        Ok(Some(sequencer))
    }

    /// Stores a replay's progress now and then. Whether it came to its end before `stop`.
    async fn watch_replay(
        &self,
        stop: &CancellationToken,
        table: &mut ReplayTable,
        progress: &Progress,
        readers: &mut JoinSet<Result<(), GroupError>>,
        tasks: &mut JoinSet<Result<(), GroupError>>,
    ) -> Result<bool, GroupError> {
        let fence = self.fence();
        let mut tick = interval(self.settings.checkpoint_interval);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut done = interval(Duration::from_millis(10));
        done.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return Ok(false),
                () = fence.lost() => return Err(self.lease_lost()),
                Some(ended) = tasks.join_next() => self.task_ended(ended)?,
                Some(ended) = readers.join_next() => self.task_ended(ended)?,
                _ = done.tick(), if readers.is_empty() => {
                    if progress.in_flight() == 0 {
                        return Ok(true);
                    }
                }
                _ = tick.tick() => {
                    let saved = table.save(progress).await;
                    self.unless_transient(saved)?;
                }
            }
        }
    }
}

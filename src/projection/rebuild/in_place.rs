//! Rebuilding the tables in use: over their rows, or emptied first.

use std::sync::Arc;
use std::time::Duration;

use crate::consumer::{ControlError, GroupControl};
use crate::event::EventEnvelope;
use crate::ids::AggregateId;
use crate::projection::executor::{ExecuteError, Executor, Targets};
use crate::projection::rebuild::batches::patiently;
use crate::projection::rebuild::job::{Job, Replayed, Tell, all_ranges};
use crate::projection::rebuild::stored::Unfinished;
use crate::projection::rebuild::{OnError, RebuildError, RebuildMode, RebuildPhase, SkippedEvent};
use crate::store::DatabaseError;
use crate::time::now_micros;

/// Replays into the current version; returns whether it went on with an unfinished rebuild.
pub(super) async fn in_place(
    job: &Job,
    mode: RebuildMode,
    from_scratch: bool,
    tell: Tell<'_>,
) -> Result<(Replayed, bool, i32), RebuildError> {
    let stored = || RebuildError::database("the progress of rebuilds");
    let versions = job.versions().await?;
    let unfinished = job.stored.load().await.map_err(stored())?.filter(|unfinished| {
        !from_scratch && unfinished.mode == mode && unfinished.target == versions.current
    });
    let resumed = unfinished.is_some();
    let unfinished = match unfinished {
        Some(unfinished) => unfinished,
        None => {
            // Another mode's unfinished work is given up.
            job.clean(None).await?;
            let paused = mode == RebuildMode::Truncate && pause(job).await?;
            if mode == RebuildMode::Truncate {
                job.tables().truncate(versions.current).await?;
            }
            let unfinished = Unfinished {
                mode,
                target: versions.current,
                began_at: now_micros() / 1000,
                paused,
                ranges: all_ranges(),
            };
            job.stored.begin(&unfinished).await.map_err(stored())?;
            unfinished
        }
    };
    let target = unfinished.target;
    let replayed =
        job.replay(target, Some(unfinished.ranges), RebuildPhase::Replaying, tell).await?;
    if unfinished.paused {
        let control = GroupControl::connect(&job.store).await.map_err(paused_group)?;
        control.resume(job.name()).await.map_err(paused_group)?;
    }
    job.stored.forget().await.map_err(stored())?;
    Ok((replayed, resumed, target))
}

/// How long a group may take to finish what it has begun: twice the default of its drain
/// timeout.
const PAUSING: Duration = Duration::from_secs(60);

/// Pauses the live group and waits until it stands; false: it was paused already, and stays
/// so afterwards. Without it, what it writes would be emptied and written again: nothing is
/// lost, but queries would see rows come and go.
async fn pause(job: &Job) -> Result<bool, RebuildError> {
    let control = GroupControl::connect(&job.store).await.map_err(paused_group)?;
    if control.overview(job.name()).await.map_err(paused_group)?.paused {
        return Ok(false);
    }
    control.pause(job.name()).await.map_err(paused_group)?;
    let idle = control.wait_idle(job.name(), PAUSING).await;
    if let Err(error) = idle {
        control.resume(job.name()).await.map_err(paused_group)?;
        return Err(paused_group(error));
    }
    Ok(true)
}

fn paused_group(error: ControlError) -> RebuildError {
    RebuildError::Pause(Box::new(error))
}

/// What replaying one aggregate did.
#[derive(Debug, Default)]
pub(super) struct AggregateReplayed {
    pub(super) events: u64,
    pub(super) writes: u64,
    pub(super) skipped: Vec<SkippedEvent>,
}

/// Replays one aggregate's events into every version that is kept up to date.
pub(super) async fn one_aggregate(
    job: &Job,
    id: AggregateId,
) -> Result<AggregateReplayed, RebuildError> {
    /// Events held in memory.
    const PORTION: i64 = 1000;
    let executor = Executor::new(&job.store, Arc::clone(&job.projection), Targets::All);
    let mut done = AggregateReplayed::default();
    let mut after = 0;
    loop {
        let events = job.store.events(id, after, after + PORTION).await?;
        for event in &events {
            job.check()?;
            after = event.sequence_number;
            if !executor.accepts(&event.aggregate_type) {
                continue;
            }
            done.events += 1;
            match patiently(|| executor.execute(event), ExecuteError::is_passing).await {
                Ok(writes) => done.writes += writes as u64,
                Err(error) => done.skipped.push(not_handled(job, event, error)?),
            }
        }
        if events.is_empty() {
            return Ok(done);
        }
    }
}

fn not_handled(
    job: &Job,
    event: &EventEnvelope,
    error: ExecuteError,
) -> Result<SkippedEvent, RebuildError> {
    if error.is_passing() {
        return Err(RebuildError::Write(match error {
            ExecuteError::Database(error) => error,
            error => DatabaseError::Answer(error.to_string()),
        }));
    }
    if job.settings.on_error == OnError::Skip {
        return Ok(SkippedEvent {
            aggregate_id: event.aggregate_id,
            aggregate_type: event.aggregate_type.to_string(),
            sequence_number: event.sequence_number,
            event_type: event.event_type.to_string(),
            reason: error.to_string(),
        });
    }
    Err(match error {
        ExecuteError::Projection(source) => RebuildError::Projection {
            aggregate_id: event.aggregate_id,
            aggregate_type: event.aggregate_type.to_string(),
            sequence_number: event.sequence_number,
            source: Box::new(source),
        },
        ExecuteError::Database(error) => RebuildError::Write(error),
        ExecuteError::Moved => RebuildError::Write(DatabaseError::Answer(error.to_string())),
    })
}

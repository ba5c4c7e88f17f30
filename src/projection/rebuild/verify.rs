//! Comparing the deployed tables with a replay.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::projection::Projection;
use crate::projection::rebuild::compare::Comparison;
use crate::projection::rebuild::job::{Job, Tell};
use crate::projection::rebuild::progress::{Meter, Totals};
use crate::projection::rebuild::settings::Settings;
use crate::projection::rebuild::{
    OnError, RebuildError, RebuildPhase, RebuildProgress, VerifyReport,
};
use crate::store::EventStore;

/// Compares a projection's tables with what a replay of all events makes.
///
/// The replay goes into tables of its own, which the live group writes too meanwhile and
/// which are dropped in the end; then both are read in ring order and compared row by row.
/// Memory is bounded, whatever the tables' size; room on disk is needed for both. Queries
/// and the live group go on. A group that is not running, or behind, shows as rows that are
/// missing or different.
#[must_use = "a verification begins when it is run"]
pub struct Verify {
    store: EventStore,
    projection: Arc<dyn Projection>,
    settings: Settings,
}

impl fmt::Debug for Verify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Verify").field(&self.projection.name()).finish()
    }
}

impl Verify {
    /// A verification of this projection's tables in the store's keyspace.
    pub fn new(store: EventStore, projection: Arc<dyn Projection>) -> Self {
        Self { store, projection, settings: Settings::default() }
    }

    /// How many ranges of the token ring are read at once; 4 unless set, at most 256.
    pub fn parallel(mut self, ranges: usize) -> Self {
        self.settings.parallel = ranges;
        self
    }

    /// At most so many events are replayed per second; no limit unless set.
    pub fn rate(mut self, events_per_second: f64) -> Self {
        self.settings.rate = Some(events_per_second);
        self
    }

    /// What to do with an event that cannot be handled: stop unless set.
    pub fn on_error(mut self, on_error: OnError) -> Self {
        self.settings.on_error = on_error;
        self
    }

    /// Stops when this is cancelled; nothing of it stays.
    pub fn stop_on(mut self, stop: CancellationToken) -> Self {
        self.settings.cancel = stop;
        self
    }

    /// Replays and compares, telling `progress` several times a second.
    ///
    /// # Errors
    /// [`RebuildError`]; rows that differ are no error but in the report.
    pub async fn run(
        self,
        mut progress: impl FnMut(RebuildProgress) + Send,
    ) -> Result<VerifyReport, RebuildError> {
        let job = Job::begin(self.store, self.projection, self.settings, "verify").await?;
        let result = verify_current(&job, &mut progress).await;
        job.end(result).await
    }
}

async fn verify_current(job: &Job, tell: Tell<'_>) -> Result<VerifyReport, RebuildError> {
    // An unfinished rebuild is left as it is, to be gone on with.
    let keep = job
        .stored
        .load()
        .await
        .map_err(RebuildError::database("reading the progress of rebuilds"))?
        .map(|unfinished| unfinished.target);
    let versions = job.clean(keep).await?;
    compare_with_replay(job, versions.current, tell).await
}

/// Compares the tables of `version` with a replay into tables that are dropped afterwards.
pub(super) async fn compare_with_replay(
    job: &Job,
    version: i32,
    tell: Tell<'_>,
) -> Result<VerifyReport, RebuildError> {
    let began = Instant::now();
    job.tables().refuse_expiring().await?;
    let scratch = job.new_version(true).await?;
    let result = compare(job, (version, scratch), began, tell).await;
    match (result, job.drop_scratch(scratch).await) {
        (Ok(report), dropped) => dropped.map(|()| report),
        (Err(error), Ok(())) => Err(error),
        (Err(error), Err(dropping)) => {
            // The next job on these tables drops them.
            tracing::warn!(projection = job.name(), error = %dropping, "scratch tables stay behind");
            Err(error)
        }
    }
}

async fn compare(
    job: &Job,
    (deployed, scratch): (i32, i32),
    began: Instant,
    tell: Tell<'_>,
) -> Result<VerifyReport, RebuildError> {
    // From now on the group writes both, so that the scan alone completes the scratch.
    job.noticed().await?;
    let replayed = job.replay(scratch, None, RebuildPhase::ReplayingToCompare, &mut *tell).await?;
    let totals = Arc::new(Totals::default());
    let mut meter = Meter::new(RebuildPhase::Comparing, &totals);
    let tables = job.projection.tables();
    let share = Totals::RING / tables.len().max(1) as u64;
    let (mut comparisons, mut differences) = (Vec::new(), Vec::new());
    for table in tables {
        let comparison = Comparison::open(
            &job.store,
            table,
            (deployed, scratch),
            Arc::clone(&totals),
            job.cancel.clone(),
        )
        .await?;
        let mut running = std::pin::pin!(comparison.run(job.settings.parallel, share));
        let mut tick = interval(std::time::Duration::from_millis(100));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let found = loop {
            tokio::select! {
                found = &mut running => break found?,
                _ = tick.tick() => tell(meter.progress(&totals)),
            }
        };
        comparisons.push(found.comparison);
        differences.extend(found.described);
    }
    tell(meter.progress(&totals));
    Ok(VerifyReport {
        projection: job.name().to_owned(),
        version: deployed,
        events: replayed.totals.events.load(Ordering::Relaxed),
        skipped: replayed.totals.skipped.load(Ordering::Relaxed),
        skipped_events: std::mem::take(&mut *replayed.totals.skipped_events.lock()),
        tables: comparisons,
        differences,
        elapsed: began.elapsed(),
    })
}

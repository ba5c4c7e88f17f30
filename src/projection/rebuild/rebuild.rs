//! The entry to rebuilds.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::consumer::GroupSettings;
use crate::ids::AggregateId;
use crate::projection::Projection;
use crate::projection::rebuild::beside::beside;
use crate::projection::rebuild::in_place::{in_place, one_aggregate};
use crate::projection::rebuild::job::{Job, Replayed, Tell};
use crate::projection::rebuild::settings::Settings;
use crate::projection::rebuild::stored::StoredProgress;
use crate::projection::rebuild::tables::Tables;
use crate::projection::rebuild::{
    OnError, RebuildError, RebuildMode, RebuildPlan, RebuildProgress, RebuildReport,
};
use crate::read_model::{VersionRows, table_name};
use crate::store::EventStore;

/// Rebuilds a projection's tables from `event_store`.
///
/// Only projections can be rebuilt: a publisher or a process manager, handed its old events
/// again, would send and order again.
///
/// An interrupted rebuild (killed, cancelled, the database away for too long) is gone on
/// with by the next one of the same mode.
///
/// ```no_run
/// use std::sync::Arc;
/// use messina::projection::Rebuild;
/// # async fn example(store: messina::EventStore, projection: impl messina::Projection)
/// # -> Result<(), messina::projection::RebuildError> {
/// let report = Rebuild::new(store, Arc::new(projection))
///     .parallel(8)
///     .run(|progress| println!("{:.0} % of the ring", progress.ring * 100.0))
///     .await?;
/// println!("{} events; queries read version {}", report.events, report.version);
/// # Ok(())
/// # }
/// ```
#[must_use = "a rebuild begins when it is run"]
pub struct Rebuild {
    store: EventStore,
    projection: Arc<dyn Projection>,
    mode: RebuildMode,
    from_scratch: bool,
    only_aggregate: Option<AggregateId>,
    verify: bool,
    settings: Settings,
}

impl fmt::Debug for Rebuild {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rebuild")
            .field("projection", &self.projection.name())
            .field("mode", &self.mode)
            .finish_non_exhaustive()
    }
}

impl Rebuild {
    /// A rebuild of this projection's tables in the store's keyspace, beside those in use.
    pub fn new(store: EventStore, projection: Arc<dyn Projection>) -> Self {
        Self {
            store,
            projection,
            mode: RebuildMode::default(),
            from_scratch: false,
            only_aggregate: None,
            verify: true,
            settings: Settings::default(),
        }
    }

    /// Which tables are written; [`RebuildMode::Beside`] unless set.
    pub fn mode(mut self, mode: RebuildMode) -> Self {
        self.mode = mode;
        self
    }

    /// How many ranges of the token ring are read at once; 4 unless set, at most 256.
    pub fn parallel(mut self, ranges: usize) -> Self {
        self.settings.parallel = ranges;
        self
    }

    /// At most so many events are replayed per second, so that the live load has room; no
    /// limit unless set.
    pub fn rate(mut self, events_per_second: f64) -> Self {
        self.settings.rate = Some(events_per_second);
        self
    }

    /// What to do with an event that cannot be handled: stop unless set.
    pub fn on_error(mut self, on_error: OnError) -> Self {
        self.settings.on_error = on_error;
        self
    }

    /// Begins at the beginning also if an interrupted rebuild could be gone on with.
    pub fn from_scratch(mut self, from_scratch: bool) -> Self {
        self.from_scratch = from_scratch;
        self
    }

    /// Replays this aggregate's events only, over the rows that are there:
    /// [`RebuildMode::InPlace`] must be chosen too.
    pub fn only_aggregate(mut self, id: AggregateId) -> Self {
        self.only_aggregate = Some(id);
        self
    }

    /// Whether the new version is compared with a second replay before queries go to it;
    /// it is unless this says otherwise. It finds projections that look at more than the
    /// event, and takes about as long again.
    pub fn verify_before_switch(mut self, verify: bool) -> Self {
        self.verify = verify;
        self
    }

    /// How the group that follows the log for the new version reads it; as groups do by
    /// default unless set.
    pub fn following(mut self, settings: GroupSettings) -> Self {
        self.settings.following = settings;
        self
    }

    /// Stops when this is cancelled, with [`RebuildError::Cancelled`]; what is done is kept.
    pub fn stop_on(mut self, stop: CancellationToken) -> Self {
        self.settings.cancel = stop;
        self
    }

    fn check(&self) -> Result<(), RebuildError> {
        self.settings.validate()?;
        if self.only_aggregate.is_some() && self.mode != RebuildMode::InPlace {
            return Err(RebuildError::Settings(format!(
                "one aggregate alone is rebuilt in place, not {}",
                self.mode
            )));
        }
        Ok(())
    }

    /// What [`Rebuild::run`] would do. Changes nothing and takes no lease.
    ///
    /// # Errors
    /// [`RebuildError::Settings`], [`RebuildError::Definition`] for tables that cannot be
    /// rebuilt like this, [`RebuildError::Database`].
    pub async fn plan(&self) -> Result<RebuildPlan, RebuildError> {
        self.check()?;
        let name = self.projection.name();
        let failed = || RebuildError::database(format!("looking up the versions of {name}"));
        let session = self.store.session();
        let rows = VersionRows::prepare(&self.store).await.map_err(failed())?;
        let versions = rows.read(session, name).await.map_err(failed())?;
        let stored = StoredProgress::prepare(&self.store, name).await.map_err(failed())?;
        let unfinished = stored.load().await.map_err(failed())?.filter(|unfinished| {
            !self.from_scratch
                && self.only_aggregate.is_none()
                && unfinished.mode == self.mode
                && versions.written().any(|v| v == unfinished.target)
        });
        let tables = Tables { store: &self.store, projection: &*self.projection };
        if self.mode == RebuildMode::Beside {
            tables.definitions(versions.last + 1, false).await?;
            if self.verify {
                tables.refuse_expiring().await?;
            }
        }
        let target_version = match (&unfinished, self.mode) {
            (Some(unfinished), _) => unfinished.target,
            (None, RebuildMode::Beside) => versions.last + 1,
            (None, RebuildMode::InPlace | RebuildMode::Truncate) => versions.current,
        };
        Ok(RebuildPlan {
            projection: name.to_owned(),
            mode: self.mode,
            current_version: versions.current,
            target_version,
            tables: self
                .projection
                .tables()
                .iter()
                .map(|t| format!("{}.{}", self.store.keyspace(), table_name(t, target_version)))
                .collect(),
            resumes_at: unfinished.map(|u| {
                let done = u.ranges.iter().filter(|range| range.finished).count();
                done as f64 / u.ranges.len().max(1) as f64
            }),
            old_versions: tables.unused(&versions).await?,
        })
    }

    /// Rebuilds, telling `progress` several times a second.
    ///
    /// # Errors
    /// [`RebuildError`]; what is done is kept, so that a repeat goes on from there.
    pub async fn run(
        self,
        mut progress: impl FnMut(RebuildProgress) + Send,
    ) -> Result<RebuildReport, RebuildError> {
        self.check()?;
        let task = match self.only_aggregate {
            Some(id) => format!("rebuild of aggregate {id}"),
            None => format!("rebuild {}", self.mode),
        };
        let Self { store, projection, mode, from_scratch, only_aggregate, verify, settings } = self;
        let job = Job::begin(store, projection, settings, &task).await?;
        let how = How { mode, from_scratch, only_aggregate, verify };
        let result = how.run(&job, &mut progress).await;
        job.end(result).await
    }

    /// Drops the versions that nothing uses any more: those that queries left, and what
    /// abandoned rebuilds left behind. The tables of the first version are emptied instead:
    /// the migrations define them, and new versions are made like them.
    ///
    /// Returns the versions that were dropped.
    ///
    /// # Errors
    /// [`RebuildError::Busy`] while a rebuild is at work, [`RebuildError::Database`].
    pub async fn drop_old(self) -> Result<Vec<i32>, RebuildError> {
        let job = Job::begin(self.store, self.projection, self.settings, "drop old").await?;
        let result = drop_old(&job).await;
        job.end(result).await
    }
}

async fn drop_old(job: &Job) -> Result<Vec<i32>, RebuildError> {
    let unfinished = job
        .stored
        .load()
        .await
        .map_err(RebuildError::database("reading the progress of rebuilds"))?;
    let versions = job.clean(unfinished.map(|unfinished| unfinished.target)).await?;
    let unused = job.tables().unused(&versions).await?;
    if !unused.is_empty() {
        // A query that was prepared right before the switch.
        job.noticed().await?;
    }
    for version in &unused {
        job.check()?;
        job.tables().drop(*version).await?;
    }
    Ok(unused)
}

/// What was asked for.
struct How {
    mode: RebuildMode,
    from_scratch: bool,
    only_aggregate: Option<AggregateId>,
    verify: bool,
}

impl How {
    async fn run(&self, job: &Job, tell: Tell<'_>) -> Result<RebuildReport, RebuildError> {
        if let Some(id) = self.only_aggregate {
            let done = one_aggregate(job, id).await?;
            let version = job.versions().await?.current;
            return Ok(RebuildReport {
                events: done.events,
                writes: done.writes,
                skipped: done.skipped.len() as u64,
                skipped_events: done.skipped,
                ..self.report(job, version)
            });
        }
        if self.mode == RebuildMode::Beside {
            let switched = beside(job, self.from_scratch, self.verify, tell).await?;
            return Ok(RebuildReport {
                previous_version: switched.from,
                resumed: switched.resumed,
                verification: switched.verification,
                ..with(switched.replayed, self.report(job, switched.to))
            });
        }
        let (replayed, resumed, version) =
            in_place(job, self.mode, self.from_scratch, tell).await?;
        Ok(RebuildReport { resumed, ..with(replayed, self.report(job, version)) })
    }

    fn report(&self, job: &Job, version: i32) -> RebuildReport {
        RebuildReport {
            projection: job.name().to_owned(),
            mode: self.mode,
            version,
            previous_version: version,
            resumed: false,
            events: 0,
            writes: 0,
            skipped: 0,
            skipped_events: Vec::new(),
            replay: Duration::ZERO,
            elapsed: job.began.elapsed(),
            verification: None,
        }
    }
}

fn with(replayed: Replayed, report: RebuildReport) -> RebuildReport {
    let totals = &replayed.totals;
    RebuildReport {
        events: totals.events.load(Ordering::Relaxed),
        writes: totals.writes.load(Ordering::Relaxed),
        skipped: totals.skipped.load(Ordering::Relaxed),
        skipped_events: std::mem::take(&mut *totals.skipped_events.lock()),
        replay: replayed.took,
        ..report
    }
}

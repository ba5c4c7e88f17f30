//! What rebuilds and verifications do alike.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::projection::Projection;
use crate::projection::rebuild::batches::BatchWriter;
use crate::projection::rebuild::lease::Lease;
use crate::projection::rebuild::pace::Pace;
use crate::projection::rebuild::progress::{Meter, Totals};
use crate::projection::rebuild::scan::Replay;
use crate::projection::rebuild::settings::Settings;
use crate::projection::rebuild::stored::{RangeState, StoredProgress};
use crate::projection::rebuild::tables::Tables;
use crate::projection::rebuild::{RebuildError, RebuildPhase, RebuildProgress};
use crate::read_model::{NOTICED_AFTER, VersionRows, Versions};
use crate::store::EventStore;

/// Ranges that the token ring is cut into: small enough that progress is seen and the
/// workers end together.
pub(super) const RANGES: u32 = 256;

/// Told of progress.
pub(super) type Tell<'t> = &'t mut (dyn FnMut(RebuildProgress) + Send);

/// Work on one projection's tables, under a lease.
pub(super) struct Job {
    pub(super) store: EventStore,
    pub(super) projection: Arc<dyn Projection>,
    pub(super) settings: Settings,
    pub(super) stored: Arc<StoredProgress>,
    /// Cancelled on request and when the lease is lost.
    pub(super) cancel: CancellationToken,
    pub(super) began: Instant,
    rows: VersionRows,
    lease: Lease,
}

/// A replay that has come to its end.
pub(super) struct Replayed {
    pub(super) totals: Arc<Totals>,
    pub(super) took: Duration,
}

impl Job {
    /// Takes the lease.
    pub(super) async fn begin(
        store: EventStore,
        projection: Arc<dyn Projection>,
        settings: Settings,
        task: &str,
    ) -> Result<Self, RebuildError> {
        settings.validate()?;
        let name = projection.name();
        let failed = || RebuildError::database(format!("looking up the versions of {name}"));
        let rows = VersionRows::prepare(&store).await.map_err(failed())?;
        let stored = Arc::new(StoredProgress::prepare(&store, name).await.map_err(failed())?);
        let cancel = settings.cancel.child_token();
        let lease = Lease::acquire(&store, name, task, &cancel).await?;
        let began = Instant::now();
        Ok(Self { store, projection, settings, stored, cancel, began, rows, lease })
    }

    /// Gives the lease back; `result` if it was held to the end.
    pub(super) async fn end<T>(self, result: Result<T, RebuildError>) -> Result<T, RebuildError> {
        let lost = self.lease.lost.is_cancelled();
        let projection = self.name().to_owned();
        self.lease.release().await;
        match result {
            Err(RebuildError::Cancelled) if lost => Err(RebuildError::LeaseLost { projection }),
            result => result,
        }
    }

    pub(super) fn name(&self) -> &'static str {
        self.projection.name()
    }

    pub(super) fn tables(&self) -> Tables<'_> {
        Tables { store: &self.store, projection: &*self.projection }
    }

    pub(super) async fn change<T>(
        &self,
        change: impl Fn(&mut Versions) -> T,
    ) -> Result<(Versions, T), RebuildError> {
        self.check()?;
        self.rows
            .change(self.store.session(), self.name(), change)
            .await
            .map_err(RebuildError::database("changing the versions of the read model"))
    }

    pub(super) async fn versions(&self) -> Result<Versions, RebuildError> {
        Ok(self.change(|_| ()).await?.0)
    }

    /// # Errors
    /// [`RebuildError::Cancelled`] if it is to stop.
    pub(super) fn check(&self) -> Result<(), RebuildError> {
        if self.cancel.is_cancelled() { Err(RebuildError::Cancelled) } else { Ok(()) }
    }

    /// Waits until everybody acts on the versions as they are now.
    pub(super) async fn noticed(&self) -> Result<(), RebuildError> {
        tokio::select! {
            () = sleep(NOTICED_AFTER) => Ok(()),
            () = self.cancel.cancelled() => Err(RebuildError::Cancelled),
        }
    }

    /// Makes the tables of a new version, and has the live group write it from now on.
    pub(super) async fn new_version(&self, scratch: bool) -> Result<i32, RebuildError> {
        // Refused before anything is changed.
        self.tables().definitions(1, scratch).await?;
        let (_, version) = self.change(Versions::next_number).await?;
        self.tables().create(version, scratch).await?;
        self.change(|versions| versions.also_written.insert(version)).await?;
        Ok(version)
    }

    /// Has the live group write none but the current version and `keep`. What an
    /// interrupted job was building is dropped; what queries had left stays until
    /// [`Rebuild::drop_old`](super::Rebuild::drop_old).
    pub(super) async fn clean(&self, keep: Option<i32>) -> Result<Versions, RebuildError> {
        let before = self.versions().await?;
        let stale = |v: &i32| Some(*v) != keep;
        if !before.also_written.iter().any(stale) {
            return Ok(before);
        }
        let (after, ()) =
            self.change(|versions| versions.also_written.retain(|v| !stale(v))).await?;
        self.noticed().await?;
        for version in before.also_written.iter().copied().filter(stale) {
            if version > after.current {
                self.tables().drop(version).await?;
            }
        }
        Ok(after)
    }

    /// Ends a version that was made to compare with.
    pub(super) async fn drop_scratch(&self, version: i32) -> Result<(), RebuildError> {
        self.change(|versions| versions.also_written.remove(&version)).await?;
        self.noticed().await?;
        self.tables().drop(version).await
    }

    /// Replays all events into `version`; `ranges` says what is done already.
    pub(super) async fn replay(
        &self,
        version: i32,
        ranges: Option<Vec<RangeState>>,
        phase: RebuildPhase,
        tell: Tell<'_>,
    ) -> Result<Replayed, RebuildError> {
        let began = Instant::now();
        let totals = Arc::new(Totals::default());
        let resumable = ranges.is_some();
        let ranges = ranges.unwrap_or_else(all_ranges);
        Replay::count_earlier(&totals, &ranges);
        let replay = Arc::new(Replay {
            store: self.store.clone(),
            projection: Arc::clone(&self.projection),
            writer: BatchWriter::new(self.store.clone(), Arc::clone(&self.projection), version),
            pace: self.settings.rate.map(|rate| Arc::new(Pace::new(rate))),
            on_error: self.settings.on_error,
            totals: Arc::clone(&totals),
            stored: resumable.then(|| Arc::clone(&self.stored)),
            cancel: self.cancel.clone(),
        });
        let mut meter = Meter::new(phase, &totals);
        replay.run(ranges, self.settings.parallel, &mut meter, tell).await?;
        Ok(Replayed { totals, took: began.elapsed() })
    }
}

/// The whole ring, none of it done.
pub(super) fn all_ranges() -> Vec<RangeState> {
    crate::store::TokenRange::split_ring(RANGES).into_iter().map(RangeState::new).collect()
}

//! Rebuilding a read model from `event_store`.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures::stream::{self, StreamExt, TryStreamExt};
use parking_lot::Mutex;

use crate::event::EventEnvelope;
use crate::projection::executor::{ExecuteError, Executor, Targets};
use crate::projection::{Projection, ProjectionError};
use crate::store::{
    Backoff, DatabaseError, EventStore, ScanPosition, StoreError, TokenRange, is_transient,
};

/// Ranges that the token ring is cut into: small enough that progress is seen and the
/// workers end together.
const RANGES: u32 = 256;

/// Events that a worker writes at once. Their order does not matter: each write carries
/// its event's time.
const CONCURRENT_EVENTS: usize = 32;

/// How often a request is repeated while the database is away before the rebuild gives up.
const ATTEMPTS: u32 = 8;

/// Empties a projection's tables and replays all events into them.
///
/// The projection's group may go on meanwhile: what it writes is what the replay writes,
/// with the same timestamps.
#[must_use = "a rebuild begins when it is run"]
pub struct Rebuild {
    store: EventStore,
    executor: Executor,
    parallel: usize,
}

impl fmt::Debug for Rebuild {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Rebuild").field(&self.executor.projection().name()).finish()
    }
}

/// How far a rebuild is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RebuildProgress {
    /// Events read and written.
    pub events: u64,
    /// Part of the token ring that is done, 0 to 1.
    pub ring: f64,
}

/// What a rebuild did.
#[derive(Debug, Clone, PartialEq)]
pub struct RebuildReport {
    /// Events of the projection's aggregate types.
    pub events: u64,
    /// Rows put or deleted.
    pub writes: u64,
    /// How long it took.
    pub elapsed: Duration,
}

/// Why a rebuild stopped. The tables are not complete then: run it again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RebuildError {
    /// `event_store` cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A table cannot be emptied.
    #[error("truncating {table}: {source}")]
    Truncate {
        /// Which.
        table: &'static str,
        /// What the database said.
        source: DatabaseError,
    },
    /// The projection cannot handle an event.
    #[error("event {sequence_number} of {aggregate_type} {aggregate_id}: {source}")]
    Projection {
        /// Whose event.
        aggregate_id: crate::AggregateId,
        /// The aggregate's type.
        aggregate_type: String,
        /// Which event.
        sequence_number: i64,
        /// What it said.
        source: ProjectionError,
    },
    /// A write failed.
    #[error("writing the read model: {0}")]
    Write(DatabaseError),
}

impl Rebuild {
    /// A rebuild of this projection's tables in the store's keyspace.
    pub fn new(store: EventStore, projection: Arc<dyn Projection>) -> Self {
        let executor = Executor::new(&store, projection, Targets::All);
        Self { store, executor, parallel: 4 }
    }

    /// How many ranges of the token ring are read at once; 4 unless set.
    pub fn parallel(mut self, ranges: usize) -> Self {
        self.parallel = ranges.max(1);
        self
    }

    /// Truncates and replays, telling `progress` now and then.
    ///
    /// # Errors
    /// [`RebuildError`]; an event that cannot be handled is named, and none is skipped.
    pub async fn run(
        self,
        progress: impl FnMut(RebuildProgress) + Send,
    ) -> Result<RebuildReport, RebuildError> {
        let began = Instant::now();
        for table in self.executor.projection().tables() {
            let cql = format!("TRUNCATE {}.{table}", self.store.keyspace());
            self.store
                .session()
                .query_unpaged(cql, ())
                .await
                .map_err(|e| RebuildError::Truncate { table, source: e.into() })?;
        }
        let ranges = TokenRange::split_ring(RANGES);
        let totals = Totals::default();
        let progress = Mutex::new(progress);
        let report = || {
            let done = totals.ranges.load(Ordering::Relaxed) as f64;
            let ring = done / f64::from(RANGES);
            (progress.lock())(RebuildProgress {
                events: totals.events.load(Ordering::Relaxed),
                ring,
            });
        };
        stream::iter(ranges)
            .map(|range| self.replay(range, &totals, &report))
            .buffer_unordered(self.parallel)
            .try_collect::<()>()
            .await?;
        Ok(RebuildReport {
            events: totals.events.into_inner(),
            writes: totals.writes.into_inner(),
            elapsed: began.elapsed(),
        })
    }

    async fn replay(
        &self,
        range: TokenRange,
        totals: &Totals,
        report: &(impl Fn() + Sync),
    ) -> Result<(), RebuildError> {
        let mut position = Some(ScanPosition::default());
        while let Some(at) = position {
            let page = patiently(
                || self.store.scan_page(range, at.clone()),
                |error| matches!(error, StoreError::Unavailable { source, .. } if is_transient(source)),
            )
            .await?;
            stream::iter(&page.events)
                .filter(|event| std::future::ready(self.executor.accepts(&event.aggregate_type)))
                .map(|event| self.replay_event(event, totals))
                .buffer_unordered(CONCURRENT_EVENTS)
                .try_collect::<()>()
                .await?;
            position = page.next;
            if position.is_none() {
                totals.ranges.fetch_add(1, Ordering::Relaxed);
            }
            report();
        }
        Ok(())
    }

    async fn replay_event(
        &self,
        event: &EventEnvelope,
        totals: &Totals,
    ) -> Result<(), RebuildError> {
        let writes = patiently(|| self.executor.execute(event), ExecuteError::is_passing)
            .await
            .map_err(|error| match error {
                ExecuteError::Database(error) => RebuildError::Write(error),
                ExecuteError::Moved => {
                    RebuildError::Write(DatabaseError::Answer(error.to_string()))
                }
                ExecuteError::Projection(source) => RebuildError::Projection {
                    aggregate_id: event.aggregate_id,
                    aggregate_type: event.aggregate_type.to_string(),
                    sequence_number: event.sequence_number,
                    source,
                },
            })?;
        totals.events.fetch_add(1, Ordering::Relaxed);
        totals.writes.fetch_add(writes as u64, Ordering::Relaxed);
        Ok(())
    }
}

#[derive(Debug, Default)]
struct Totals {
    events: AtomicU64,
    writes: AtomicU64,
    ranges: AtomicU64,
}

/// Repeats what fails for a passing reason, a bounded number of times.
async fn patiently<T, E, F: Future<Output = Result<T, E>>>(
    mut attempt: impl FnMut() -> F,
    passing: impl Fn(&E) -> bool,
) -> Result<T, E> {
    let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(5));
    for _ in 1..ATTEMPTS {
        match attempt().await {
            Err(error) if passing(&error) => backoff.wait().await,
            result => return result,
        }
    }
    attempt().await
}

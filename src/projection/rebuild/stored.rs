//! Progress in `rebuild_progress`.

use std::sync::atomic::{AtomicI64, Ordering};

use scylla::serialize::row::SerializeRow;
use scylla::statement::prepared::PreparedStatement;
use scylla::value::CqlTimestamp;

use crate::projection::rebuild::RebuildMode;
use crate::projection::rebuild::tally::Counts;
use crate::store::{DatabaseError, EventStore, TokenRange, prepare_repeatable};
use crate::time::now_micros;

/// An unfinished rebuild, as stored.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Unfinished {
    pub(super) mode: RebuildMode,
    pub(super) target: i32,
    /// ms since 1970.
    pub(super) began_at: i64,
    /// Whether the live group was paused for it.
    pub(super) paused: bool,
    pub(super) ranges: Vec<RangeState>,
}

/// How far a range of the ring is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RangeState {
    pub(super) range: TokenRange,
    /// Last token whose events are all written.
    pub(super) done_to: Option<i64>,
    pub(super) finished: bool,
    /// Of the aggregates up to there.
    pub(super) counts: Counts,
}

impl RangeState {
    pub(super) fn new(range: TokenRange) -> Self {
        Self { range, done_to: None, finished: false, counts: Counts::default() }
    }
}

/// One projection's partition of `rebuild_progress`.
#[derive(Debug)]
pub(super) struct StoredProgress {
    store: EventStore,
    projection: String,
    read: PreparedStatement,
    begin: PreparedStatement,
    save: PreparedStatement,
    forget: PreparedStatement,
    /// Of the last write, µs since 1970.
    timestamp: AtomicI64,
}

impl StoredProgress {
    pub(super) async fn prepare(
        store: &EventStore,
        projection: &str,
    ) -> Result<Self, DatabaseError> {
        let (session, keyspace) = (store.session(), store.keyspace());
        // Each writes what it wrote before, or something newer.
        let prepare = async |cql| prepare_repeatable(session, cql, None).await;
        Ok(Self {
            store: store.clone(),
            projection: projection.to_owned(),
            read: prepare(format!(
                "SELECT mode, target_version, began_at, ranges, paused, range_first, done_to, finished, \
                 events, writes, skipped FROM {keyspace}.rebuild_progress WHERE projection = ?"
            ))
            .await?,
            begin: prepare(format!(
                "INSERT INTO {keyspace}.rebuild_progress \
                 (projection, mode, target_version, began_at, ranges, paused) \
                 VALUES (?, ?, ?, ?, ?, ?)"
            ))
            .await?,
            save: prepare(format!(
                "INSERT INTO {keyspace}.rebuild_progress (projection, range_first, done_to, \
                 finished, events, writes, skipped) VALUES (?, ?, ?, ?, ?, ?, ?)"
            ))
            .await?,
            forget: prepare(format!(
                "DELETE FROM {keyspace}.rebuild_progress WHERE projection = ?"
            ))
            .await?,
            timestamp: AtomicI64::new(0),
        })
    }

    /// Writes with a timestamp later than that of any write before: what is written after
    /// a deletion stays, whichever coordinators the two go through.
    async fn write(
        &self,
        statement: &PreparedStatement,
        values: impl SerializeRow,
    ) -> Result<(), DatabaseError> {
        let now = now_micros();
        let last = self.timestamp.fetch_max(now, Ordering::AcqRel);
        let timestamp =
            if last < now { now } else { self.timestamp.fetch_add(1, Ordering::AcqRel) + 1 };
        let mut statement = statement.clone();
        statement.set_timestamp(Some(timestamp));
        self.store.session().execute_unpaged(&statement, values).await?;
        Ok(())
    }

    /// The unfinished rebuild, if there is one.
    pub(super) async fn load(&self) -> Result<Option<Unfinished>, DatabaseError> {
        type ProgressRow = (
            Option<String>,
            Option<i32>,
            Option<CqlTimestamp>,
            Option<i32>,
            Option<bool>,
            Option<i64>,
            Option<i64>,
            Option<bool>,
            Option<i64>,
            Option<i64>,
            Option<i64>,
        );
        let result = self.store.session().execute_unpaged(&self.read, (&self.projection,)).await?;
        let rows = result.into_rows_result()?;
        let mut unfinished: Option<Unfinished> = None;
        for row in rows.rows::<ProgressRow>()? {
            let (
                mode,
                target,
                began_at,
                parts,
                paused,
                first,
                done_to,
                finished,
                events,
                writes,
                skipped,
            ) = row?;
            let (Some(mode), Some(target), Some(began_at), Some(parts)) =
                (mode.as_deref().and_then(RebuildMode::of_name), target, began_at, parts)
            else {
                // Not ours to understand: begun by another build, or half of it is gone.
                return Ok(None);
            };
            let unfinished = unfinished.get_or_insert_with(|| Unfinished {
                mode,
                target,
                began_at: began_at.0,
                paused: paused.unwrap_or(false),
                ranges: TokenRange::split_ring(u32::try_from(parts).unwrap_or(1))
                    .into_iter()
                    .map(RangeState::new)
                    .collect(),
            });
            let count = |n: Option<i64>| n.and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
            let state = unfinished.ranges.iter_mut().find(|state| Some(state.range.first) == first);
            if let Some(state) = state {
                state.done_to = done_to;
                state.finished = finished.unwrap_or(false);
                state.counts = Counts {
                    events: count(events),
                    writes: count(writes),
                    skipped: count(skipped),
                };
            }
        }
        Ok(unfinished)
    }

    /// Records that a rebuild has begun.
    pub(super) async fn begin(&self, unfinished: &Unfinished) -> Result<(), DatabaseError> {
        self.forget().await?;
        let values = (
            &self.projection,
            unfinished.mode.name(),
            unfinished.target,
            CqlTimestamp(unfinished.began_at),
            i32::try_from(unfinished.ranges.len()).unwrap_or(i32::MAX),
            unfinished.paused,
        );
        self.write(&self.begin, values).await
    }

    /// Records how far a range is.
    pub(super) async fn save(&self, state: &RangeState) -> Result<(), DatabaseError> {
        let count = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        let values = (
            &self.projection,
            state.range.first,
            state.done_to,
            state.finished,
            count(state.counts.events),
            count(state.counts.writes),
            count(state.counts.skipped),
        );
        self.write(&self.save, values).await
    }

    /// Forgets the rebuild: it has ended, or another begins.
    pub(super) async fn forget(&self) -> Result<(), DatabaseError> {
        self.write(&self.forget, (&self.projection,)).await
    }
}

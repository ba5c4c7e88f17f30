//! A replay's progress in the database: `consumer_replays`.

use std::collections::HashMap;

use scylla::statement::prepared::PreparedStatement;
use scylla::value::CqlTimestamp;

use crate::consumer::progress::{Millis, Progress};
use crate::consumer::slice::Slice;
use crate::store::{DatabaseError, EventStore, prepare_repeatable};
use crate::time::now_micros;

/// What a replay is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Events written at this time and later are replayed.
    pub(crate) since: Millis,
    /// Afterwards the log is followed from here.
    pub(crate) log_from: Millis,
    /// Into how many parts the ring is divided.
    pub(crate) parts: u32,
}

/// Reads and stores one slice's replay.
pub(crate) struct ReplayTable {
    store: EventStore,
    group: String,
    slice: Slice,
    save: PreparedStatement,
    stored: HashMap<u32, i64>,
}

impl ReplayTable {
    pub(crate) async fn prepare(
        store: EventStore,
        group: &str,
        slice: Slice,
    ) -> Result<Self, DatabaseError> {
        let save = format!(
            "INSERT INTO {}.consumer_replays (group_name, slice, part, next_token, updated_at) \
             VALUES (?, ?, ?, ?, ?)",
            store.keyspace()
        );
        let save = prepare_repeatable(store.session(), save, None).await?;
        let group = group.to_owned();
        Ok(Self { store, group, slice, save, stored: HashMap::new() })
    }

    fn key(&self) -> (&str, i32) {
        (&self.group, i32::from(self.slice.index()))
    }

    /// The replay that was begun, if it is one of these slices since this time, with the
    /// token at which each part goes on.
    pub(crate) async fn begun(
        &mut self,
        since: Millis,
    ) -> Result<Option<(Plan, HashMap<u32, i64>)>, DatabaseError> {
        let cql = format!(
            "SELECT slices, since, log_from, parts, part, next_token FROM {}.consumer_replays \
             WHERE group_name = ? AND slice = ?",
            self.store.keyspace()
        );
        let read = prepare_repeatable(self.store.session(), cql, None).await?;
        let result = self.store.session().execute_unpaged(&read, self.key()).await?;
        type Row = (
            Option<i32>,
            Option<CqlTimestamp>,
            Option<CqlTimestamp>,
            Option<i32>,
            Option<i32>,
            Option<i64>,
        );
        let mut plan = None;
        self.stored.clear();
        for row in result.into_rows_result()?.rows::<Row>()? {
            let (Some(slices), Some(of), Some(log_from), Some(parts), part, next) = row? else {
                continue;
            };
            if slices != i32::from(self.slice.count()) || of.0 != since {
                return Ok(None);
            }
            let parts = u32::try_from(parts)
                .map_err(|_| DatabaseError::Answer(format!("a replay of {parts} parts")))?;
            plan = Some(Plan { since, log_from: log_from.0, parts });
            if let (Some(Ok(part)), Some(next)) = (part.map(u32::try_from), next) {
                self.stored.insert(part, next);
            }
        }
        Ok(plan.map(|plan| (plan, self.stored.clone())))
    }

    /// Begins anew.
    pub(crate) async fn begin(&mut self, plan: Plan) -> Result<(), DatabaseError> {
        self.forget().await?;
        let cql = format!(
            "INSERT INTO {}.consumer_replays (group_name, slice, slices, since, log_from, parts) \
             VALUES (?, ?, ?, ?, ?, ?)",
            self.store.keyspace()
        );
        let insert = prepare_repeatable(self.store.session(), cql, None).await?;
        let (group, slice) = self.key();
        let values = (
            group,
            slice,
            i32::from(self.slice.count()),
            CqlTimestamp(plan.since),
            CqlTimestamp(plan.log_from),
            i32::try_from(plan.parts).unwrap_or(i32::MAX),
        );
        self.store.session().execute_unpaged(&insert, values).await?;
        Ok(())
    }

    /// Stores what has changed: the parts are the streams of this progress, their tokens its
    /// times.
    pub(crate) async fn save(&mut self, progress: &Progress) -> Result<(), DatabaseError> {
        for part in progress.snapshot().0 {
            let Ok(number) = u32::try_from(part.stream) else { continue };
            if self.stored.get(&number) == Some(&part.watermark) {
                continue;
            }
            let (group, slice) = self.key();
            let now = CqlTimestamp(now_micros() / 1000);
            let number_stored = i32::try_from(number).unwrap_or(i32::MAX);
            let values = (group, slice, number_stored, part.watermark, now);
            self.store.session().execute_unpaged(&self.save, values).await?;
            self.stored.insert(number, part.watermark);
        }
        Ok(())
    }

    /// There is no replay any more.
    pub(crate) async fn forget(&mut self) -> Result<(), DatabaseError> {
        let cql = format!(
            "DELETE FROM {}.consumer_replays WHERE group_name = ? AND slice = ?",
            self.store.keyspace()
        );
        let delete = prepare_repeatable(self.store.session(), cql, None).await?;
        self.store.session().execute_unpaged(&delete, self.key()).await?;
        self.stored.clear();
        Ok(())
    }
}

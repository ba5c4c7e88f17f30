//! How groups are doing, for other processes: `consumer_status`.

use std::time::Duration;

use scylla::statement::prepared::PreparedStatement;
use scylla::value::CqlTimestamp;
use scylla::{DeserializeRow, SerializeRow};
use uuid::Uuid;

use crate::consumer::slice::Slice;
use crate::consumer::status::{GroupState, GroupStatus};
use crate::consumer::supervise::Group;
use crate::store::{DatabaseError, EventStore, prepare_repeatable};
use crate::time::now_micros;

/// What a slice's runner said of it last. What is older than half a minute is not there, but
/// that it halted is told for a week, or until it runs again.
#[derive(Debug, Clone, PartialEq, DeserializeRow)]
#[non_exhaustive]
pub struct SliceStatus {
    /// Which slice, from 0.
    pub slice: i32,
    /// Who runs it.
    pub runner: Option<Uuid>,
    /// Where, with the process's id.
    pub host: Option<String>,
    /// `running`, `replaying`, `restarting`, `halted` or `stopped`.
    pub state: Option<String>,
    /// Why it is so.
    pub reason: Option<String>,
    /// Everything before this is done.
    pub watermark: Option<CqlTimestamp>,
    /// How far the watermark was behind, in ms.
    pub lag_ms: Option<i64>,
    /// Events read and not done.
    pub lag_events: Option<i64>,
    /// Events handled since this runner took the slice first; so are the following.
    pub handled: Option<i64>,
    /// Events that came again and were dropped.
    pub duplicates: Option<i64>,
    /// Events found in `event_store`.
    pub repaired: Option<i64>,
    /// Events that the sweep brought and the tail had not shown.
    pub late: Option<i64>,
    /// Attempts that were repeated.
    pub retries: Option<i64>,
    /// Events that went to the dead letters.
    pub dead_letters: Option<i64>,
    /// Aggregates that wait behind a dead letter.
    pub parked: Option<i64>,
    /// When this was said.
    pub updated_at: Option<CqlTimestamp>,
}

const COLUMNS: &str = "slice, runner, host, state, reason, watermark, lag_ms, lag_events, handled, \
    duplicates, repaired, late, retries, dead_letters, parked, updated_at";

/// For how long a runner's word stands: it says it again each second.
const STANDS: i32 = 30;

/// The same where nothing more is to come until someone does something: a week.
const HALTED_STANDS: i32 = 7 * 86_400;

#[derive(SerializeRow)]
struct Said<'s> {
    group_name: &'s str,
    slice: i32,
    runner: Uuid,
    host: &'s str,
    state: &'s str,
    reason: Option<&'s str>,
    watermark: Option<CqlTimestamp>,
    lag_ms: Option<i64>,
    lag_events: i64,
    handled: i64,
    duplicates: i64,
    repaired: i64,
    late: i64,
    retries: i64,
    dead_letters: i64,
    parked: i64,
    updated_at: CqlTimestamp,
    #[scylla(rename = "[ttl]")]
    ttl: i32,
}

/// The statements on the table.
#[derive(Debug, Clone)]
pub(crate) struct StatusTable {
    store: EventStore,
    say: PreparedStatement,
    read: PreparedStatement,
}

impl StatusTable {
    pub(crate) async fn prepare(store: EventStore) -> Result<Self, DatabaseError> {
        let table = format!("{}.consumer_status", store.keyspace());
        let session = store.session();
        let say = format!(
            "INSERT INTO {table} (group_name, {COLUMNS}) \
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) USING TTL ?"
        );
        // The next word is as good, and comes soon.
        let say = prepare_repeatable(session, say, Some(Duration::from_secs(1))).await?;
        let read = format!("SELECT {COLUMNS} FROM {table} WHERE group_name = ?");
        let read = prepare_repeatable(session, read, None).await?;
        Ok(Self { store, say, read })
    }

    pub(crate) async fn say(
        &self,
        group: &Group,
        slice: Slice,
        status: &GroupStatus,
    ) -> Result<(), DatabaseError> {
        let count = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        let (state, reason) = status.state.parts();
        let said = Said {
            group_name: &group.name,
            slice: i32::from(slice.index()),
            runner: group.runner,
            host: &group.host,
            state,
            reason,
            watermark: status.watermark.map(|micros| CqlTimestamp(micros / 1000)),
            lag_ms: status.lag.map(|lag| i64::try_from(lag.as_millis()).unwrap_or(i64::MAX)),
            lag_events: i64::try_from(status.in_flight).unwrap_or(i64::MAX),
            handled: count(status.handled),
            duplicates: count(status.duplicates),
            repaired: count(status.repaired),
            late: count(status.late),
            retries: count(status.retries),
            dead_letters: count(status.dead_letters),
            parked: i64::try_from(status.parked).unwrap_or(i64::MAX),
            updated_at: CqlTimestamp(now_micros() / 1000),
            ttl: match status.state {
                GroupState::Halted { .. } => HALTED_STANDS,
                _ => STANDS,
            },
        };
        self.store.session().execute_unpaged(&self.say, said).await?;
        Ok(())
    }

    pub(crate) async fn read(&self, group: &str) -> Result<Vec<SliceStatus>, DatabaseError> {
        let result = self.store.session().execute_unpaged(&self.read, (group,)).await?;
        let rows = result.into_rows_result()?;
        let mut slices = Vec::with_capacity(rows.rows_num());
        for row in rows.rows::<SliceStatus>()? {
            slices.push(row?);
        }
        Ok(slices)
    }
}

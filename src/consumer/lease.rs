//! Leases: one active runner per slice.
//!
//! A lease lives as long as its holder renews it. Whoever waits for it measures that by its
//! own clock: a lease whose beat has not changed for its whole time, since it was first seen
//! so, has lapsed. The holder stops a margin earlier, by its own clock, counted from before
//! the renewal was sent. So no two clocks are compared, and a server's clock plays no part.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use scylla::statement::Consistency;
use scylla::statement::prepared::PreparedStatement;
use scylla::value::CqlTimestamp;
use uuid::Uuid;

use crate::consumer::fence::Fence;
use crate::consumer::slice::Slice;
use crate::store::{Backoff, DatabaseError, EventStore, prepare_conditional, was_applied};
use crate::time::now_micros;

/// Which part of a lease's time its holder leaves unused: for clocks that run at different
/// speeds and for requests that were sent at the last moment.
const MARGIN: u32 = 3;

/// Renewals in a lease's time: several may fail.
const RENEWALS: u32 = 6;

/// # Errors
/// A time in which a lease could not be renewed, or one that a group would stand still for too
/// long after a crash.
pub(crate) fn check_ttl(ttl: Duration) -> Result<(), String> {
    match (Duration::from_millis(500)..=Duration::from_secs(60)).contains(&ttl) {
        true => Ok(()),
        false => Err(format!("lease_ttl must be between 500 ms and 60 s, not {ttl:?}")),
    }
}

/// A slice's lease as it stands in the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LeaseRow {
    pub(crate) slice: i32,
    pub(crate) term: i64,
    pub(crate) holder: Option<Uuid>,
    beat: i64,
    ttl: Duration,
    pub(crate) slicing: i32,
}

/// One group's leases, as one runner sees and takes them.
#[derive(Debug, Clone)]
pub(crate) struct LeaseTable {
    store: EventStore,
    group: String,
    runner: Uuid,
    host: String,
    ttl: Duration,
    list: PreparedStatement,
    settle: PreparedStatement,
    create: PreparedStatement,
    take: PreparedStatement,
    renew: PreparedStatement,
    release: PreparedStatement,
}

/// A lease that this runner holds, or held.
#[derive(Debug, Clone)]
pub(crate) struct Lease {
    table: Arc<LeaseTable>,
    pub(crate) slice: Slice,
    pub(crate) slicing: i32,
    pub(crate) term: i64,
    pub(crate) fence: Fence,
    beat: Arc<AtomicI64>,
}

impl LeaseTable {
    pub(crate) async fn prepare(
        store: EventStore,
        group: &str,
        runner: Uuid,
        host: String,
        ttl: Duration,
    ) -> Result<Self, DatabaseError> {
        let table = format!("{}.consumer_leases", store.keyspace());
        let session = store.session();
        // A request that takes longer would leave no time to renew.
        let timeout = (ttl / 4).max(Duration::from_millis(100));
        let key = "WHERE group_name = ? AND slice = ?";
        let select =
            format!("SELECT slice, term, holder, beat, ttl_ms, slicing FROM {table} WHERE");
        let mut list = session.prepare(format!("{select} group_name = ?")).await?;
        list.set_consistency(Consistency::LocalQuorum);
        let mut settle = session.prepare(format!("{select} group_name = ? AND slice = ?")).await?;
        settle.set_consistency(Consistency::LocalSerial);
        for read in [&mut list, &mut settle] {
            read.set_is_idempotent(true);
            read.set_request_timeout(Some(timeout));
        }
        let conditional =
            async |cql: String| prepare_conditional(session, cql, Some(timeout)).await;
        let create = conditional(format!(
            "INSERT INTO {table} (holder, term, beat, ttl_ms, slicing, host, acquired_at, \
             group_name, slice) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) IF NOT EXISTS"
        ))
        .await?;
        let take = conditional(format!(
            "UPDATE {table} SET holder = ?, term = ?, beat = ?, ttl_ms = ?, slicing = ?, \
             host = ?, acquired_at = ? {key} IF term = ? AND beat = ?"
        ))
        .await?;
        let renew =
            conditional(format!("UPDATE {table} SET beat = ? {key} IF term = ? AND holder = ?"))
                .await?;
        let release = conditional(format!(
            "UPDATE {table} SET holder = null, beat = ? {key} IF term = ? AND holder = ?"
        ))
        .await?;
        let group = group.to_owned();
        Ok(Self { store, group, runner, host, ttl, list, settle, create, take, renew, release })
    }

    /// The leases of all slices that were ever taken.
    pub(crate) async fn list(&self) -> Result<Vec<LeaseRow>, DatabaseError> {
        let result = self.store.session().execute_unpaged(&self.list, (&self.group,)).await?;
        leases(result)
    }

    /// Tries to take a lease that was seen free like this (`None`: never taken).
    pub(crate) async fn acquire(
        self: &Arc<Self>,
        slice: Slice,
        slicing: i32,
        seen: Option<&LeaseRow>,
    ) -> Result<Option<Lease>, DatabaseError> {
        let began = Instant::now();
        let term = seen.map_or(0, |row| row.term) + 1;
        let beat = seen.map_or(0, |row| row.beat) + 1;
        let ttl = i64::try_from(self.ttl.as_millis()).unwrap_or(i64::MAX);
        let now = CqlTimestamp(now_micros() / 1000);
        let index = i32::from(slice.index());
        let (session, host) = (self.store.session(), &self.host);
        let sent = match seen {
            None => {
                let values = (self.runner, term, beat, ttl, slicing, host, now, &self.group, index);
                session.execute_unpaged(&self.create, values).await
            }
            Some(row) => {
                let values = (
                    self.runner,
                    term,
                    beat,
                    ttl,
                    slicing,
                    host,
                    now,
                    &self.group,
                    index,
                    row.term,
                    row.beat,
                );
                session.execute_unpaged(&self.take, values).await
            }
        };
        let ours = match sent {
            Ok(result) => was_applied(result)?,
            // It may have been applied: a serial read settles that.
            Err(_) => {
                let result = session.execute_unpaged(&self.settle, (&self.group, index)).await?;
                leases(result)?
                    .first()
                    .is_some_and(|row| row.term == term && row.holder == Some(self.runner))
            }
        };
        Ok(ours.then(|| Lease {
            table: Arc::clone(self),
            slice,
            slicing,
            term,
            fence: Fence::until(began + self.valid()),
            beat: Arc::new(AtomicI64::new(beat)),
        }))
    }

    fn valid(&self) -> Duration {
        self.ttl - self.ttl / MARGIN
    }
}

fn leases(
    result: scylla::response::query_result::QueryResult,
) -> Result<Vec<LeaseRow>, DatabaseError> {
    type Columns = (i32, i64, Option<Uuid>, i64, i64, i32);
    let rows = result.into_rows_result()?;
    let mut leases = Vec::with_capacity(rows.rows_num());
    for row in rows.rows::<Columns>()? {
        let (slice, term, holder, beat, ttl, slicing) = row?;
        let ttl = Duration::from_millis(ttl.max(0).unsigned_abs());
        leases.push(LeaseRow { slice, term, holder, beat, ttl, slicing });
    }
    Ok(leases)
}

impl Lease {
    /// Renews the lease again and again, until it is lost or this is dropped. Afterwards
    /// the fence is closed.
    pub(crate) async fn keep(&self) {
        let renewing = async {
            loop {
                tokio::time::sleep(self.table.ttl / RENEWALS).await;
                let began = Instant::now();
                match self.renew().await {
                    Ok(true) => self.fence.extend(began + self.table.valid()),
                    Ok(false) => return,
                    Err(error) => tracing::warn!(
                        group = %self.table.group, slice = %self.slice, %error,
                        "a lease is not renewed yet"
                    ),
                }
            }
        };
        tokio::select! {
            () = renewing => self.fence.lose(),
            () = self.fence.watch() => {}
        }
    }

    async fn renew(&self) -> Result<bool, DatabaseError> {
        let beat = self.beat.fetch_add(1, Ordering::Relaxed) + 1;
        self.change(&self.table.renew, beat).await
    }

    /// Gives the lease back, so that another runner need not wait for it to lapse. Tries for
    /// as long as the lease is valid; the last try's error.
    pub(crate) async fn release(&self) -> Result<(), DatabaseError> {
        let mut backoff = Backoff::new(Duration::from_millis(10), Duration::from_millis(500));
        loop {
            let beat = self.beat.fetch_add(1, Ordering::Relaxed) + 1;
            match self.change(&self.table.release, beat).await {
                Ok(_) => {
                    self.fence.lose();
                    return Ok(());
                }
                Err(error) if !self.fence.is_valid() => return Err(error),
                Err(_) => backoff.wait().await,
            }
        }
    }

    async fn change(
        &self,
        statement: &PreparedStatement,
        beat: i64,
    ) -> Result<bool, DatabaseError> {
        let index = i32::from(self.slice.index());
        let values = (beat, &self.table.group, index, self.term, self.table.runner);
        was_applied(self.table.store.session().execute_unpaged(statement, values).await?)
    }
}

/// Since when things have looked as they do, by this process's clock: what does not change
/// for its time is gone.
#[derive(Debug)]
pub(crate) struct Watched<K, V> {
    seen: HashMap<K, (V, Instant)>,
}

impl<K: std::hash::Hash + Eq + Copy, V: PartialEq + Clone> Watched<K, V> {
    pub(crate) fn new() -> Self {
        Self { seen: HashMap::new() }
    }

    /// Things were seen like this at `now`. Those that are not there any more are forgotten.
    pub(crate) fn see(&mut self, things: impl Iterator<Item = (K, V)>, now: Instant) {
        let mut seen = HashMap::new();
        for (key, value) in things {
            let since = match self.seen.get(&key) {
                Some((before, since)) if *before == value => *since,
                _ => now,
            };
            seen.insert(key, (value, since));
        }
        self.seen = seen;
    }

    /// For how long it has looked like this.
    pub(crate) fn unchanged(&self, key: &K, now: Instant) -> Duration {
        self.seen.get(key).map_or(Duration::ZERO, |(_, since)| now.duration_since(*since))
    }
}

impl Watched<i32, (i64, i64)> {
    /// Takes in the leases as they were read at `now`.
    pub(crate) fn see_leases(&mut self, rows: &[LeaseRow], now: Instant) {
        self.see(rows.iter().map(|row| (row.slice, (row.term, row.beat))), now);
    }

    /// Whether a runner holds this lease, as far as one can tell.
    pub(crate) fn is_held(&self, row: &LeaseRow, now: Instant) -> bool {
        row.holder.is_some() && self.unchanged(&row.slice, now) < row.ttl
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_lapses_when_its_beat_has_stood_still_for_its_time() {
        let ttl = Duration::from_secs(6);
        let row =
            |beat| LeaseRow { slice: 0, term: 1, holder: Some(Uuid::nil()), beat, ttl, slicing: 0 };
        let (mut watched, start) = (Watched::new(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        watched.see_leases(&[row(1)], at(0));
        watched.see_leases(&[row(1)], at(5));
        assert!(watched.is_held(&row(1), at(5)));
        watched.see_leases(&[row(2)], at(6));
        watched.see_leases(&[row(2)], at(11));
        assert!(watched.is_held(&row(2), at(11)), "it was renewed");
        watched.see_leases(&[row(2)], at(12));
        assert!(!watched.is_held(&row(2), at(12)));
        assert!(!watched.is_held(&LeaseRow { holder: None, ..row(3) }, at(12)), "given back");
    }
}

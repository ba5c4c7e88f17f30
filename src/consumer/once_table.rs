//! `handled_once`: its statements.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use scylla::client::session::Session;
use scylla::serialize::row::SerializeRow;
use scylla::statement::Consistency;
use scylla::statement::prepared::PreparedStatement;
use scylla::value::CqlTimestamp;
use uuid::Uuid;

use crate::ids::{AggregateId, EventId};
use crate::store::{DatabaseError, EventStore, prepare_conditional, was_applied};
use crate::time::now_micros;

/// `max_ttl` of ScyllaDB and Cassandra, 20 years in seconds:
/// <https://docs.scylladb.com/manual/stable/cql/time-to-live.html>.
const MAX_TTL: u64 = 20 * 365 * 86_400;

/// An event's place. The parts that an upcaster splits an event into share its sequence
/// number, and have ids of their own.
pub(crate) type Place = (AggregateId, i64, EventId);

/// A claim as it is stored.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Claim {
    pub(crate) claim: Uuid,
    pub(crate) since: SystemTime,
    pub(crate) done: bool,
}

/// The rows of one group.
pub(crate) struct OnceTable {
    session: Arc<Session>,
    group: String,
    ttl: i32,
    claim: PreparedStatement,
    take_over: PreparedStatement,
    confirm: PreparedStatement,
    release: PreparedStatement,
    read: PreparedStatement,
}

impl OnceTable {
    pub(crate) async fn prepare(store: &EventStore, group: String) -> Result<Self, DatabaseError> {
        let (session, keyspace) = (store.session(), store.keyspace());
        // Repeated by rules of its own: what was not answered is looked at first.
        let prepare = async |cql: String| prepare_conditional(session, cql, None).await;
        let row = "WHERE group_name = ? AND aggregate_id = ? AND sequence_number = ? \
                   AND event_id = ?";
        let read = format!("SELECT claim, claimed_at, done_at FROM {keyspace}.handled_once {row}");
        let mut read = prepare(read).await?;
        read.set_consistency(Consistency::LocalSerial);
        Ok(Self {
            claim: prepare(format!(
                "INSERT INTO {keyspace}.handled_once \
                 (group_name, aggregate_id, sequence_number, event_id, claim, claimed_at) \
                 VALUES (?, ?, ?, ?, ?, ?) IF NOT EXISTS USING TTL ?"
            ))
            .await?,
            take_over: prepare(format!(
                "UPDATE {keyspace}.handled_once USING TTL ? SET claim = ?, claimed_at = ? \
                 {row} IF claim = ? AND done_at = null"
            ))
            .await?,
            confirm: prepare(format!(
                "UPDATE {keyspace}.handled_once USING TTL ? SET claim = ?, done_at = ? \
                 {row} IF claim = ?"
            ))
            .await?,
            release: prepare(format!("DELETE FROM {keyspace}.handled_once {row} IF claim = ?"))
                .await?,
            read,
            session: Arc::clone(session),
            group,
            ttl: 7 * 86_400,
        })
    }

    pub(crate) fn group(&self) -> &str {
        &self.group
    }

    pub(crate) fn set_ttl(&mut self, ttl: Duration) {
        self.ttl = ttl.as_secs().clamp(1, MAX_TTL) as i32;
    }

    /// The same for the same event, in every process.
    pub(crate) fn key(&self, (aggregate, sequence, event): Place) -> Uuid {
        let name = format!("messina/once/{}/{aggregate}/{sequence}/{event}", self.group);
        Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes())
    }

    /// Whether the claim was free.
    pub(crate) async fn claim(
        &self,
        (aggregate, sequence, event): Place,
        claim: Uuid,
    ) -> Result<bool, DatabaseError> {
        let values = (&self.group, aggregate.0, sequence, event.0, claim, now(), self.ttl);
        self.transact(&self.claim, values).await
    }

    /// Whether the claim was still the one that was found, and not confirmed.
    pub(crate) async fn take_over(
        &self,
        (aggregate, sequence, event): Place,
        found: Uuid,
        claim: Uuid,
    ) -> Result<bool, DatabaseError> {
        let values = (self.ttl, claim, now(), &self.group, aggregate.0, sequence, event.0, found);
        self.transact(&self.take_over, values).await
    }

    /// Nothing changes if the claim is another's by now.
    pub(crate) async fn confirm(
        &self,
        (aggregate, sequence, event): Place,
        claim: Uuid,
    ) -> Result<(), DatabaseError> {
        let values = (self.ttl, claim, now(), &self.group, aggregate.0, sequence, event.0, claim);
        self.transact(&self.confirm, values).await.map(drop)
    }

    /// Nothing changes if the claim is another's by now.
    pub(crate) async fn release(
        &self,
        (aggregate, sequence, event): Place,
        claim: Uuid,
    ) -> Result<(), DatabaseError> {
        let values = (&self.group, aggregate.0, sequence, event.0, claim);
        self.transact(&self.release, values).await.map(drop)
    }

    pub(crate) async fn read(
        &self,
        (aggregate, sequence, event): Place,
    ) -> Result<Option<Claim>, DatabaseError> {
        let values = (&self.group, aggregate.0, sequence, event.0);
        let row = self
            .session
            .execute_unpaged(&self.read, values)
            .await?
            .into_rows_result()?
            .maybe_first_row::<(Option<Uuid>, Option<CqlTimestamp>, Option<CqlTimestamp>)>()?;
        Ok(row.and_then(|(claim, claimed_at, done_at)| {
            let since = claimed_at.map_or(0, |at| at.0.max(0).unsigned_abs());
            Some(Claim {
                claim: claim?,
                since: UNIX_EPOCH + Duration::from_millis(since),
                done: done_at.is_some(),
            })
        }))
    }

    /// Whether the transaction was applied.
    async fn transact(
        &self,
        statement: &PreparedStatement,
        values: impl SerializeRow,
    ) -> Result<bool, DatabaseError> {
        was_applied(self.session.execute_unpaged(statement, values).await?)
    }
}

fn now() -> CqlTimestamp {
    CqlTimestamp(now_micros() / 1000)
}

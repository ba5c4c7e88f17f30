//! The statements on `dead_letters`.

use std::ops::ControlFlow;
use std::time::Duration;

use scylla::client::session::Session;
use scylla::response::PagingState;
use scylla::statement::prepared::PreparedStatement;
use uuid::Uuid;

use super::error::{DeadLetterError, failed};
use super::letter::{DeadLetter, Failure};
use super::parked::Parked;
use super::rows::{BUCKETS, COLUMNS, InsertRow, LetterRow, bucket_of};
use crate::consumer::slice::Slice;
use crate::event::EventEnvelope;
use crate::ids::AggregateId;
use crate::store::{DatabaseError, EventStore, prepare_repeatable};

/// One group's letters.
#[derive(Debug, Clone)]
pub(crate) struct LetterTable {
    pub(super) store: EventStore,
    pub(super) group: String,
    insert: PreparedStatement,
    delete: PreparedStatement,
    letters: PreparedStatement,
    page: PreparedStatement,
    page_after: PreparedStatement,
    keys: PreparedStatement,
    keys_of: PreparedStatement,
}

/// Which letter, and whether it parks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LetterKey {
    pub(crate) aggregate_id: AggregateId,
    pub(crate) sequence_number: i64,
    pub(crate) parks: bool,
}

/// Of each of the statements here.
const TIMEOUT: Duration = Duration::from_secs(5);

pub(super) async fn prepare(
    session: &Session,
    cql: String,
) -> Result<PreparedStatement, DatabaseError> {
    prepare_repeatable(session, cql, Some(TIMEOUT)).await
}

impl LetterTable {
    pub(crate) async fn prepare(store: EventStore, group: &str) -> Result<Self, DatabaseError> {
        let table = format!("{}.dead_letters", store.keyspace());
        let partition = "WHERE group_name = ? AND bucket = ?";
        let session = store.session();
        let insert = format!(
            "INSERT INTO {table} (group_name, bucket, {COLUMNS}) VALUES \
             (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        );
        let delete =
            format!("DELETE FROM {table} {partition} AND aggregate_id = ? AND sequence_number = ?");
        let letters = format!(
            "SELECT {COLUMNS} FROM {table} {partition} AND aggregate_id = ? \
             AND sequence_number >= ? AND sequence_number <= ? LIMIT ?"
        );
        let page = format!("SELECT {COLUMNS} FROM {table} {partition} LIMIT ?");
        let page_after = format!(
            "SELECT {COLUMNS} FROM {table} {partition} \
             AND (aggregate_id, sequence_number) > (?, ?) LIMIT ?"
        );
        let keys = format!("SELECT aggregate_id, sequence_number, parks FROM {table} {partition}");
        let keys_of = format!("{keys} AND aggregate_id = ?");
        Ok(Self {
            insert: prepare(session, insert).await?,
            delete: prepare(session, delete).await?,
            letters: prepare(session, letters).await?,
            page: prepare(session, page).await?,
            page_after: prepare(session, page_after).await?,
            keys: prepare(session, keys).await?,
            keys_of: prepare(session, keys_of).await?,
            group: group.to_owned(),
            store,
        })
    }

    /// Stores the letter of an event that failed; what it says of earlier failures stays.
    pub(crate) async fn put_failed(
        &self,
        event: &EventEnvelope,
        parks: bool,
        failure: &Failure,
    ) -> Result<(), DeadLetterError> {
        let number = event.sequence_number;
        let earlier = self.letters(event.aggregate_id, number, number, 1).await?;
        match earlier.first() {
            Some(earlier) => {
                let failure = failure.clone().after(earlier);
                self.put(event, parks || earlier.parks, Some(&failure)).await
            }
            None => self.put(event, parks, Some(failure)).await,
        }
    }

    /// Stores the letter of an event that waits. If it has one that failed, that stays.
    pub(crate) async fn put_behind(&self, event: &EventEnvelope) -> Result<(), DeadLetterError> {
        self.put(event, true, None).await
    }

    async fn put(
        &self,
        event: &EventEnvelope,
        parks: bool,
        failure: Option<&Failure>,
    ) -> Result<(), DeadLetterError> {
        let row = InsertRow::new(&self.group, event, parks, failure)?;
        let session = self.store.session();
        session.execute_unpaged(&self.insert, row).await.map_err(failed("storing a letter"))?;
        Ok(())
    }

    pub(crate) async fn delete(
        &self,
        id: AggregateId,
        sequence_number: i64,
    ) -> Result<(), DeadLetterError> {
        let values = (&self.group, bucket_of(id), id.0, sequence_number);
        let session = self.store.session();
        session.execute_unpaged(&self.delete, values).await.map_err(failed("deleting a letter"))?;
        Ok(())
    }

    /// The aggregate's letters with sequence numbers in `[from, to]`, in order, at most
    /// `limit`.
    pub(crate) async fn letters(
        &self,
        id: AggregateId,
        from: i64,
        to: i64,
        limit: i32,
    ) -> Result<Vec<DeadLetter>, DeadLetterError> {
        let values = (&self.group, bucket_of(id), id.0, from, to, limit);
        let result = self.store.session().execute_unpaged(&self.letters, values).await;
        self.read(result.map_err(failed(READING))?)
    }

    /// Letters of a bucket after this place, at most `limit`.
    pub(super) async fn bucket_page(
        &self,
        bucket: i32,
        after: Option<(AggregateId, i64)>,
        limit: i32,
    ) -> Result<Vec<DeadLetter>, DeadLetterError> {
        let session = self.store.session();
        let result = match after {
            None => session.execute_unpaged(&self.page, (&self.group, bucket, limit)).await,
            Some((id, number)) => {
                let values = (&self.group, bucket, id.0, number, limit);
                session.execute_unpaged(&self.page_after, values).await
            }
        };
        self.read(result.map_err(failed(READING))?)
    }

    fn read(
        &self,
        result: scylla::response::query_result::QueryResult,
    ) -> Result<Vec<DeadLetter>, DeadLetterError> {
        let rows = result.into_rows_result().map_err(failed(READING))?;
        let mut letters = Vec::with_capacity(rows.rows_num());
        for row in rows.rows::<LetterRow>().map_err(failed(READING))? {
            letters.push(row.map_err(failed(READING))?.letter(&self.group)?);
        }
        Ok(letters)
    }

    /// The first letter behind which the aggregate's later events wait.
    pub(crate) async fn first_parking(
        &self,
        id: AggregateId,
    ) -> Result<Option<i64>, DeadLetterError> {
        let values = (&self.group, bucket_of(id), id.0);
        let mut first = None;
        self.each_key(&self.keys_of, values, |key| {
            if key.parks {
                first = Some(key.sequence_number);
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        })
        .await?;
        Ok(first)
    }

    /// Gives the key of each letter of a bucket to `take`, in order, until that has enough.
    pub(super) async fn keys_of_bucket(
        &self,
        bucket: i32,
        take: impl FnMut(LetterKey) -> ControlFlow<()>,
    ) -> Result<(), DeadLetterError> {
        self.each_key(&self.keys, (&self.group, bucket), take).await
    }

    /// The parked aggregates of a slice; no more than one above `limit` are taken in.
    pub(crate) async fn parked(
        &self,
        slice: Slice,
        limit: usize,
    ) -> Result<Parked, DeadLetterError> {
        let parked = Parked::default();
        for bucket in 0..BUCKETS {
            self.keys_of_bucket(bucket, |key| {
                if key.parks && slice.contains(key.aggregate_id) {
                    parked.park(key.aggregate_id, key.sequence_number);
                }
                if parked.count() > limit {
                    return ControlFlow::Break(());
                }
                ControlFlow::Continue(())
            })
            .await?;
        }
        Ok(parked)
    }

    async fn each_key(
        &self,
        statement: &PreparedStatement,
        values: impl scylla::serialize::row::SerializeRow + Clone,
        mut take: impl FnMut(LetterKey) -> ControlFlow<()>,
    ) -> Result<(), DeadLetterError> {
        let mut state = PagingState::start();
        loop {
            let session = self.store.session();
            let (result, paging) = session
                .execute_single_page(statement, values.clone(), state)
                .await
                .map_err(failed(READING))?;
            let rows = result.into_rows_result().map_err(failed(READING))?;
            for row in rows.rows::<(Uuid, i64, Option<bool>)>().map_err(failed(READING))? {
                let (id, sequence_number, parks) = row.map_err(failed(READING))?;
                let aggregate_id = AggregateId(id);
                let parks = parks.unwrap_or(true);
                if take(LetterKey { aggregate_id, sequence_number, parks }).is_break() {
                    return Ok(());
                }
            }
            match paging.into_paging_control_flow() {
                ControlFlow::Break(()) => return Ok(()),
                ControlFlow::Continue(next) => state = next,
            }
        }
    }
}

const READING: &str = "reading dead letters";

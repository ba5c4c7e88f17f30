//! Reading the log directly: the rows of many streams from a moment on, in one query.

use std::sync::Arc;
use std::time::Duration;

use scylla::DeserializeRow;
use scylla::client::session::Session;
use scylla::response::query_result::QueryRowsResult;
use scylla::response::{PagingState, PagingStateResponse};
use scylla::statement::Consistency;
use scylla::statement::prepared::PreparedStatement;
use scylla::value::{CqlTimestamp, CqlTimeuuid};
use uuid::Uuid;

use crate::consumer::log_row::{LogEvent, time_of};
use crate::consumer::progress::{Millis, StreamId};
use crate::event::{EventEnvelope, Payload};
use crate::ids::{AggregateId, CausationId, CommitId, CorrelationId, EventId};
use crate::store::{DatabaseError, EventStore, parse_metadata};

/// How many streams one query may name. A server allows 100 keys in an `IN` by default
/// (`max_partition_key_restrictions_per_query`).
pub(crate) const STREAMS_PER_QUERY: usize = 100;

/// Rows in a page, some 5 MB of them.
const PAGE: i32 = 5000;

/// How long one query may take before it counts as lost.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The query of the log, prepared.
#[derive(Debug, Clone)]
pub(crate) struct LogQuery {
    session: Arc<Session>,
    statement: PreparedStatement,
}

/// A page of the log.
pub(crate) struct LogPage {
    rows: QueryRowsResult,
    /// Where the next page begins; `None`: this was the last.
    pub(crate) next: Option<PagingState>,
}

impl LogQuery {
    pub(crate) async fn prepare(store: &EventStore) -> Result<Self, DatabaseError> {
        // Only what an event needs. The newest rows are what is asked for again and again,
        // so the cache is not bypassed as a reader of old rows would.
        let mut statement = store
            .session()
            .prepare(format!(
                "SELECT \"cdc$stream_id\" AS stream, \"cdc$time\" AS time, \
                 \"cdc$batch_seq_no\" AS number, \"cdc$operation\" AS operation, aggregate_id, \
                 sequence_number, aggregate_type, event_id, event_type, event_version, payload, \
                 metadata, correlation_id, causation_id, commit_id, committed_at, \
                 previous_committed_at, state_before, state_after, created_at \
                 FROM {}.outbox_messages_scylla_cdc_log \
                 WHERE \"cdc$stream_id\" IN ? AND \"cdc$time\" >= minTimeuuid(?) \
                 AND \"cdc$time\" < minTimeuuid(?)",
                store.keyspace()
            ))
            .await?;
        statement.set_consistency(Consistency::LocalQuorum);
        statement.set_is_idempotent(true);
        statement.set_use_cached_result_metadata(true);
        statement.set_page_size(PAGE);
        statement.set_request_timeout(Some(TIMEOUT));
        Ok(Self { session: Arc::clone(store.session()), statement })
    }

    /// A page of what these streams show from `from` on and before `until`, stream by
    /// stream, each in the order of its log.
    pub(crate) async fn page(
        &self,
        streams: &[Vec<u8>],
        from: Millis,
        until: Millis,
        state: PagingState,
    ) -> Result<LogPage, DatabaseError> {
        let values = (streams, CqlTimestamp(from), CqlTimestamp(until));
        let (result, paging) =
            self.session.execute_single_page(&self.statement, values, state).await?;
        let next = match paging {
            PagingStateResponse::HasMorePages { state } => Some(state),
            PagingStateResponse::NoMorePages => None,
        };
        Ok(LogPage { rows: result.into_rows_result()?, next })
    }
}

impl LogPage {
    /// The rows, borrowed from the page.
    pub(crate) fn rows(
        &self,
    ) -> Result<impl Iterator<Item = Result<LogRow<'_>, DatabaseError>>, DatabaseError> {
        Ok(self.rows.rows::<LogRow<'_>>()?.map(|row| row.map_err(DatabaseError::from)))
    }
}

/// Identity of a log row.
pub(crate) type RowId = (Uuid, i32);

/// A row of the log, not looked at further than needed.
#[derive(DeserializeRow)]
pub(crate) struct LogRow<'p> {
    stream: &'p [u8],
    time: CqlTimeuuid,
    number: i32,
    operation: Option<i8>,
    aggregate_id: Option<Uuid>,
    sequence_number: Option<i64>,
    aggregate_type: Option<&'p str>,
    event_id: Option<Uuid>,
    event_type: Option<&'p str>,
    event_version: Option<i32>,
    payload: Option<&'p str>,
    metadata: Option<&'p str>,
    correlation_id: Option<Uuid>,
    causation_id: Option<Uuid>,
    commit_id: Option<Uuid>,
    committed_at: Option<i64>,
    previous_committed_at: Option<i64>,
    state_before: Option<&'p str>,
    state_after: Option<&'p str>,
    created_at: Option<CqlTimestamp>,
}

impl LogRow<'_> {
    pub(crate) fn id(&self) -> RowId {
        (Uuid::from_bytes(*self.time.as_bytes()), self.number)
    }

    /// The row's event; `None` for what is none. Names and types are shared with the event
    /// before it where they are the same.
    pub(crate) fn event(self, before: Option<&LogEvent>) -> Result<Option<LogEvent>, String> {
        // `cdc$operation`: 1 is an update of a row, 2 an insert.
        if !matches!(self.operation, Some(1 | 2)) {
            return Ok(None);
        }
        let id: [u8; 16] = self
            .stream
            .try_into()
            .map_err(|_| format!("a stream id is {} bytes long, not 16", self.stream.len()))?;
        let uuid = Uuid::from_bytes(*self.time.as_bytes());
        let time = time_of(uuid).ok_or_else(|| format!("cdc$time {uuid} has no time"))?;
        let missing = |column: &str| format!("{column} is null");
        let shared = |text: &str, of: fn(&EventEnvelope) -> &Arc<str>| match before {
            Some(before) if **of(&before.event) == *text => Arc::clone(of(&before.event)),
            _ => text.into(),
        };
        let aggregate_type = self.aggregate_type.ok_or_else(|| missing("aggregate_type"))?;
        let event_type = self.event_type.ok_or_else(|| missing("event_type"))?;
        let event = EventEnvelope {
            aggregate_id: AggregateId(self.aggregate_id.ok_or_else(|| missing("aggregate_id"))?),
            aggregate_type: shared(aggregate_type, |e| &e.aggregate_type),
            sequence_number: self.sequence_number.ok_or_else(|| missing("sequence_number"))?,
            event_id: EventId(self.event_id.ok_or_else(|| missing("event_id"))?),
            event_type: shared(event_type, |e| &e.event_type),
            event_version: self.event_version.ok_or_else(|| missing("event_version"))?,
            event: Payload::from_json_text(self.payload.ok_or_else(|| missing("payload"))?),
            metadata: parse_metadata(self.metadata)?,
            correlation_id: self.correlation_id.map(CorrelationId),
            causation_id: self.causation_id.map(CausationId),
            commit_id: CommitId(self.commit_id.ok_or_else(|| missing("commit_id"))?),
            committed_at: self.committed_at.ok_or_else(|| missing("committed_at"))?,
            previous_committed_at: self.previous_committed_at,
            state_before: self.state_before.map(Payload::from_json_text),
            state_after: self.state_after.map(Payload::from_json_text),
            created_at: self.created_at.ok_or_else(|| missing("created_at"))?.0,
        };
        Ok(Some(LogEvent { event, stream: StreamId::from_be_bytes(id), time }))
    }
}

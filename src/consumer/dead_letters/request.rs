//! Requests to retry or discard letters: posted by operators, carried out by the runner of
//! the aggregate's slice, in the aggregate's lane.

use scylla::statement::prepared::PreparedStatement;
use scylla::value::CqlTimestamp;
use uuid::Uuid;

use super::error::{DeadLetterError, failed};
use super::letter::RequestId;
use super::table::prepare;
use crate::ids::AggregateId;
use crate::store::{DatabaseError, EventStore};
use crate::time::now_micros;

/// What is to be done with letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Retry,
    Discard,
}

impl Action {
    fn name(self) -> &'static str {
        match self {
            Action::Retry => "retry",
            Action::Discard => "discard",
        }
    }
}

/// A request for the letters of an aggregate with sequence numbers in `[first, last]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) id: RequestId,
    pub(crate) aggregate_id: AggregateId,
    pub(crate) action: Action,
    pub(crate) first: i64,
    pub(crate) last: i64,
}

/// One group's requests.
#[derive(Debug, Clone)]
pub(crate) struct Requests {
    store: EventStore,
    group: String,
    post: PreparedStatement,
    announce: PreparedStatement,
    announced: PreparedStatement,
    open: PreparedStatement,
    one: PreparedStatement,
    finish: PreparedStatement,
}

type Row = (Uuid, Option<Uuid>, Option<String>, Option<i64>, Option<i64>);

impl Requests {
    pub(crate) async fn prepare(store: EventStore, group: &str) -> Result<Self, DatabaseError> {
        let keyspace = store.keyspace();
        let (table, groups) =
            (format!("{keyspace}.dead_letter_requests"), format!("{keyspace}.consumer_groups"));
        let session = store.session();
        let one = "WHERE group_name = ? AND request_id = ?";
        Ok(Self {
            post: prepare(
                session,
                format!(
                    "INSERT INTO {table} (group_name, request_id, aggregate_id, action, \
                     first_sequence_number, last_sequence_number, requested_at) \
                     VALUES (?, ?, ?, ?, ?, ?, ?)"
                ),
            )
            .await?,
            announce: prepare(
                session,
                format!("UPDATE {groups} SET letter_request = ? WHERE group_name = ?"),
            )
            .await?,
            announced: prepare(
                session,
                format!("SELECT letter_request FROM {groups} WHERE group_name = ?"),
            )
            .await?,
            open: prepare(
                session,
                format!(
                    "SELECT request_id, aggregate_id, action, first_sequence_number, \
                     last_sequence_number FROM {table} WHERE group_name = ?"
                ),
            )
            .await?,
            one: prepare(session, format!("SELECT request_id FROM {table} {one}")).await?,
            finish: prepare(session, format!("DELETE FROM {table} {one}")).await?,
            group: group.to_owned(),
            store,
        })
    }

    /// Posts a request; [`Requests::announce`] then makes the runners look.
    pub(super) async fn post(
        &self,
        id: AggregateId,
        action: Action,
        first: i64,
        last: i64,
    ) -> Result<RequestId, DeadLetterError> {
        let request = Uuid::now_v7();
        let now = CqlTimestamp(now_micros() / 1000);
        let values = (&self.group, request, id.0, action.name(), first, last, now);
        let result = self.store.session().execute_unpaged(&self.post, values).await;
        result.map_err(failed("posting a request"))?;
        Ok(RequestId(request))
    }

    /// Makes the runners look for requests.
    pub(super) async fn announce(&self) -> Result<(), DeadLetterError> {
        let values = (Uuid::now_v7(), &self.group);
        let result = self.store.session().execute_unpaged(&self.announce, values).await;
        result.map_err(failed("posting a request"))?;
        Ok(())
    }

    /// Changes whenever a request has been posted.
    pub(crate) async fn announced(&self) -> Result<Option<Uuid>, DeadLetterError> {
        const READING: &str = "looking for requests";
        let result = self.store.session().execute_unpaged(&self.announced, (&self.group,)).await;
        let rows = result.map_err(failed(READING))?.into_rows_result().map_err(failed(READING))?;
        let row = rows.maybe_first_row::<(Option<Uuid>,)>().map_err(failed(READING))?;
        Ok(row.and_then(|(announced,)| announced))
    }

    /// Requests that have not been carried out, oldest first. One that makes no sense (an
    /// operator wrote it by hand) is dropped with a warning.
    pub(crate) async fn open(&self) -> Result<Vec<Request>, DeadLetterError> {
        const READING: &str = "reading requests";
        let result = self.store.session().execute_unpaged(&self.open, (&self.group,)).await;
        let rows = result.map_err(failed(READING))?.into_rows_result().map_err(failed(READING))?;
        let mut requests = Vec::with_capacity(rows.rows_num());
        let mut senseless = Vec::new();
        for row in rows.rows::<Row>().map_err(failed(READING))? {
            let row = row.map_err(failed(READING))?;
            let id = RequestId(row.0);
            match request_of(row) {
                Some(request) => requests.push(request),
                None => senseless.push(id),
            }
        }
        for id in senseless {
            tracing::warn!(group = %self.group, request = %id, "a request makes no sense");
            self.finish(id).await?;
        }
        requests.sort_by_key(|request| request.id);
        Ok(requests)
    }

    /// Whether the request has not been carried out.
    pub(super) async fn is_open(&self, id: RequestId) -> Result<bool, DeadLetterError> {
        const READING: &str = "looking for a request";
        let result = self.store.session().execute_unpaged(&self.one, (&self.group, id.0)).await;
        let rows = result.map_err(failed(READING))?.into_rows_result().map_err(failed(READING))?;
        Ok(rows.rows_num() > 0)
    }

    /// The request has been carried out.
    pub(crate) async fn finish(&self, id: RequestId) -> Result<(), DeadLetterError> {
        let result = self.store.session().execute_unpaged(&self.finish, (&self.group, id.0)).await;
        result.map_err(failed("finishing a request"))?;
        Ok(())
    }
}

fn request_of((id, aggregate, action, first, last): Row) -> Option<Request> {
    let action = match action?.as_str() {
        "retry" => Action::Retry,
        "discard" => Action::Discard,
        _ => return None,
    };
    Some(Request {
        id: RequestId(id),
        aggregate_id: AggregateId(aggregate?),
        action,
        first: first?,
        last: last?,
    })
}

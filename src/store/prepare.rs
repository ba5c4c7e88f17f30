//! How statements around the store are prepared: those that may be repeated, and lightweight
//! transactions.

use std::sync::Arc;
use std::time::Duration;

use scylla::client::session::Session;
use scylla::policies::retry::FallthroughRetryPolicy;
use scylla::response::query_result::QueryResult;
use scylla::statement::prepared::PreparedStatement;
use scylla::statement::{Consistency, SerialConsistency};
use scylla::value::Row;

use super::DatabaseError;

/// Prepares a statement that may be sent again, because it reads, or writes or deletes the
/// same again; at LOCAL_QUORUM. `timeout`: of each execution; the session's unless given.
pub(crate) async fn prepare_repeatable(
    session: &Session,
    cql: String,
    timeout: Option<Duration>,
) -> Result<PreparedStatement, DatabaseError> {
    let mut statement = prepare(session, cql, timeout).await?;
    statement.set_is_idempotent(true);
    Ok(statement)
}

/// Prepares a lightweight transaction; who sends it decides on repeats.
pub(crate) async fn prepare_conditional(
    session: &Session,
    cql: String,
    timeout: Option<Duration>,
) -> Result<PreparedStatement, DatabaseError> {
    let mut statement = prepare(session, cql, timeout).await?;
    statement.set_serial_consistency(Some(SerialConsistency::LocalSerial));
    statement.set_retry_policy(Some(Arc::new(FallthroughRetryPolicy)));
    Ok(statement)
}

async fn prepare(
    session: &Session,
    cql: String,
    timeout: Option<Duration>,
) -> Result<PreparedStatement, DatabaseError> {
    let mut statement = session.prepare(cql).await?;
    statement.set_consistency(Consistency::LocalQuorum);
    if timeout.is_some() {
        statement.set_request_timeout(timeout);
    }
    Ok(statement)
}

/// Whether a lightweight transaction was applied: the first column of its answer. The others,
/// if there are any, depend on what was found.
pub(crate) fn was_applied(result: QueryResult) -> Result<bool, DatabaseError> {
    let rows = result.into_rows_result()?;
    let first = rows.maybe_first_row::<Row>()?;
    let column = first.and_then(|row| row.columns.into_iter().next().flatten());
    column
        .and_then(|value| value.as_boolean())
        .ok_or_else(|| DatabaseError::Answer("no [applied] in a transaction's answer".to_owned()))
}

//! The second step of an append: what was reserved is written in one logged batch.

use std::sync::Arc;
use std::time::Duration;

use scylla::errors::{DbError, ExecutionError, RequestAttemptError};
use scylla::statement::Consistency;
use scylla::statement::batch::{Batch, BatchType};
use tokio::time::Instant;

use super::commit::Commit;
use super::rows::{batch_rows, outcome_row};
use crate::ids::{AggregateId, CommitId};
use crate::store::{Backoff, DatabaseError, EventStore, StoreError, is_transient};
use crate::telemetry;
use crate::time::now_micros;

/// What of a commit is to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// All of it.
    All,
    /// The answer to the command; the events are there.
    Outcome,
}

impl EventStore {
    /// Writes a commit, repeated until it is acknowledged; returns the write timestamp. Each
    /// attempt has a timestamp of its own, taken right before it is sent: an old one would
    /// land in a part of the CDC log that consumers have read, or be refused.
    pub(super) async fn apply(
        &self,
        commit: &Commit,
        part: Part,
        last_write_time: i64,
        deadline: Instant,
    ) -> Result<i64, StoreError> {
        let rows = match part {
            Part::All => batch_rows(commit),
            Part::Outcome => outcome_row(commit).into_iter().collect(),
        };
        let statements = &self.inner.statements;
        let of_rows = rows.iter().map(|row| row.statement(statements).clone().into()).collect();
        let mut batch = Batch::new_with_statements(BatchType::Logged, of_rows);
        batch.set_consistency(Consistency::LocalQuorum);
        batch.set_request_timeout(Some(self.inner.settings.request_timeout));
        batch.set_retry_policy(Some(Arc::clone(&statements.no_retry)));
        let mut backoff = Backoff::new(Duration::from_millis(20), Duration::from_millis(500));
        loop {
            let write_time = now_micros().max(last_write_time + 1);
            batch.set_timestamp(Some(write_time));
            let error = match self.inner.session.batch(&batch, &rows).await {
                Ok(_) => return Ok(write_time),
                Err(error) => DatabaseError::from(error),
            };
            let (aggregate_id, commit_id) =
                (AggregateId(commit.aggregate_id), CommitId(commit.commit_id));
            let refusal = refused_time(&error);
            if refusal == Some(RefusedTime::Future) {
                return Err(StoreError::ClockSkew { aggregate_id, commit_id, source: error });
            }
            if !(is_transient(&error) || refusal.is_some()) || Instant::now() >= deadline {
                return Err(StoreError::Indeterminate { aggregate_id, commit_id, source: error });
            }
            tracing::debug!(%commit_id, %error, "repeating the batch");
            metrics::counter!(telemetry::APPEND_REPEATS, "step" => "apply").increment(1);
            backoff.wait().await;
        }
    }
}

/// Why the server does not take a write timestamp for a table with CDC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RefusedTime {
    /// It is more than 5 s ahead of the server's clock.
    Future,
    /// It is before the current generation of streams: a generation has just begun, and a
    /// later timestamp will do.
    Past,
}

/// Nothing but the message tells these refusals from others (code 0x2200).
/// Source: ScyllaDB, `cdc/metadata.cc`, `cdc::metadata::get_stream`.
fn refused_time(error: &DatabaseError) -> Option<RefusedTime> {
    let DatabaseError::Execution(error) = error else { return None };
    let ExecutionError::LastAttemptError(RequestAttemptError::DbError(DbError::Invalid, message)) =
        &**error
    else {
        return None;
    };
    if message.contains("cdc: attempted to get a stream \"from the future\"") {
        return Some(RefusedTime::Future);
    }
    message
        .contains("cdc: attempted to get a stream from an earlier generation")
        .then_some(RefusedTime::Past)
}

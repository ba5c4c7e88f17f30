//! The statements of the write side, prepared once.

use std::sync::Arc;
use std::time::Duration;

use scylla::client::session::Session;
use scylla::policies::retry::{FallthroughRetryPolicy, RetryPolicy};
use scylla::statement::prepared::PreparedStatement;
use scylla::statement::{Consistency, SerialConsistency};

use crate::store::DatabaseError;

const EVENT_COLUMNS: &str = "aggregate_id, sequence_number, aggregate_type, event_id, event_type, \
    event_version, event_data, metadata, correlation_id, causation_id, commit_id, committed_at, \
    created_at, writetime(event_type) AS write_time";

/// Prepared statements.
pub(super) struct Statements {
    /// The protocol repeats by its own rules: with a new timestamp, or after a look.
    pub(super) no_retry: Arc<dyn RetryPolicy>,
    pub(super) reserve: PreparedStatement,
    pub(super) read_head: PreparedStatement,
    pub(super) insert_event: PreparedStatement,
    pub(super) insert_outbox: PreparedStatement,
    pub(super) insert_outcome: PreparedStatement,
    pub(super) read_outcomes: PreparedStatement,
    pub(super) read_snapshot: PreparedStatement,
    pub(super) write_snapshot: PreparedStatement,
    pub(super) load: PreparedStatement,
    pub(super) read_written: PreparedStatement,
    pub(super) outbox_written: PreparedStatement,
    pub(super) scan: PreparedStatement,
}

impl Statements {
    pub(super) async fn prepare(
        session: &Session,
        keyspace: &str,
        request_timeout: Duration,
    ) -> Result<Self, DatabaseError> {
        let no_retry: Arc<dyn RetryPolicy> = Arc::new(FallthroughRetryPolicy);
        let write = async |cql: String| {
            let mut statement = session.prepare(cql).await?;
            statement.set_consistency(Consistency::LocalQuorum);
            statement.set_serial_consistency(Some(SerialConsistency::LocalSerial));
            statement.set_request_timeout(Some(request_timeout));
            statement.set_retry_policy(Some(Arc::clone(&no_retry)));
            Ok::<_, DatabaseError>(statement)
        };
        let read = async |cql: String, consistency: Consistency| {
            let mut statement = session.prepare(cql).await?;
            statement.set_consistency(consistency);
            statement.set_request_timeout(Some(request_timeout));
            statement.set_is_idempotent(true);
            statement.set_use_cached_result_metadata(true);
            Ok::<_, DatabaseError>(statement)
        };
        let quorum = Consistency::LocalQuorum;
        Ok(Self {
            no_retry: Arc::clone(&no_retry),
            reserve: write(format!(
                "UPDATE {keyspace}.aggregate_heads SET sequence_number = ?, commit_id = ?, pending = ? \
                 WHERE aggregate_id = ? IF sequence_number = ? AND commit_id = ?"
            ))
            .await?,
            read_head: read(
                format!(
                    "SELECT sequence_number, commit_id, pending FROM {keyspace}.aggregate_heads \
                     WHERE aggregate_id = ?"
                ),
                Consistency::LocalSerial,
            )
            .await?,
            insert_event: write(format!(
                "INSERT INTO {keyspace}.event_store (aggregate_id, sequence_number, aggregate_type, \
                 event_id, event_type, event_version, event_data, metadata, correlation_id, \
                 causation_id, commit_id, committed_at, created_at) \
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
            ))
            .await?,
            insert_outbox: write(format!(
                "INSERT INTO {keyspace}.outbox_messages (aggregate_id, sequence_number, \
                 aggregate_type, event_id, event_type, event_version, payload, metadata, \
                 correlation_id, causation_id, commit_id, committed_at, previous_committed_at, \
                 state_before, state_after, created_at) \
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
            ))
            .await?,
            insert_outcome: write(format!(
                "INSERT INTO {keyspace}.command_outcomes (aggregate_id, command_id, \
                 idempotency_key, aggregate_type, fingerprint, version, events, response, impact, \
                 rejection, metadata, correlation_id, causation_id, created_at) \
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) USING TTL ?"
            ))
            .await?,
            read_outcomes: read(
                format!(
                    "SELECT command_id, idempotency_key, fingerprint, version, events, response, \
                     impact, rejection FROM {keyspace}.command_outcomes \
                     WHERE aggregate_id = ? AND command_id IN ?"
                ),
                quorum,
            )
            .await?,
            load: read(
                format!(
                    "SELECT {EVENT_COLUMNS} FROM {keyspace}.event_store \
                     WHERE aggregate_id = ? AND sequence_number > ? AND sequence_number <= ?"
                ),
                quorum,
            )
            .await?,
            read_snapshot: read(
                format!(
                    "SELECT aggregate_type, sequence_number, schema_version, state, \
                     last_committed_at, last_write_time, last_commit_id, created_at \
                     FROM {keyspace}.aggregate_snapshots WHERE aggregate_id = ?"
                ),
                quorum,
            )
            .await?,
            write_snapshot: write(format!(
                "INSERT INTO {keyspace}.aggregate_snapshots (aggregate_id, aggregate_type, \
                 sequence_number, schema_version, state, last_committed_at, last_write_time, \
                 last_commit_id, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
            ))
            .await?,
            read_written: read(
                format!(
                    "SELECT event_id, committed_at, writetime(event_type) FROM {keyspace}.event_store \
                     WHERE aggregate_id = ? AND sequence_number = ?"
                ),
                quorum,
            )
            .await?,
            outbox_written: read(
                format!(
                    "SELECT commit_id FROM {keyspace}.outbox_messages \
                     WHERE aggregate_id = ? AND sequence_number = ?"
                ),
                quorum,
            )
            .await?,
            scan: read(
                format!(
                    "SELECT {EVENT_COLUMNS} FROM {keyspace}.event_store \
                     WHERE token(aggregate_id) >= ? AND token(aggregate_id) <= ?"
                ),
                quorum,
            )
            .await?,
        })
    }
}

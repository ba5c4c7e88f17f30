//! The CDC log's generations and their streams.

use std::sync::Arc;

use scylla::client::session::Session;
use scylla::statement::Consistency;
use scylla::statement::unprepared::Statement;
use scylla::value::CqlTimestamp;

use crate::consumer::progress::{Millis, StreamId};
use crate::store::{DatabaseError, EventStore};

/// The table whose log groups follow.
const OUTBOX: &str = "outbox_messages";

/// Where a keyspace's log keeps the list of its streams.
///
/// ScyllaDB documents both places for readers of the log:
/// <https://docs.scylladb.com/manual/stable/features/cdc/cdc-querying-streams.html>.
#[derive(Debug, Clone)]
pub(crate) struct LogStreams {
    session: Arc<Session>,
    keyspace: String,
    table: String,
    /// The keyspace is on tablets: its tables have streams of their own.
    tablets: bool,
}

impl LogStreams {
    pub(crate) async fn of(store: &EventStore) -> Result<Self, DatabaseError> {
        Self::of_table(store.session(), store.keyspace(), OUTBOX).await
    }

    /// Of any table with a log.
    pub(crate) async fn of_table(
        session: &Arc<Session>,
        keyspace: &str,
        table: &str,
    ) -> Result<Self, DatabaseError> {
        let tablets = uses_tablets(session, keyspace).await?;
        let (session, keyspace) = (Arc::clone(session), keyspace.to_owned());
        Ok(Self { session, keyspace, table: table.to_owned(), tablets })
    }

    /// When each generation began or will begin, oldest first.
    pub(crate) async fn generations(&self) -> Result<Vec<Millis>, DatabaseError> {
        let result = if self.tablets {
            let mut statement = Statement::new(
                "SELECT timestamp FROM system.cdc_timestamps WHERE keyspace_name = ? AND table_name = ?",
            );
            statement.set_is_idempotent(true);
            self.session.query_unpaged(statement, (&self.keyspace, &self.table)).await?
        } else {
            let statement = self.distributed(
                "SELECT time FROM system_distributed.cdc_generation_timestamps \
                 WHERE key = 'timestamps'",
            );
            self.session.query_unpaged(statement, ()).await?
        };
        let rows = result.into_rows_result()?;
        let mut generations = Vec::with_capacity(rows.rows_num());
        for row in rows.rows::<(CqlTimestamp,)>()? {
            generations.push(row?.0.0);
        }
        generations.sort_unstable();
        Ok(generations)
    }

    /// The ids of a generation's streams.
    pub(crate) async fn streams(&self, generation: Millis) -> Result<Vec<Vec<u8>>, DatabaseError> {
        let generation = CqlTimestamp(generation);
        let mut streams = Vec::new();
        if self.tablets {
            // State 0: the whole set that is current from this time on; 1 and 2 are what was
            // closed and opened then.
            let mut statement = Statement::new(
                "SELECT stream_id FROM system.cdc_streams WHERE keyspace_name = ? \
                 AND table_name = ? AND timestamp = ? AND stream_state = 0",
            );
            statement.set_is_idempotent(true);
            let values = (&self.keyspace, &self.table, generation);
            let rows = self.session.query_unpaged(statement, values).await?.into_rows_result()?;
            for row in rows.rows::<(Vec<u8>,)>()? {
                streams.push(row?.0);
            }
        } else {
            let statement = self.distributed(
                "SELECT streams FROM system_distributed.cdc_streams_descriptions_v2 WHERE time = ?",
            );
            let result = self.session.query_unpaged(statement, (generation,)).await?;
            for row in result.into_rows_result()?.rows::<(Vec<Vec<u8>>,)>()? {
                streams.extend(row?.0);
            }
        }
        Ok(streams)
    }

    /// The first moment at or after `from` that the log can be read at. scylla-cdc, asked
    /// to begin before the oldest generation, begins with the newest and would skip those
    /// between.
    pub(crate) async fn first_readable(&self, from: Millis) -> Result<Millis, DatabaseError> {
        let oldest = self.generations().await?.first().copied();
        Ok(oldest.map_or(from, |oldest| from.max(oldest)))
    }

    /// `system_distributed` is replicated three times where there are three nodes; scylla-cdc
    /// reads it like this too.
    fn distributed(&self, cql: &str) -> Statement {
        let single_node = self.session.get_cluster_state().get_nodes_info().len() == 1;
        let mut statement = Statement::new(cql);
        statement.set_consistency(if single_node { Consistency::One } else { Consistency::Quorum });
        statement.set_is_idempotent(true);
        statement
    }
}

/// A stream's id as progress knows it.
pub(crate) fn stream_id(id: &[u8]) -> Result<StreamId, DatabaseError> {
    let id: [u8; 16] = id
        .try_into()
        .map_err(|_| DatabaseError::Answer(format!("a stream id of {} bytes", id.len())))?;
    Ok(StreamId::from_be_bytes(id))
}

async fn uses_tablets(session: &Session, keyspace: &str) -> Result<bool, DatabaseError> {
    // A server that does not know tablets has no such table or no such column.
    let mut known = Statement::new(
        "SELECT column_name FROM system_schema.columns WHERE keyspace_name = 'system_schema' \
         AND table_name = 'scylla_keyspaces' AND column_name = 'initial_tablets'",
    );
    known.set_is_idempotent(true);
    if session.query_unpaged(known, ()).await?.into_rows_result()?.rows_num() == 0 {
        return Ok(false);
    }
    let mut statement = Statement::new(
        "SELECT initial_tablets FROM system_schema.scylla_keyspaces WHERE keyspace_name = ?",
    );
    statement.set_is_idempotent(true);
    let rows = session.query_unpaged(statement, (keyspace,)).await?.into_rows_result()?;
    Ok(matches!(rows.maybe_first_row::<(Option<i32>,)>()?, Some((Some(_),))))
}

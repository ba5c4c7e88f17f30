//! Executes what projections collect.

use std::sync::Arc;

use parking_lot::RwLock;
use scylla::client::session::Session;
use scylla::serialize::value::SerializeValue;
use scylla::statement::Consistency;
use scylla::statement::batch::{Batch, BatchType};
use scylla::statement::prepared::PreparedStatement;

use crate::event::EventEnvelope;
use crate::projection::writes::{MAX_WRITES_PER_EVENT, Write, WriteKind, Writes};
use crate::projection::{Projection, ProjectionError};
use crate::store::{DatabaseError, EventStore};

/// Runs one projection's writes against one keyspace.
pub(crate) struct Executor {
    session: Arc<Session>,
    keyspace: String,
    projection: Arc<dyn Projection>,
    /// Statements by what they write: as many as the projection has kinds of writes, so a
    /// walk over them is faster than a hash of their names.
    prepared: RwLock<Vec<(Shape, PreparedStatement)>>,
}

/// Why an event was not executed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExecuteError {
    #[error(transparent)]
    Projection(#[from] ProjectionError),
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

/// What a statement writes, without the values.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Shape {
    table: &'static str,
    kind: WriteKind,
    keys: Vec<&'static str>,
    columns: Vec<&'static str>,
}

impl Shape {
    fn of(write: &Write) -> Self {
        Self {
            table: write.table,
            kind: write.kind,
            keys: write.keys.iter().map(|(name, _)| *name).collect(),
            columns: write.columns.iter().map(|(name, _)| *name).collect(),
        }
    }

    fn fits(&self, write: &Write) -> bool {
        self.table == write.table
            && self.kind == write.kind
            && self.keys.iter().eq(write.keys.iter().map(|(name, _)| name))
            && self.columns.iter().eq(write.columns.iter().map(|(name, _)| name))
    }

    /// Its text; values are bound as [`values`] orders them.
    fn cql(&self, keyspace: &str) -> String {
        let table = self.table;
        match self.kind {
            WriteKind::Put => {
                let names: Vec<&str> = self.keys.iter().chain(&self.columns).copied().collect();
                let markers = vec!["?"; names.len()].join(", ");
                format!(
                    "INSERT INTO {keyspace}.{table} ({}) VALUES ({markers}) USING TIMESTAMP ?",
                    names.join(", ")
                )
            }
            WriteKind::Delete => {
                let keys: Vec<String> =
                    self.keys.iter().map(|name| format!("{name} = ?")).collect();
                format!(
                    "DELETE FROM {keyspace}.{table} USING TIMESTAMP ? WHERE {}",
                    keys.join(" AND ")
                )
            }
        }
    }
}

type Values<'w> = Vec<&'w (dyn SerializeValue + Send + Sync)>;

fn values<'w>(write: &'w Write, timestamp: &'w i64) -> Values<'w> {
    let named = write.keys.iter().chain(&write.columns).map(|(_, value)| &**value as _);
    let timestamp: &(dyn SerializeValue + Send + Sync) = timestamp;
    match write.kind {
        WriteKind::Put => named.chain([timestamp]).collect(),
        WriteKind::Delete => [timestamp].into_iter().chain(named).collect(),
    }
}

impl Executor {
    pub(crate) fn new(store: &EventStore, projection: Arc<dyn Projection>) -> Self {
        Self {
            session: Arc::clone(store.session()),
            keyspace: store.keyspace().to_owned(),
            projection,
            prepared: RwLock::default(),
        }
    }

    pub(crate) fn projection(&self) -> &dyn Projection {
        &*self.projection
    }

    /// Whether the projection wants events of this type of aggregate.
    pub(crate) fn accepts(&self, aggregate_type: &str) -> bool {
        self.projection.aggregate_types().contains(&aggregate_type)
    }

    /// Executes what the projection makes of the event; how many writes that were.
    pub(crate) async fn execute(&self, event: &EventEnvelope) -> Result<usize, ExecuteError> {
        let mut writes = Writes::default();
        self.projection.handle_event(event, &mut writes)?;
        self.check(&writes)?;
        let timestamps: Vec<i64> = (event.committed_at..).take(writes.len()).collect();
        let pairs: Vec<_> = writes.list.iter().zip(&timestamps).collect();
        match pairs.as_slice() {
            [] => {}
            [(write, timestamp)] => {
                let statement = self.statement(write).await?;
                self.session
                    .execute_unpaged(&statement, values(write, timestamp))
                    .await
                    .map_err(DatabaseError::from)?;
            }
            _ => {
                // Unlogged: if it is cut short, the event comes again and completes it.
                let mut batch = Batch::new(BatchType::Unlogged);
                batch.set_consistency(Consistency::LocalQuorum);
                batch.set_is_idempotent(true);
                for (write, _) in &pairs {
                    batch.append_statement(self.statement(write).await?);
                }
                let rows: Vec<Values<'_>> =
                    pairs.iter().map(|(write, timestamp)| values(write, timestamp)).collect();
                self.session.batch(&batch, rows).await.map_err(DatabaseError::from)?;
            }
        }
        Ok(writes.len())
    }

    fn check(&self, writes: &Writes) -> Result<(), ProjectionError> {
        let name = self.projection.name();
        if writes.len() > MAX_WRITES_PER_EVENT {
            return Err(ProjectionError::Refused(format!(
                "projection {name} makes {} writes of one event, at most {MAX_WRITES_PER_EVENT} \
                 have a timestamp of their own",
                writes.len()
            )));
        }
        for write in &writes.list {
            if !self.projection.tables().contains(&write.table) {
                return Err(ProjectionError::Refused(format!(
                    "projection {name} writes to {}, which is not among its tables()",
                    write.table
                )));
            }
            if write.keys.is_empty() {
                return Err(ProjectionError::Refused(format!(
                    "projection {name} writes to {} without a key",
                    write.table
                )));
            }
        }
        Ok(())
    }

    async fn statement(&self, write: &Write) -> Result<PreparedStatement, DatabaseError> {
        let known = |list: &[(Shape, PreparedStatement)]| {
            list.iter().find(|(shape, _)| shape.fits(write)).map(|(_, s)| s.clone())
        };
        if let Some(statement) = known(&self.prepared.read()) {
            return Ok(statement);
        }
        let shape = Shape::of(write);
        let mut statement = self.session.prepare(shape.cql(&self.keyspace)).await?;
        statement.set_consistency(Consistency::LocalQuorum);
        statement.set_is_idempotent(true);
        let mut prepared = self.prepared.write();
        if known(&prepared).is_none() {
            prepared.push((shape, statement.clone()));
        }
        Ok(statement)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_carry_their_timestamp() {
        let mut writes = Writes::default();
        writes.put("orders").key("id", 1_i32).set("status", "new").set("total", 5_i64);
        writes.delete("by_status").key("status", "new").key("id", 1_i32);
        let shapes: Vec<String> =
            writes.list.iter().map(|write| Shape::of(write).cql("k")).collect();
        assert_eq!(
            shapes,
            [
                "INSERT INTO k.orders (id, status, total) VALUES (?, ?, ?) USING TIMESTAMP ?",
                "DELETE FROM k.by_status USING TIMESTAMP ? WHERE status = ? AND id = ?",
            ]
        );
        assert_eq!(values(&writes.list[0], &7).len(), 4);
        assert!(Shape::of(&writes.list[0]).fits(&writes.list[0]));
        assert!(!Shape::of(&writes.list[0]).fits(&writes.list[1]));
    }
}

//! Executes what projections collect, event by event.

use std::sync::Arc;

use scylla::statement::Consistency;
use scylla::statement::batch::{Batch, BatchType};

use crate::event::EventEnvelope;
use crate::projection::collect::collect;
use crate::projection::statements::{Values, WriteStatements, values};
use crate::projection::{Projection, ProjectionError};
use crate::read_model::{VersionCache, Versions};
use crate::store::{DatabaseError, EventStore, is_transient};

/// Runs one projection's writes against one keyspace.
pub(crate) struct Executor {
    store: EventStore,
    projection: Arc<dyn Projection>,
    targets: Targets,
    versions: VersionCache,
    statements: WriteStatements,
}

/// Which versions of the tables are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Targets {
    /// All that are to be kept up to date: the live group's.
    All,
    /// Those that no query reads: of who follows the log for a version being built.
    Unread,
}

impl Targets {
    fn of(self, versions: &Versions) -> Vec<i32> {
        let wanted = |v: &i32| self == Targets::All || *v != versions.current;
        versions.written().filter(wanted).collect()
    }
}

/// Why an event was not executed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExecuteError {
    #[error(transparent)]
    Projection(#[from] ProjectionError),
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// A version was dropped between the look at the versions and the write.
    #[error("the read model's versions have changed meanwhile")]
    Moved,
}

impl ExecuteError {
    /// Whether the same event may be executed a moment later.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            ExecuteError::Projection(_) => false,
            ExecuteError::Database(error) => is_transient(error),
            ExecuteError::Moved => true,
        }
    }
}

impl Executor {
    pub(crate) fn new(
        store: &EventStore,
        projection: Arc<dyn Projection>,
        targets: Targets,
    ) -> Self {
        Self {
            store: store.clone(),
            versions: VersionCache::new(store.clone(), projection.name()),
            projection,
            targets,
            statements: WriteStatements::new(store.clone()),
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
        let writes = collect(&*self.projection, self.store.upcasters(), event)?;
        if writes.is_empty() {
            return Ok(0);
        }
        // Looked at after the event has come: an event handled with an older view of the
        // versions is older than the change, and a rebuild that waited for the change to be
        // noticed finds it in event_store.
        let versions = self.versions.get().await?;
        let error = match self.write(event, &writes.list, &self.targets.of(&versions)).await {
            Ok(()) => return Ok(writes.len()),
            Err(error) if is_transient(&error) => return Err(error.into()),
            Err(error) => error,
        };
        let now = self.versions.refresh().await?;
        if now.revision == versions.revision {
            return Err(error.into());
        }
        self.statements.keep_only(&self.targets.of(&now));
        Err(ExecuteError::Moved)
    }

    async fn write(
        &self,
        event: &EventEnvelope,
        writes: &[crate::projection::writes::Write],
        versions: &[i32],
    ) -> Result<(), DatabaseError> {
        let timestamps: Vec<i64> = (event.committed_at..).take(writes.len()).collect();
        if let ([write], [timestamp], [version]) = (writes, timestamps.as_slice(), versions) {
            let statement = self.statements.get(write, *version).await?;
            self.store
                .session()
                .execute_unpaged(&statement.prepared, values(write, timestamp))
                .await?;
            return Ok(());
        }
        // Unlogged: if it is cut short, the event comes again and completes it.
        let mut batch = Batch::new(BatchType::Unlogged);
        batch.set_consistency(Consistency::LocalQuorum);
        batch.set_is_idempotent(true);
        let mut rows: Vec<Values<'_>> = Vec::with_capacity(writes.len() * versions.len());
        for version in versions {
            for (write, timestamp) in writes.iter().zip(&timestamps) {
                let statement = self.statements.get(write, *version).await?;
                batch.append_statement(statement.prepared.clone());
                rows.push(values(write, timestamp));
            }
        }
        if !rows.is_empty() {
            self.store.session().batch(&batch, rows).await?;
        }
        Ok(())
    }
}

//! Writing many events' writes at once: by partition.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, StreamExt, TryStreamExt};
use scylla::statement::Consistency;
use scylla::statement::batch::{Batch, BatchType};

use crate::event::EventEnvelope;
use crate::projection::collect::collect;
use crate::projection::rebuild::encode::EncodedRow;
use crate::projection::statements::{WriteStatement, WriteStatements};
use crate::projection::{Projection, ProjectionError};
use crate::store::{Backoff, DatabaseError, EventStore, is_transient};

/// Statements of one batch. They share a partition, so a replica applies them as one
/// mutation; more than some dozen gain little.
const BATCH_STATEMENTS: usize = 100;

/// Bytes of one batch: half of what ScyllaDB warns of
/// (`batch_size_warn_threshold_in_kb`, 128).
const BATCH_BYTES: usize = 64 << 10;

/// Batches on their way at once, for each range that is read.
const CONCURRENT: usize = 8;

/// How often a request is repeated while the database is away before the rebuild gives up:
/// about a minute.
pub(super) const ATTEMPTS: u32 = 20;

/// Writes a projection's writes into one version of its tables.
pub(super) struct BatchWriter {
    store: EventStore,
    projection: Arc<dyn Projection>,
    version: i32,
    statements: WriteStatements,
}

/// Which of the events that were given.
type Place = usize;

/// Writes that wait, by partition.
#[derive(Default)]
pub(super) struct Pending {
    partitions: HashMap<(&'static str, Vec<u8>), Vec<PendingWrite>>,
    /// Of statements that do not say their partition.
    others: Vec<PendingWrite>,
    writes: usize,
}

struct PendingWrite {
    event: Place,
    statement: Arc<WriteStatement>,
    row: EncodedRow,
}

/// Why events were not written.
pub(super) enum WriteError {
    /// The database did not answer.
    Database(DatabaseError),
    /// It refused this event's write.
    Refused { event: Place, source: DatabaseError },
}

/// Why an event makes no writes.
pub(super) enum CollectError {
    Projection(ProjectionError),
    Database(DatabaseError),
}

impl Pending {
    /// Writes collected so far.
    pub(super) fn len(&self) -> usize {
        self.writes
    }
}

impl BatchWriter {
    pub(super) fn new(store: EventStore, projection: Arc<dyn Projection>, version: i32) -> Self {
        let statements = WriteStatements::new(store.clone());
        Self { store, projection, version, statements }
    }

    /// Adds what the projection makes of `event` to `pending`, all of it or nothing.
    pub(super) async fn collect(
        &self,
        event: &EventEnvelope,
        place: Place,
        pending: &mut Pending,
    ) -> Result<(), CollectError> {
        let writes = collect(&*self.projection, self.store.upcasters(), event)
            .map_err(CollectError::Projection)?;
        let mut encoded = Vec::with_capacity(writes.len());
        for (write, timestamp) in writes.list.iter().zip(event.committed_at..) {
            let statement =
                self.statements.get(write, self.version).await.map_err(CollectError::Database)?;
            let row = EncodedRow::of(write, timestamp, &statement).map_err(|error| {
                CollectError::Projection(ProjectionError::Refused(format!(
                    "a value written to {} does not fit its column: {error}",
                    write.table
                )))
            })?;
            encoded.push((write.table, PendingWrite { event: place, statement, row }));
        }
        pending.writes += encoded.len();
        for (table, write) in encoded {
            match write.row.partition(&write.statement) {
                Some(partition) => {
                    pending.partitions.entry((table, partition)).or_default().push(write);
                }
                None => pending.others.push(write),
            }
        }
        Ok(())
    }

    /// Writes all that is pending.
    pub(super) async fn write(&self, pending: Pending) -> Result<(), WriteError> {
        let mut batches: Vec<Vec<PendingWrite>> = Vec::new();
        for writes in pending.partitions.into_values() {
            split(writes, &mut batches);
        }
        batches.extend(pending.others.into_iter().map(|write| vec![write]));
        stream::iter(batches)
            .map(|batch| self.write_batch(batch))
            .buffer_unordered(CONCURRENT)
            .try_collect::<()>()
            .await
    }

    async fn write_batch(&self, writes: Vec<PendingWrite>) -> Result<(), WriteError> {
        let error = match patiently(|| self.execute(&writes), is_transient).await {
            Ok(()) => return Ok(()),
            Err(error) if is_transient(&error) => return Err(WriteError::Database(error)),
            Err(error) => error,
        };
        if let [write] = writes.as_slice() {
            return Err(WriteError::Refused { event: write.event, source: error });
        }
        // One of them is at fault: which?
        for write in writes.chunks(1) {
            if let Err(source) = patiently(|| self.execute(write), is_transient).await {
                return Err(match write {
                    [write] if !is_transient(&source) => {
                        WriteError::Refused { event: write.event, source }
                    }
                    _ => WriteError::Database(source),
                });
            }
        }
        Ok(())
    }

    async fn execute(&self, writes: &[PendingWrite]) -> Result<(), DatabaseError> {
        if let [write] = writes {
            self.store.session().execute_unpaged(&write.statement.prepared, &write.row).await?;
            return Ok(());
        }
        let statements =
            writes.iter().map(|write| write.statement.prepared.clone().into()).collect();
        let mut batch = Batch::new_with_statements(BatchType::Unlogged, statements);
        batch.set_consistency(Consistency::LocalQuorum);
        batch.set_is_idempotent(true);
        let rows: Vec<&EncodedRow> = writes.iter().map(|write| &write.row).collect();
        self.store.session().batch(&batch, rows).await?;
        Ok(())
    }
}

/// Cuts one partition's writes into batches.
fn split(writes: Vec<PendingWrite>, batches: &mut Vec<Vec<PendingWrite>>) {
    let (mut batch, mut bytes) = (Vec::new(), 0);
    for write in writes {
        let size = write.row.size();
        if batch.len() == BATCH_STATEMENTS || (bytes + size > BATCH_BYTES && !batch.is_empty()) {
            batches.push(std::mem::take(&mut batch));
            bytes = 0;
        }
        bytes += size;
        batch.push(write);
    }
    batches.push(batch);
}

/// Repeats what fails for a passing reason, a bounded number of times.
pub(super) async fn patiently<T, E, F: Future<Output = Result<T, E>>>(
    mut attempt: impl FnMut() -> F,
    passing: impl Fn(&E) -> bool,
) -> Result<T, E> {
    let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(5));
    for _ in 1..ATTEMPTS {
        match attempt().await {
            Err(error) if passing(&error) => backoff.wait().await,
            result => return result,
        }
    }
    attempt().await
}

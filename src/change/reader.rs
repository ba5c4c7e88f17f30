//! Reading one table's log.

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::{Mutex, RwLock};
use scylla::client::session::Session;
use scylla_cdc::consumer::{CDCRow, Consumer, ConsumerFactory};

use crate::change::assemble::{Images, changes, micros_of};
use crate::change::error::ChangeError;
use crate::change::event::Operation;
use crate::change::lanes::{Job, Lanes};
use crate::change::log_row::{LogRow, has_changed};
use crate::change::settings::ChangeSettings;
use crate::change::status::Counters;
use crate::change::table::Table;
use crate::consumer::{
    CurrentStream, Found, LogOf, LogReader, Millis, Pace, Progress, StreamId, Ticket,
};

/// What a table's rows go through on their way from the log to the lanes.
pub(crate) struct Intake {
    pub(crate) subscription: String,
    pub(crate) session: Arc<Session>,
    pub(crate) table: RwLock<Arc<Table>>,
    pub(crate) operations: Option<HashSet<Operation>>,
    pub(crate) images: Images,
    pub(crate) progress: Arc<Progress>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) lanes: Lanes,
    /// The error that ended the reader, with its kind; scylla-cdc passes on only its text.
    pub(crate) failure: Mutex<Option<ChangeError>>,
}

impl Intake {
    /// The table as it is: columns may have come and gone since it was described.
    async fn table_of(&self, row: &CDCRow<'_>) -> Result<Arc<Table>, ChangeError> {
        let known = Arc::clone(&self.table.read());
        if !has_changed(row, &known) {
            return Ok(known);
        }
        let described = Table::describe(&self.session, &known.keyspace, &known.label)
            .await
            .map_err(|source| self.database(source))?;
        // Gone with its last rows still to be read: what was known of it has to do.
        let Some(described) = described else { return Ok(known) };
        let described = Arc::new(described);
        *self.table.write() = Arc::clone(&described);
        Ok(described)
    }

    fn database(&self, source: crate::store::DatabaseError) -> ChangeError {
        ChangeError::Database { subscription: self.subscription.clone(), source }
    }

    fn unreadable(&self, reason: String) -> ChangeError {
        let table = self.table.read().label.to_string();
        ChangeError::Row { subscription: self.subscription.clone(), table, reason }
    }

    /// Hands a write's changes on. When this returns, they are in their lanes (and in
    /// [`Progress`]) or were not asked for.
    async fn take(&self, write: Write) -> Result<(), ChangeError> {
        let Write { rows, stream, time, ticket, .. } = write;
        let (label, keys_only) = {
            let table = self.table.read();
            (Arc::clone(&table.label), table.log.keys_only)
        };
        let changes = changes(&label, keys_only, rows, self.images)
            .map_err(|reason| self.unreadable(reason))?;
        for change in changes {
            if self.operations.as_ref().is_some_and(|wanted| !wanted.contains(&change.operation)) {
                Counters::add(&self.counters.filtered);
                continue;
            }
            let of_change = self.progress.open(stream, time);
            let Some(permit) = self.lanes.reserve(&change).await else {
                // The write stays open with its ticket.
                return Ok(());
            };
            permit.send(Job { change, ticket: of_change });
        }
        ticket.done();
        Ok(())
    }
}

/// The rows of a write, as far as they have been read. A write's rows are one mutation of one
/// partition of the log, so they are there together, and no larger than a mutation may be.
struct Write {
    id: uuid::Uuid,
    stream: StreamId,
    time: Millis,
    rows: Vec<LogRow>,
    /// Keeps the checkpoint before a write that is not whole yet.
    ticket: Ticket,
}

/// Starts the reader where the checkpoints say.
pub(crate) async fn start_reader(
    intake: &Arc<Intake>,
    found: Found,
    settings: &ChangeSettings,
) -> Result<LogReader, ChangeError> {
    let table = Arc::clone(&intake.table.read());
    let log = LogOf { session: &intake.session, keyspace: &table.keyspace, table: &table.name };
    let pace = Pace {
        window: settings.window,
        safety_interval: settings.safety_interval,
        sleep_interval: settings.sleep_interval,
    };
    let consumers = Arc::new(Factory(Arc::clone(intake)));
    LogReader::start(log, pace, found.oldest(), &intake.progress, found, consumers).await.map_err(
        |reason| ChangeError::Reader {
            subscription: intake.subscription.clone(),
            table: table.label.to_string(),
            reason,
        },
    )
}

struct Factory(Arc<Intake>);

#[async_trait]
impl ConsumerFactory for Factory {
    async fn new_consumer(&self) -> Box<dyn Consumer> {
        Box::new(RowConsumer {
            intake: Arc::clone(&self.0),
            streams: CurrentStream::default(),
            write: None,
        })
    }
}

/// Takes the rows of a vnode's streams, one stream after the other.
struct RowConsumer {
    intake: Arc<Intake>,
    streams: CurrentStream,
    write: Option<Write>,
}

impl RowConsumer {
    async fn consume(&mut self, row: CDCRow<'_>) -> Result<(), ChangeError> {
        let table = self.intake.table_of(&row).await?;
        let row = LogRow::of(row, &table, &mut self.streams)
            .map_err(|reason| self.intake.unreadable(reason))?;
        // `cdc$end_of_batch` ends a write; a reader that begins in the middle of one, or rows
        // of which some have expired, must not mix two.
        if self.write.as_ref().is_some_and(|w| (w.id, w.stream) != (row.time, row.stream))
            && let Some(write) = self.write.take()
        {
            self.intake.take(write).await?;
        }
        let is_whole = row.end_of_batch;
        match &mut self.write {
            Some(write) => write.rows.push(row),
            None => {
                let time = micros_of(row.time).map_err(|reason| self.intake.unreadable(reason))?;
                let (id, stream, time) = (row.time, row.stream, time / 1000);
                let ticket = self.intake.progress.open(stream, time);
                self.write = Some(Write { id, stream, time, rows: vec![row], ticket });
            }
        }
        match self.write.take_if(|_| is_whole) {
            Some(write) => self.intake.take(write).await,
            None => Ok(()),
        }
    }
}

#[async_trait]
impl Consumer for RowConsumer {
    async fn consume_cdc(&mut self, row: CDCRow<'_>) -> anyhow::Result<()> {
        self.consume(row).await.map_err(|error| {
            let text = anyhow::anyhow!("{error}");
            *self.intake.failure.lock() = Some(error);
            text
        })
    }
}

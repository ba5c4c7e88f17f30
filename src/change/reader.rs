//! Reading one table's log.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::RemoteHandle;
use parking_lot::{Mutex, RwLock};
use scylla::client::session::Session;
use scylla_cdc::cdc_types::{GenerationTimestamp, StreamID};
use scylla_cdc::checkpoints::{CDCCheckpointSaver, Checkpoint};
use scylla_cdc::consumer::{CDCRow, Consumer, ConsumerFactory};
use scylla_cdc::log_reader::{CDCLogReader, CDCLogReaderBuilder};

use crate::change::assemble::{Images, changes, micros_of};
use crate::change::error::ChangeError;
use crate::change::event::Operation;
use crate::change::lanes::{Job, Lanes};
use crate::change::log_row::{LogRow, has_changed};
use crate::change::settings::ChangeSettings;
use crate::change::status::Counters;
use crate::change::table::Table;
use crate::consumer::{Found, Millis, Progress, StreamId, Ticket};

/// How often scylla-cdc tells where its streams are. In memory only: what is stored, and
/// when, is the run's matter.
const POSITION_INTERVAL: Duration = Duration::from_millis(100);

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

/// The running reader. Dropping it ends it.
pub(crate) struct Reader {
    _reader: CDCLogReader,
    /// Ends with an error, or never.
    pub(crate) finished: RemoteHandle<anyhow::Result<()>>,
}

impl Reader {
    pub(crate) async fn start(
        intake: Arc<Intake>,
        found: Found,
        settings: &ChangeSettings,
    ) -> Result<Self, ChangeError> {
        let start = Duration::from_millis(found.oldest().max(0).unsigned_abs());
        let saver = Positions { progress: Arc::clone(&intake.progress), found };
        let table = Arc::clone(&intake.table.read());
        let built = CDCLogReaderBuilder::new()
            .session(Arc::clone(&intake.session))
            .keyspace(&table.keyspace)
            .table_name(&table.name)
            .start_timestamp(start)
            .window_size(settings.window)
            .safety_interval(settings.safety_interval)
            .sleep_interval(settings.sleep_interval)
            .should_load_progress(true)
            .should_save_progress(true)
            .pause_between_saves(POSITION_INTERVAL)
            .checkpoint_saver(Arc::new(saver))
            .consumer_factory(Arc::new(Factory(Arc::clone(&intake))))
            .build()
            .await;
        let (reader, finished) = built.map_err(|e| ChangeError::Reader {
            subscription: intake.subscription.clone(),
            table: table.label.to_string(),
            reason: format!("{e:#}"),
        })?;
        Ok(Self { _reader: reader, finished })
    }
}

struct Factory(Arc<Intake>);

#[async_trait]
impl ConsumerFactory for Factory {
    async fn new_consumer(&self) -> Box<dyn Consumer> {
        Box::new(RowConsumer { intake: Arc::clone(&self.0), write: None })
    }
}

/// Takes the rows of a vnode's streams, one stream after the other.
struct RowConsumer {
    intake: Arc<Intake>,
    write: Option<Write>,
}

impl RowConsumer {
    async fn consume(&mut self, row: CDCRow<'_>) -> Result<(), ChangeError> {
        let table = self.intake.table_of(&row).await?;
        let row = LogRow::of(row, &table).map_err(|reason| self.intake.unreadable(reason))?;
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

/// Takes scylla-cdc's positions into [`Progress`] and gives it those that were stored.
struct Positions {
    progress: Arc<Progress>,
    found: Found,
}

#[async_trait]
impl CDCCheckpointSaver for Positions {
    async fn save_checkpoint(&self, checkpoint: &Checkpoint) -> anyhow::Result<()> {
        let position = Millis::try_from(checkpoint.timestamp.as_millis())?;
        self.progress.advance(stream_id(&checkpoint.stream_id)?, position);
        Ok(())
    }

    async fn save_new_generation(&self, generation: &GenerationTimestamp) -> anyhow::Result<()> {
        self.progress.begin_generation(generation.to_string().parse()?);
        Ok(())
    }

    async fn load_last_generation(&self) -> anyhow::Result<Option<GenerationTimestamp>> {
        // The start timestamp says where to begin, the older of two generations included.
        Ok(None)
    }

    async fn load_last_checkpoint(&self, stream: &StreamID) -> anyhow::Result<Option<Duration>> {
        let stream = stream_id(stream)?;
        let position = self.found.position(stream);
        self.progress.begin_stream(stream, position);
        Ok(Some(Duration::from_millis(position.max(0).unsigned_abs())))
    }
}

fn stream_id(id: &StreamID) -> anyhow::Result<StreamId> {
    Ok(StreamId::from_str_radix(&id.to_string(), 16)?)
}

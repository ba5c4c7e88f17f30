//! The sweep: a scylla-cdc reader that gives every row of the log, a safety interval late.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::RemoteHandle;
use scylla_cdc::cdc_types::{GenerationTimestamp, StreamID};
use scylla_cdc::checkpoints::{CDCCheckpointSaver, Checkpoint};
use scylla_cdc::consumer::{CDCRow, Consumer, ConsumerFactory};
use scylla_cdc::log_reader::{CDCLogReader, CDCLogReaderBuilder};

use crate::consumer::checkpoints::Found;
use crate::consumer::error::GroupError;
use crate::consumer::intake::Intake;
use crate::consumer::log_row::{event_of, identity_of};
use crate::consumer::progress::{Millis, Progress, StreamId};
use crate::consumer::settings::GroupSettings;

/// How often scylla-cdc tells the saver where its streams are. In memory only: what is
/// stored, and when, is the checkpoint writer's matter.
const POSITION_INTERVAL: Duration = Duration::from_millis(100);

/// The running reader. Dropping it ends it.
pub(crate) struct Sweep {
    _reader: CDCLogReader,
    /// Ends with an error, or never.
    pub(crate) finished: RemoteHandle<anyhow::Result<()>>,
}

impl Sweep {
    /// Begins at `start` with what the checkpoints do not say otherwise.
    pub(crate) async fn start(
        intake: Arc<Intake>,
        found: Found,
        start: Millis,
        settings: &GroupSettings,
    ) -> Result<Self, GroupError> {
        let start = Duration::from_millis(start.max(0).unsigned_abs());
        let saver = Positions { progress: Arc::clone(&intake.progress), found };
        let (reader, finished) = CDCLogReaderBuilder::new()
            .session(Arc::clone(intake.store.session()))
            .keyspace(intake.store.keyspace())
            .table_name("outbox_messages")
            .start_timestamp(start)
            .window_size(settings.window)
            .safety_interval(settings.safety_interval)
            .sleep_interval(settings.sweep_interval)
            .should_load_progress(true)
            .should_save_progress(true)
            .pause_between_saves(POSITION_INTERVAL)
            .checkpoint_saver(Arc::new(saver))
            .consumer_factory(Arc::new(Factory(Arc::clone(&intake))))
            .build()
            .await
            .map_err(|e| GroupError::Reader {
                group: intake.group.clone(),
                reason: format!("{e:#}"),
            })?;
        Ok(Self { _reader: reader, finished })
    }
}

struct Factory(Arc<Intake>);

#[async_trait]
impl ConsumerFactory for Factory {
    async fn new_consumer(&self) -> Box<dyn Consumer> {
        Box::new(RowConsumer(Arc::clone(&self.0)))
    }
}

struct RowConsumer(Arc<Intake>);

#[async_trait]
impl Consumer for RowConsumer {
    async fn consume_cdc(&mut self, row: CDCRow<'_>) -> anyhow::Result<()> {
        self.take(row).await.map_err(|error| {
            let text = anyhow::anyhow!("{error}");
            *self.0.failure.lock() = Some(error);
            text
        })
    }
}

impl RowConsumer {
    async fn take(&self, row: CDCRow<'_>) -> Result<(), GroupError> {
        let intake = &self.0;
        // Most rows have come by the tail: they need no closer look.
        if let Some((id, sequence_number)) = identity_of(&row)
            && (!intake.slice.contains(id) || intake.has(id, sequence_number).await)
        {
            return Ok(());
        }
        let event = event_of(row)
            .map_err(|reason| GroupError::Row { group: intake.group.clone(), reason })?;
        match event {
            Some(event) => intake.take(event).await,
            None => Ok(()),
        }
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

//! A scylla-cdc reader of a table's log, whose progress is [`Progress`].

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::RemoteHandle;
use scylla::client::session::Session;
use scylla_cdc::cdc_types::{GenerationTimestamp, StreamID};
use scylla_cdc::checkpoints::{CDCCheckpointSaver, Checkpoint};
use scylla_cdc::consumer::ConsumerFactory;
use scylla_cdc::log_reader::{CDCLogReader, CDCLogReaderBuilder};

use crate::consumer::checkpoints::Found;
use crate::consumer::progress::{Millis, Progress};
use crate::consumer::stream_id::stream_id;

/// How often scylla-cdc tells the saver where its streams are. In memory only: what is
/// stored, and when, is the checkpoint writer's matter.
const POSITION_INTERVAL: Duration = Duration::from_millis(100);

/// The running reader. Dropping it ends it.
pub(crate) struct LogReader {
    _reader: CDCLogReader,
    /// Ends with an error, or never.
    pub(crate) finished: RemoteHandle<anyhow::Result<()>>,
}

/// What is read.
pub(crate) struct LogOf<'t> {
    pub(crate) session: &'t Arc<Session>,
    pub(crate) keyspace: &'t str,
    pub(crate) table: &'t str,
}

/// How it is read.
pub(crate) struct Pace {
    pub(crate) window: Duration,
    pub(crate) safety_interval: Duration,
    pub(crate) sleep_interval: Duration,
}

impl LogReader {
    /// Begins at `start` with what the checkpoints do not say otherwise. The error is what
    /// scylla-cdc says.
    pub(crate) async fn start(
        log: LogOf<'_>,
        pace: Pace,
        start: Millis,
        progress: &Arc<Progress>,
        found: Found,
        consumers: Arc<dyn ConsumerFactory>,
    ) -> Result<Self, String> {
        let saver = Positions { progress: Arc::clone(progress), found };
        let (reader, finished) = CDCLogReaderBuilder::new()
            .session(Arc::clone(log.session))
            .keyspace(log.keyspace)
            .table_name(log.table)
            .start_timestamp(since_1970(start))
            .window_size(pace.window)
            .safety_interval(pace.safety_interval)
            .sleep_interval(pace.sleep_interval)
            .should_load_progress(true)
            .should_save_progress(true)
            .pause_between_saves(POSITION_INTERVAL)
            .checkpoint_saver(Arc::new(saver))
            .consumer_factory(consumers)
            .build()
            .await
            .map_err(|error| format!("{error:#}"))?;
        Ok(Self { _reader: reader, finished })
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
        let stream = stream_id(&checkpoint.stream_id).map_err(anyhow::Error::msg)?;
        self.progress.advance(stream, position);
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
        let stream = stream_id(stream).map_err(anyhow::Error::msg)?;
        let position = self.found.position(stream);
        self.progress.begin_stream(stream, position);
        Ok(Some(since_1970(position)))
    }
}

/// As scylla-cdc has moments.
fn since_1970(at: Millis) -> Duration {
    Duration::from_millis(at.max(0).unsigned_abs())
}

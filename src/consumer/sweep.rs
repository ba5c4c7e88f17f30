//! The sweep: a scylla-cdc reader that gives every row of the log, a safety interval late.

use std::sync::Arc;

use async_trait::async_trait;
use scylla_cdc::consumer::{CDCRow, Consumer, ConsumerFactory};

use crate::consumer::checkpoints::Found;
use crate::consumer::error::GroupError;
use crate::consumer::intake::Intake;
use crate::consumer::log_reader::{LogOf, LogReader, Pace};
use crate::consumer::log_row::{event_of, identity_of};
use crate::consumer::progress::Millis;
use crate::consumer::settings::GroupSettings;
use crate::consumer::stream_id::CurrentStream;

/// Starts the reader at `start`, or where the checkpoints say otherwise.
pub(crate) async fn start_sweep(
    intake: &Arc<Intake>,
    found: Found,
    start: Millis,
    settings: &GroupSettings,
) -> Result<LogReader, GroupError> {
    let log = LogOf {
        session: intake.store.session(),
        keyspace: intake.store.keyspace(),
        table: "outbox_messages",
    };
    let pace = Pace {
        window: settings.window,
        safety_interval: settings.safety_interval,
        sleep_interval: settings.sweep_interval,
    };
    let consumers = Arc::new(Factory(Arc::clone(intake)));
    LogReader::start(log, pace, start, &intake.progress, found, consumers)
        .await
        .map_err(|reason| GroupError::Reader { group: intake.group.clone(), reason })
}

struct Factory(Arc<Intake>);

#[async_trait]
impl ConsumerFactory for Factory {
    async fn new_consumer(&self) -> Box<dyn Consumer> {
        Box::new(RowConsumer { intake: Arc::clone(&self.0), streams: CurrentStream::default() })
    }
}

struct RowConsumer {
    intake: Arc<Intake>,
    streams: CurrentStream,
}

#[async_trait]
impl Consumer for RowConsumer {
    async fn consume_cdc(&mut self, row: CDCRow<'_>) -> anyhow::Result<()> {
        self.take(row).await.map_err(|error| {
            let text = anyhow::anyhow!("{error}");
            *self.intake.failure.lock() = Some(error);
            text
        })
    }
}

impl RowConsumer {
    async fn take(&mut self, row: CDCRow<'_>) -> Result<(), GroupError> {
        let intake = &self.intake;
        // Most rows have come by the tail: they need no closer look.
        if let Some((id, sequence_number)) = identity_of(&row)
            && (!intake.slice.contains(id) || intake.has(id, sequence_number).await)
        {
            return Ok(());
        }
        let event = event_of(row, &mut self.streams)
            .map_err(|reason| GroupError::Row { group: intake.group.clone(), reason })?;
        match event {
            Some(event) => intake.take(event).await,
            None => Ok(()),
        }
    }
}

//! The four consumer groups: a projection each, and the publisher.

use std::sync::Arc;

use futures::future::select_all;
use messina::consumer::{
    ConsumerGroup, EventHandler, GroupError, GroupSettings, GroupStatus, RunningGroup,
};
use messina::projection::ProjectionHandler;
use messina::publisher::{KafkaSettings, KafkaSink, Publisher};
use messina::{EventEnvelope, EventStore};

use crate::projections;
use crate::service::{PUBLISHER, ServiceError};

/// All groups' names, as people list them.
pub fn group_names() -> Vec<&'static str> {
    projections::all().iter().map(|p| p.name()).chain([PUBLISHER]).collect()
}

/// Told of each event that a group has handled: the group's place in [`group_names`], and
/// the event.
pub type Observer = Arc<dyn Fn(usize, &EventEnvelope) + Send + Sync>;

/// Groups at work.
#[derive(Debug)]
pub struct RunningGroups {
    groups: Vec<RunningGroup>,
}

/// Starts all groups; `kafka` is where the publisher sends.
///
/// # Errors
/// Whatever keeps a group from starting.
pub async fn start(
    store: &EventStore,
    kafka: &KafkaSettings,
    settings: &GroupSettings,
    observer: Observer,
) -> Result<RunningGroups, ServiceError> {
    let mut groups = Vec::new();
    for projection in projections::all() {
        let name = projection.name();
        let handler = ProjectionHandler::shared(store, projection);
        groups.push(start_one(store, name, handler, settings, groups.len(), &observer).await?);
    }
    let publisher = Publisher::new(KafkaSink::connect(kafka.clone()).await?);
    groups.push(start_one(store, PUBLISHER, publisher, settings, groups.len(), &observer).await?);
    Ok(RunningGroups { groups })
}

async fn start_one(
    store: &EventStore,
    name: &str,
    handler: impl EventHandler,
    settings: &GroupSettings,
    place: usize,
    observer: &Observer,
) -> Result<RunningGroup, GroupError> {
    let observer = Arc::clone(observer);
    ConsumerGroup::builder(store.clone(), name, handler)
        .settings(settings.clone())
        .observer(move |event| observer(place, event))
        .start()
        .await
}

impl RunningGroups {
    /// How each is doing, in the order they were started.
    pub fn statuses(&self) -> Vec<GroupStatus> {
        self.groups.iter().map(RunningGroup::status).collect()
    }

    /// Waits until one of them halts.
    ///
    /// # Errors
    /// Why it did.
    pub async fn halted(&mut self) -> Result<(), GroupError> {
        let waiting = self.groups.iter_mut().map(|group| Box::pin(group.finished()));
        select_all(waiting).await.0
    }

    /// Stops all of them at once; each finishes what it has begun and stores its progress.
    ///
    /// # Errors
    /// The first group's error; the others have been stopped as well.
    pub async fn stop(self) -> Result<Vec<GroupStatus>, GroupError> {
        let stopping = self.groups.into_iter().map(RunningGroup::stop);
        futures::future::join_all(stopping).await.into_iter().collect()
    }
}

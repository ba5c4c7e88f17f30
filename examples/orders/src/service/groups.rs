//! The four consumer groups: a projection each, and the publisher.

use std::sync::Arc;

use futures::future::select_all;
use messina::consumer::{
    ConsumerGroup, EventHandler, GroupError, GroupSettings, GroupStatus, RunningGroup,
};
use messina::projection::ProjectionHandler;
use messina::publisher::{KafkaSettings, KafkaSink, Publisher};
use messina::{EventEnvelope, EventStore, Projection};

use crate::projections;
use crate::service::{PUBLISHER, ServiceError};

/// All groups' names, as people list them.
pub fn group_names() -> Vec<&'static str> {
    projections::all().iter().map(|p| p.name()).chain([PUBLISHER]).collect()
}

/// The projection of this name.
///
/// # Errors
/// [`ServiceError::Unknown`] lists all of them.
pub fn projection(name: &str) -> Result<Arc<dyn Projection>, ServiceError> {
    let all = projections::all();
    let known = all.iter().map(|p| p.name()).collect::<Vec<_>>().join(", ");
    all.into_iter().find(|p| p.name() == name).ok_or_else(|| ServiceError::Unknown {
        kind: "projection",
        name: name.to_owned(),
        known,
    })
}

/// Told of each event that a group has handled: the group's place in the list of names
/// that were started, and the event.
pub type Observer = Arc<dyn Fn(usize, &EventEnvelope) + Send + Sync>;

/// Groups at work.
#[derive(Debug)]
pub struct RunningGroups {
    groups: Vec<RunningGroup>,
}

/// Starts the groups of these names; `kafka` is where the publisher sends.
///
/// # Errors
/// [`ServiceError::Unknown`] before anything is started, and whatever keeps a group from
/// starting.
pub async fn start(
    store: &EventStore,
    names: &[String],
    kafka: &KafkaSettings,
    settings: &GroupSettings,
    observer: Option<Observer>,
) -> Result<RunningGroups, ServiceError> {
    let known = group_names();
    if let Some(name) = names.iter().find(|name| !known.contains(&name.as_str())) {
        let (name, known) = (name.clone(), known.join(", "));
        return Err(ServiceError::Unknown { kind: "group", name, known });
    }
    let mut groups = Vec::new();
    for (place, name) in names.iter().enumerate() {
        groups.push(if name == PUBLISHER {
            let publisher = Publisher::new(KafkaSink::connect(kafka.clone()).await?);
            start_one(store, name, publisher, settings, place, observer.clone()).await?
        } else {
            let handler = ProjectionHandler::shared(store, projection(name)?);
            start_one(store, name, handler, settings, place, observer.clone()).await?
        });
    }
    Ok(RunningGroups { groups })
}

async fn start_one(
    store: &EventStore,
    name: &str,
    handler: impl EventHandler,
    settings: &GroupSettings,
    place: usize,
    observer: Option<Observer>,
) -> Result<RunningGroup, GroupError> {
    let mut builder =
        ConsumerGroup::builder(store.clone(), name, handler).settings(settings.clone());
    if let Some(observer) = observer {
        builder = builder.observer(move |event| observer(place, event));
    }
    builder.start().await
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

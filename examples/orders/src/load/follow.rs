//! Groups that only note when they are called.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use messina::consumer::{
    ConsumerGroup, EventHandler, GroupSettings, Handled, HandlerError, RunningGroup, StartFrom,
};
use messina::{EventEnvelope, EventStore};
use uuid::Uuid;

use crate::demo::Tracker;
use crate::service::ServiceError;

/// Notes each event's time.
struct Noting {
    tracker: Arc<Tracker>,
    place: usize,
}

#[async_trait]
impl EventHandler for Noting {
    async fn handle(&self, event: &EventEnvelope) -> Result<Handled, HandlerError> {
        self.tracker.handled(self.place, event.event_id);
        Ok(Handled::Done)
    }
}

/// Only counts.
pub(super) struct Counting(pub(super) Arc<AtomicU64>);

#[async_trait]
impl EventHandler for Counting {
    async fn handle(&self, _: &EventEnvelope) -> Result<Handled, HandlerError> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(Handled::Done)
    }
}

/// New groups, following from now on.
pub(super) async fn start(
    store: &EventStore,
    settings: &GroupSettings,
    tracker: &Arc<Tracker>,
    groups: u8,
) -> Result<Vec<RunningGroup>, ServiceError> {
    let run = Uuid::new_v4().simple();
    let mut running = Vec::new();
    for place in 0..usize::from(groups) {
        let handler = Noting { tracker: Arc::clone(tracker), place };
        let group = ConsumerGroup::builder(store.clone(), format!("load_{run}_{place}"), handler)
            .settings(settings.clone())
            .start_from(StartFrom::Now);
        running.push(group.start().await?);
    }
    Ok(running)
}

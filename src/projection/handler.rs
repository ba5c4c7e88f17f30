//! A projection as a consumer group's handler.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use crate::consumer::{EventHandler, Handled, HandlerError};
use crate::event::EventEnvelope;
use crate::projection::Projection;
use crate::projection::executor::{Executor, Targets};
use crate::store::EventStore;

/// Runs a projection live: give it to a [`ConsumerGroup`](crate::consumer::ConsumerGroup).
pub struct ProjectionHandler {
    executor: Executor,
}

impl ProjectionHandler {
    /// The projection's tables are in the store's keyspace.
    pub fn new(store: &EventStore, projection: impl Projection) -> Self {
        Self::shared(store, Arc::new(projection))
    }

    /// As [`ProjectionHandler::new`], for a projection that is chosen at run time.
    pub fn shared(store: &EventStore, projection: Arc<dyn Projection>) -> Self {
        Self { executor: Executor::new(store, projection, Targets::All) }
    }

    /// Of the group that follows the log for versions being built.
    pub(crate) fn of_unread_versions(store: &EventStore, projection: Arc<dyn Projection>) -> Self {
        Self { executor: Executor::new(store, projection, Targets::Unread) }
    }
}

impl fmt::Debug for ProjectionHandler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ProjectionHandler").field(&self.executor.projection().name()).finish()
    }
}

#[async_trait]
impl EventHandler for ProjectionHandler {
    fn accepts(&self, aggregate_type: &str) -> bool {
        self.executor.accepts(aggregate_type)
    }

    fn upcasts(&self) -> bool {
        true
    }

    async fn handle(&self, event: &EventEnvelope) -> Result<Handled, HandlerError> {
        match self.executor.execute(event).await {
            Ok(_) => Ok(Handled::Done),
            Err(error) if error.is_passing() => Err(HandlerError::retry(error)),
            Err(error) => Err(HandlerError::poison(error)),
        }
    }
}

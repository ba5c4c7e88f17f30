//! The handler of an aggregate type's commands.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use serde::de::DeserializeOwned;

use crate::aggregate::{Aggregate, Loaded, SnapshotPolicy};
use crate::command::cache::RecentAggregates;
use crate::command::keyed_lock::KeyedLocks;
use crate::command::known::Known;
use crate::command::meters::Meters;
use crate::command::snapshots::{SnapshotSettings, Snapshots};
use crate::command::{ConflictPolicy, ConflictRetry, Execute};
use crate::ids::AggregateId;
use crate::store::{EventStore, StoreError};

/// Handles the commands of one type of aggregate. Cloning gives another handle.
///
/// Commands on one aggregate queue up inside a handler, since of two that race one would
/// have to decide again. Recent aggregates are kept in memory, which saves loading them;
/// the reservation alone decides, so one that has changed elsewhere costs a retry.
pub struct CommandHandler<A> {
    pub(super) inner: Arc<Inner<A>>,
}

pub(super) struct Inner<A> {
    pub(super) store: EventStore,
    pub(super) retry: Box<dyn ConflictPolicy>,
    pub(super) locks: KeyedLocks,
    pub(super) cache: RecentAggregates<A>,
    pub(super) record_rejections: bool,
    pub(super) snapshots: Option<Snapshots<A>>,
    pub(super) meters: Meters,
    pub(super) aggregate_type: Arc<str>,
}

impl<A: Aggregate> Inner<A> {
    /// The aggregate as the tables have it.
    pub(super) async fn load(&self, id: AggregateId) -> Result<Known<A>, StoreError> {
        let known = match &self.snapshots {
            None => Known::read(self.store.load::<A>(id).await?),
            Some(snapshots) => snapshots.load(&self.store, id).await?,
        };
        let read = known.loaded.version - known.snapshot.version.max(0);
        self.meters.loaded_events.record(read as f64);
        Ok(known)
    }
}

impl<A> Clone for CommandHandler<A> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl<A> fmt::Debug for CommandHandler<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CommandHandler").field("store", &self.inner.store).finish_non_exhaustive()
    }
}

/// A handler to be made. See [`CommandHandler::builder`].
#[derive(Debug)]
#[must_use]
pub struct HandlerBuilder<A> {
    store: EventStore,
    retry: Box<dyn ConflictPolicy>,
    cache: usize,
    record_rejections: bool,
    snapshots: Option<SnapshotSettings<A>>,
    aggregate: PhantomData<fn() -> A>,
}

impl<A: Aggregate> HandlerBuilder<A> {
    /// How conflicts are met; [`ConflictRetry`] with its defaults unless set.
    pub fn conflict_retry(mut self, policy: impl ConflictPolicy) -> Self {
        self.retry = Box::new(policy);
        self
    }

    /// How many recent aggregates are kept in memory; 0: none. 10 000 unless set.
    pub fn cache_capacity(mut self, aggregates: usize) -> Self {
        self.cache = aggregates;
        self
    }

    /// Whether a rejected command with an idempotency key is recorded in `command_outcomes`,
    /// so that failures are on record and a repeat is told the same
    /// ([`CommandError::RejectedBefore`](crate::CommandError::RejectedBefore)). Not unless
    /// set: a rejection costs a lightweight transaction and a write then, and a command that
    /// was premature stays rejected under its key.
    pub fn record_rejections(mut self, record: bool) -> Self {
        self.record_rejections = record;
        self
    }

    /// When snapshots are taken; never unless set. They are written in the background after
    /// the reply, and loading reads the last one and the events after it: two queries, where
    /// all events take one.
    pub fn snapshots(mut self, policy: SnapshotPolicy) -> Self
    where
        A: DeserializeOwned,
    {
        self.snapshots = SnapshotSettings::new(policy);
        self
    }

    /// The handler. Its metrics go to the recorder that is installed now.
    pub fn build(self) -> CommandHandler<A> {
        let HandlerBuilder { store, retry, cache, record_rejections, snapshots, .. } = self;
        let snapshots = snapshots.map(Snapshots::new);
        let (locks, cache) = (KeyedLocks::default(), RecentAggregates::new(cache));
        let (meters, aggregate_type) = (Meters::new(A::TYPE), Arc::from(A::TYPE));
        let inner = Inner {
            store,
            retry,
            locks,
            cache,
            record_rejections,
            snapshots,
            meters,
            aggregate_type,
        };
        CommandHandler { inner: Arc::new(inner) }
    }
}

impl<A: Aggregate> CommandHandler<A> {
    /// A handler with default settings.
    pub fn new(store: EventStore) -> Self {
        Self::builder(store).build()
    }

    /// A handler to be set up.
    pub fn builder(store: EventStore) -> HandlerBuilder<A> {
        HandlerBuilder {
            store,
            retry: Box::new(ConflictRetry::default()),
            cache: 10_000,
            record_rejections: false,
            snapshots: None,
            aggregate: PhantomData,
        }
    }

    /// The store.
    pub fn store(&self) -> &EventStore {
        &self.inner.store
    }

    /// The aggregate as it is, from its snapshot and the events after it, or from all events.
    ///
    /// # Errors
    /// As [`EventStore::load`].
    pub async fn load(&self, id: AggregateId) -> Result<Loaded<A>, StoreError> {
        self.inner.load(id).await.map(|known| known.loaded)
    }

    /// A command to be awaited, after its circumstances have been told:
    ///
    /// ```no_run
    /// # use messina::{Aggregate, AggregateId, CommandHandler, CorrelationId, EventEnvelope};
    /// # async fn example<O: Aggregate<Command: serde::Serialize>>(
    /// #     orders: CommandHandler<O>, order_id: AggregateId, confirm: O::Command,
    /// #     request_id: CorrelationId, event: EventEnvelope, key: String,
    /// # ) -> Result<(), Box<dyn std::error::Error>> {
    /// let reply = orders
    ///     .execute(order_id, confirm)
    ///     .correlation_id(request_id)
    ///     .caused_by(&event)
    ///     .user("alice")
    ///     .metadata("tenant", "acme")
    ///     .idempotency_key(key)
    ///     .expected_version(7)
    ///     .await?;
    /// println!("now at version {}: {}", reply.version, reply.response.as_str());
    /// # Ok(())
    /// # }
    /// ```
    pub fn execute(&self, id: AggregateId, command: A::Command) -> Execute<'_, A> {
        Execute::new(self, id, command)
    }
}

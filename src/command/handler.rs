//! The handler of an aggregate type's commands.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;

use crate::aggregate::{Aggregate, Loaded};
use crate::command::cache::RecentAggregates;
use crate::command::keyed_lock::KeyedLocks;
use crate::command::{CommandError, ConflictRetry};
use crate::event::{DomainEvent, EventEnvelope, Metadata};
use crate::ids::{AggregateId, CausationId, CommitId, CorrelationId, EventId};
use crate::store::{Append, Backoff, EventStore, NewEvent, StoreError};

/// Handles the commands of one type of aggregate. Cloning gives another handle.
///
/// Commands on one aggregate queue up inside a handler, since of two that race one would
/// have to decide again. Recent aggregates are kept in memory, which saves loading them;
/// the reservation alone decides, so one that has changed elsewhere costs a retry.
pub struct CommandHandler<A> {
    inner: Arc<Inner<A>>,
}

struct Inner<A> {
    store: EventStore,
    retry: ConflictRetry,
    locks: KeyedLocks,
    cache: RecentAggregates<A>,
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
    retry: ConflictRetry,
    cache: usize,
    aggregate: PhantomData<fn() -> A>,
}

impl<A: Aggregate> HandlerBuilder<A> {
    /// How conflicts are met.
    pub fn conflict_retry(mut self, retry: ConflictRetry) -> Self {
        self.retry = retry;
        self
    }

    /// How many recent aggregates are kept in memory; 0: none. 10 000 unless set.
    pub fn cache_capacity(mut self, aggregates: usize) -> Self {
        self.cache = aggregates;
        self
    }

    /// The handler.
    pub fn build(self) -> CommandHandler<A> {
        let HandlerBuilder { store, retry, cache, .. } = self;
        let (locks, cache) = (KeyedLocks::default(), RecentAggregates::new(cache));
        CommandHandler { inner: Arc::new(Inner { store, retry, locks, cache }) }
    }
}

/// What a command led to.
#[derive(Debug, Clone)]
pub struct Reply<A: Aggregate> {
    /// The aggregate's version now.
    pub version: i64,
    /// The new events as stored; none if there was nothing to do.
    pub events: Vec<EventEnvelope<A::Event>>,
    /// The state now.
    pub state: A,
    /// The commit; `None` if there was nothing to do.
    pub commit_id: Option<CommitId>,
}

impl<A: Aggregate> CommandHandler<A> {
    /// A handler with default settings.
    pub fn new(store: EventStore) -> Self {
        Self::builder(store).build()
    }

    /// A handler to be set up.
    pub fn builder(store: EventStore) -> HandlerBuilder<A> {
        let retry = ConflictRetry::default();
        HandlerBuilder { store, retry, cache: 10_000, aggregate: PhantomData }
    }

    /// The store.
    pub fn store(&self) -> &EventStore {
        &self.inner.store
    }

    /// A command to be awaited, after its circumstances have been told:
    ///
    /// ```no_run
    /// # use messina::{Aggregate, AggregateId, CommandHandler, CorrelationId};
    /// # async fn example<O: Aggregate>(orders: CommandHandler<O>, id: AggregateId, command: O::Command)
    /// # -> Result<(), Box<dyn std::error::Error>> {
    /// let reply = orders
    ///     .execute(id, command)
    ///     .correlation_id(CorrelationId::new())
    ///     .user("alice")
    ///     .metadata("tenant", "acme")
    ///     .expected_version(7)
    ///     .await?;
    /// println!("now at version {}", reply.version);
    /// # Ok(())
    /// # }
    /// ```
    pub fn execute(&self, id: AggregateId, command: A::Command) -> Execute<'_, A> {
        Execute {
            handler: self,
            id,
            command,
            metadata: Metadata::default(),
            correlation_id: None,
            causation_id: None,
            expected_version: None,
        }
    }
}

/// A command on its way. See [`CommandHandler::execute`].
#[must_use = "a command is carried out when it is awaited"]
pub struct Execute<'h, A: Aggregate> {
    handler: &'h CommandHandler<A>,
    id: AggregateId,
    command: A::Command,
    metadata: Metadata,
    correlation_id: Option<CorrelationId>,
    causation_id: Option<CausationId>,
    expected_version: Option<i64>,
}

impl<'h, A: Aggregate> Execute<'h, A> {
    /// The request that it belongs to.
    pub fn correlation_id(mut self, id: CorrelationId) -> Self {
        self.correlation_id = Some(id);
        self
    }

    /// What caused it.
    pub fn causation_id(mut self, id: CausationId) -> Self {
        self.causation_id = Some(id);
        self
    }

    /// The event that caused it: its id becomes the causation id, its correlation id is
    /// carried on.
    pub fn caused_by<E>(mut self, event: &EventEnvelope<E>) -> Self {
        self.causation_id = Some(EventId::into(event.event_id));
        self.correlation_id = self.correlation_id.or(event.correlation_id);
        self
    }

    /// Who asks.
    pub fn user(mut self, user_id: impl Into<String>) -> Self {
        self.metadata.user_id = Some(user_id.into());
        self
    }

    /// Another fact to be stored with the events.
    pub fn metadata(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.metadata.set(key, value);
        self
    }

    /// Refuse if the aggregate is at another version, instead of deciding again.
    pub fn expected_version(mut self, version: i64) -> Self {
        self.expected_version = Some(version);
        self
    }

    async fn run(self) -> Result<Reply<A>, CommandError<A::Error>> {
        let Inner { store, retry, locks, cache } = &*self.handler.inner;
        let id = self.id;
        let _queued = locks.lock(id).await;
        let mut backoff = Backoff::new(retry.first_delay, retry.max_delay);
        let (mut loaded, mut may_be_stale) = match cache.take(id) {
            Some(loaded) => (loaded, true),
            None => (store.load::<A>(id).await?, false),
        };
        let mut attempts = 0;
        loop {
            let decision = self.decide(&loaded);
            // Only what is appended is checked by the reservation: anything else must not
            // rest on what is remembered.
            if may_be_stale && !matches!(&decision, Ok(events) if !events.is_empty()) {
                may_be_stale = false;
                store.refresh(&mut loaded).await?;
                continue;
            }
            if let Err(CommandError::Conflict { expected, actual, .. }) = &decision
                && expected > actual
                && store.complete_pending(id).await?.is_some()
            {
                // The expected version was reserved and not written yet.
                store.refresh(&mut loaded).await?;
                continue;
            }
            let events = match decision {
                Ok(events) if !events.is_empty() => events,
                other => {
                    cache.put(&loaded);
                    other?;
                    let Loaded { version, state, .. } = loaded;
                    return Ok(Reply { version, events: Vec::new(), state, commit_id: None });
                }
            };
            attempts += 1;
            match store.append(self.append_of(&loaded, &events)?).await {
                Ok(committed) => {
                    let envelopes: Vec<EventEnvelope<A::Event>> = committed
                        .events
                        .iter()
                        .zip(events)
                        .map(|(envelope, event)| envelope.with_event(event))
                        .collect();
                    for envelope in &envelopes {
                        loaded.apply(envelope);
                    }
                    loaded.last_write_time = committed.write_time;
                    cache.put(&loaded);
                    return Ok(Reply {
                        version: loaded.version,
                        events: envelopes,
                        state: loaded.state,
                        commit_id: Some(committed.commit_id),
                    });
                }
                Err(StoreError::Conflict { expected, actual, .. }) => {
                    // With a remembered state a conflict is no race, only news.
                    if !std::mem::take(&mut may_be_stale) {
                        if attempts >= retry.attempts {
                            return Err(conflict(id, expected, actual, attempts));
                        }
                        backoff.wait().await;
                    }
                    store.refresh(&mut loaded).await?;
                    if loaded.version < actual {
                        // Reserved, but not written: its writer is slow or gone.
                        store.complete_pending(id).await?;
                        store.refresh(&mut loaded).await?;
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// What the domain makes of the command, if the version is the expected one.
    fn decide(&self, loaded: &Loaded<A>) -> Result<Vec<A::Event>, CommandError<A::Error>> {
        match self.expected_version {
            Some(expected) if expected != loaded.version => {
                Err(conflict(self.id, expected, loaded.version, 0))
            }
            _ => loaded.state.handle(&self.command).map_err(CommandError::Rejected),
        }
    }

    fn append_of(&self, loaded: &Loaded<A>, events: &[A::Event]) -> Result<Append, StoreError> {
        let events = events
            .iter()
            .map(|event| {
                Ok(NewEvent {
                    event_id: EventId::new(),
                    event_type: event.event_type().into(),
                    event_version: event.event_version(),
                    payload: event.to_payload()?,
                })
            })
            .collect::<Result<_, StoreError>>()?;
        Ok(Append {
            aggregate_id: self.id,
            aggregate_type: Arc::from(A::TYPE),
            expected_version: loaded.version,
            last_committed_at: loaded.last_committed_at,
            last_write_time: loaded.last_write_time,
            events,
            metadata: self.metadata.clone(),
            correlation_id: self.correlation_id,
            causation_id: self.causation_id,
        })
    }
}

fn conflict<E: std::error::Error>(
    aggregate_id: AggregateId,
    expected: i64,
    actual: i64,
    attempts: u32,
) -> CommandError<E> {
    CommandError::Conflict { aggregate_id, expected, actual, attempts }
}

impl<'h, A: Aggregate> IntoFuture for Execute<'h, A> {
    type Output = Result<Reply<A>, CommandError<A::Error>>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'h>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

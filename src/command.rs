//! Commands: load, decide, append, and again when another writer was faster.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::aggregate::{Aggregate, Loaded};
use crate::event::{DomainEvent, EventEnvelope, Metadata};
use crate::ids::{AggregateId, CausationId, CommitId, CorrelationId, EventId};
use crate::store::{Append, Backoff, EventStore, NewEvent, StoreError};

/// How often a decision is made again after a conflict, and how long between.
#[derive(Debug, Clone)]
pub struct ConflictRetry {
    /// Attempts in all, the first included. 20: each round of a race has one winner, so this
    /// many writers may meet on one aggregate before any of them gives up.
    pub attempts: u32,
    /// Delay after the first conflict; doubles from there, jittered. 5 ms: about two round
    /// trips of the winner.
    pub first_delay: Duration,
    /// Longest delay.
    pub max_delay: Duration,
}

impl Default for ConflictRetry {
    fn default() -> Self {
        Self {
            attempts: 20,
            first_delay: Duration::from_millis(5),
            max_delay: Duration::from_millis(200),
        }
    }
}

/// Handles the commands of one type of aggregate. Cloning gives another handle.
pub struct CommandHandler<A> {
    store: EventStore,
    retry: ConflictRetry,
    aggregate: PhantomData<fn() -> A>,
}

impl<A> Clone for CommandHandler<A> {
    fn clone(&self) -> Self {
        Self { store: self.store.clone(), retry: self.retry.clone(), aggregate: PhantomData }
    }
}

impl<A> fmt::Debug for CommandHandler<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CommandHandler").field("store", &self.store).finish_non_exhaustive()
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

/// Why a command was not carried out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommandError<E: std::error::Error + 'static> {
    /// The domain refused. Nothing was written.
    #[error("rejected: {0}")]
    Rejected(#[source] E),
    /// The aggregate was not at the expected version, or others were faster in every
    /// attempt. Nothing was written.
    #[error(
        "conflict on aggregate {aggregate_id}: expected version {expected}, found {actual} \
         (attempts: {attempts})"
    )]
    Conflict {
        /// Which aggregate.
        aggregate_id: AggregateId,
        /// The version asked for, or decided on last.
        expected: i64,
        /// The version found.
        actual: i64,
        /// How often it was tried.
        attempts: u32,
    },
    /// The store's other errors; [`StoreError::Indeterminate`] alone leaves open whether the
    /// command was carried out.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl<A: Aggregate> CommandHandler<A> {
    /// A handler with the default [`ConflictRetry`].
    pub fn new(store: EventStore) -> Self {
        Self { store, retry: ConflictRetry::default(), aggregate: PhantomData }
    }

    /// Sets how conflicts are met.
    pub fn conflict_retry(mut self, retry: ConflictRetry) -> Self {
        self.retry = retry;
        self
    }

    /// The store.
    pub fn store(&self) -> &EventStore {
        &self.store
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
        let Execute { handler, id, .. } = &self;
        let (id, store, retry) = (*id, &handler.store, &handler.retry);
        let mut backoff = Backoff::new(retry.first_delay, retry.max_delay);
        let mut loaded = store.load::<A>(id).await?;
        let mut attempts = 0;
        loop {
            attempts += 1;
            let conflict = |expected, actual| CommandError::Conflict {
                aggregate_id: id,
                expected,
                actual,
                attempts,
            };
            if let Some(expected) = self.expected_version.filter(|v| *v != loaded.version) {
                // It may be reserved and not written yet.
                if expected > loaded.version && store.complete_pending(id).await?.is_some() {
                    store.refresh(&mut loaded).await?;
                }
                if expected != loaded.version {
                    return Err(conflict(expected, loaded.version));
                }
            }
            let events = loaded.state.handle(&self.command).map_err(CommandError::Rejected)?;
            if events.is_empty() {
                let Loaded { version, state, .. } = loaded;
                return Ok(Reply { version, events: Vec::new(), state, commit_id: None });
            }
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
                    return Ok(Reply {
                        version: loaded.version,
                        events: envelopes,
                        state: loaded.state,
                        commit_id: Some(committed.commit_id),
                    });
                }
                Err(StoreError::Conflict { expected, actual, .. }) => {
                    if attempts >= retry.attempts || self.expected_version.is_some() {
                        return Err(conflict(expected, actual));
                    }
                    backoff.wait().await;
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

impl<'h, A: Aggregate> IntoFuture for Execute<'h, A> {
    type Output = Result<Reply<A>, CommandError<A::Error>>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'h>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

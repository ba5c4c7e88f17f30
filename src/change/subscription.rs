//! A subscription: a name, tables and a handler.

use std::collections::HashSet;
use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use tokio::task::{JoinError, JoinHandle};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::AbortOnDropHandle;

use crate::change::assemble::Images;
use crate::change::error::ChangeError;
use crate::change::event::{ChangeEvent, Operation};
use crate::change::handler::ChangeHandler;
use crate::change::lanes::Filter;
use crate::change::lease::Standby;
use crate::change::metrics::{SubscriptionMetrics, count_lost_lease};
use crate::change::run::SubscriptionContext;
use crate::change::settings::ChangeSettings;
use crate::change::status::SubscriptionStatus;
use crate::consumer::{GroupState, Restarts};
use crate::store::EventStore;

/// How often a subscription says how it is doing.
const SAY: Duration = Duration::from_secs(1);

/// The entry to change subscriptions; see [`ChangeSubscription::builder`].
#[derive(Debug)]
pub struct ChangeSubscription;

impl ChangeSubscription {
    /// A subscription of this name whose changes go to `handler`. Its progress is in the
    /// store's keyspace, in `consumer_checkpoints`, as that of the group `name/table`.
    ///
    /// Delivery is at least once, in order per partition key of each table; nothing is said
    /// about the order of two partitions or two tables. One process at a time runs a
    /// subscription of one name, under a lease; others stand by
    /// ([`ChangeSettings::lease_ttl`]). So all of them must have the same tables.
    pub fn builder(
        store: EventStore,
        name: impl Into<String>,
        handler: impl ChangeHandler,
    ) -> SubscriptionBuilder {
        SubscriptionBuilder {
            store,
            name: name.into(),
            handler: Arc::new(handler),
            tables: Vec::new(),
            operations: None,
            filter: None,
            images: Images::default(),
            settings: ChangeSettings::default(),
        }
    }
}

/// A subscription to be started.
#[must_use = "a subscription runs when it is started"]
pub struct SubscriptionBuilder {
    store: EventStore,
    name: String,
    handler: Arc<dyn ChangeHandler>,
    tables: Vec<Arc<str>>,
    operations: Option<HashSet<Operation>>,
    filter: Option<Filter>,
    images: Images,
    settings: ChangeSettings,
}

impl SubscriptionBuilder {
    /// The tables to follow: `table` in the store's keyspace, or `keyspace.table`. As CQL
    /// keeps them: in lower case unless they were created in quotes.
    pub fn tables<T: Into<String>>(mut self, tables: impl IntoIterator<Item = T>) -> Self {
        self.tables.extend(tables.into_iter().map(|table| Arc::from(table.into())));
        self
    }

    /// Only these operations; all of them unless set.
    pub fn operations(mut self, operations: impl IntoIterator<Item = Operation>) -> Self {
        self.operations.get_or_insert_default().extend(operations);
        self
    }

    /// Only changes of which this is true. Called again with every attempt of a change.
    pub fn filter(mut self, wanted: impl Fn(&ChangeEvent) -> bool + Send + Sync + 'static) -> Self {
        self.filter = Some(match self.filter.take() {
            Some(earlier) => Arc::new(move |change| earlier(change) && wanted(change)),
            None => Arc::new(wanted),
        });
        self
    }

    /// Asks for the row before each change. The tables need `'preimage': true` (the columns
    /// that change) or `'full'` in their `cdc` option, which costs ScyllaDB a read before
    /// each write. What was written before that has none.
    pub fn with_before(mut self) -> Self {
        self.images.before = true;
        self
    }

    /// Asks for the row after each change. The tables need `'postimage': true` in their `cdc`
    /// option, which costs ScyllaDB a read before each write. What was written before that
    /// has none.
    pub fn with_after(mut self) -> Self {
        self.images.after = true;
        self
    }

    /// Replaces all settings.
    pub fn settings(mut self, settings: ChangeSettings) -> Self {
        self.settings = settings;
        self
    }

    /// See [`ChangeSettings::safety_interval`].
    pub fn safety_interval(mut self, interval: Duration) -> Self {
        self.settings.safety_interval = interval;
        self
    }

    /// See [`ChangeSettings::start_from`].
    pub fn start_from(mut self, time: SystemTime) -> Self {
        self.settings.start_from = Some(time);
        self
    }

    /// Starts the subscription at its checkpoints.
    ///
    /// # Errors
    /// [`ChangeError::Settings`]; [`ChangeError::Table`] for a table that does not exist, has
    /// no log, or not the images that are asked for; [`ChangeError::Database`] when the
    /// database does not answer. Later failures are met by beginning again at the
    /// checkpoints.
    pub async fn start(self) -> Result<RunningSubscription, ChangeError> {
        self.settings.validate()?;
        let invalid = |reason: &str| Err(ChangeError::Settings(reason.to_owned()));
        if self.name.is_empty() {
            return invalid("a subscription needs a name");
        }
        if self.tables.is_empty() {
            return invalid("a subscription needs tables");
        }
        if self.operations.as_ref().is_some_and(HashSet::is_empty) {
            return invalid("operations() without any lets nothing pass");
        }
        let distinct: HashSet<&Arc<str>> = self.tables.iter().collect();
        if distinct.len() < self.tables.len() {
            return invalid("a table is named twice");
        }
        let context = Arc::new(SubscriptionContext {
            name: self.name,
            store: self.store,
            handler: self.handler,
            tables: self.tables,
            operations: self.operations,
            filter: self.filter,
            images: self.images,
            settings: self.settings,
            counters: Arc::default(),
            progress: Mutex::default(),
        });
        context.described().await?;
        let standby = Standby::prepare(&context).await?;
        context.counters.set_state(GroupState::Standby);
        let stop = CancellationToken::new();
        let task = tokio::spawn(run(Arc::clone(&context), standby, stop.clone()));
        Ok(RunningSubscription { context, task: Some(task), stop: stop.drop_guard() })
    }
}

/// A subscription at work. Dropping it stops it in the background, as
/// [`RunningSubscription::stop`] does.
#[must_use = "dropping a running subscription stops it"]
pub struct RunningSubscription {
    context: Arc<SubscriptionContext>,
    /// `None` once its end has been told.
    task: Option<JoinHandle<Result<(), ChangeError>>>,
    stop: DropGuard,
}

impl fmt::Debug for RunningSubscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RunningSubscription").field(&self.context.name).finish()
    }
}

impl RunningSubscription {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.context.name
    }

    /// How it is doing.
    pub fn status(&self) -> SubscriptionStatus {
        status(&self.context)
    }

    /// Stops reading, finishes the changes that have been read, stores the progress.
    ///
    /// # Errors
    /// [`ChangeError::Drain`] when the drain timeout passed first, and the error of a
    /// subscription that had halted, unless [`RunningSubscription::finished`] has told it.
    /// Nothing is lost: what is unfinished comes again after the next start.
    pub async fn stop(mut self) -> Result<SubscriptionStatus, ChangeError> {
        drop(self.stop);
        if let Some(task) = self.task.take() {
            joined(task.await)?;
        }
        Ok(status(&self.context))
    }

    /// Waits until the subscription ends by itself, which it does only by halting. Returns at
    /// once if that has been told before.
    ///
    /// # Errors
    /// Why it halted.
    pub async fn finished(&mut self) -> Result<(), ChangeError> {
        let Some(task) = &mut self.task else { return Ok(()) };
        let result = task.await;
        self.task = None;
        joined(result)
    }
}

fn status(context: &SubscriptionContext) -> SubscriptionStatus {
    let watermark = context.watermark().map(|millis| millis * 1000);
    context.counters.status(&context.name, context.in_flight(), watermark)
}

fn joined(result: Result<Result<(), ChangeError>, JoinError>) -> Result<(), ChangeError> {
    match result {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Ok(()),
        },
    }
}

/// Runs the subscription, and says how it is doing.
async fn run(
    context: Arc<SubscriptionContext>,
    standby: Standby,
    stop: CancellationToken,
) -> Result<(), ChangeError> {
    let mut metrics = SubscriptionMetrics::default();
    let mut say = interval(SAY);
    say.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut supervised = pin!(supervise(&context, standby, stop));
    let result = loop {
        tokio::select! {
            result = &mut supervised => break result,
            _ = say.tick() => metrics.publish(&status(&context)),
        }
    };
    metrics.publish(&status(&context));
    result
}

/// Runs the subscription, again and again where that may help.
async fn supervise(
    context: &SubscriptionContext,
    mut standby: Standby,
    stop: CancellationToken,
) -> Result<(), ChangeError> {
    let mut restarts = Restarts::new();
    loop {
        let Some(lease) = standby.lease(context, &stop).await else {
            context.counters.set_state(GroupState::Stopped);
            return Ok(());
        };
        context.counters.set_state(GroupState::Running);
        let began = Instant::now();
        let keeper = {
            let lease = lease.clone();
            AbortOnDropHandle::new(tokio::spawn(async move { lease.keep().await }))
        };
        let result = context.run(&lease, &stop).await;
        drop(keeper);
        let held = lease.fence.is_valid();
        if !held {
            count_lost_lease(&context.name);
        } else if let Err(error) = lease.release().await {
            tracing::warn!(
                subscription = %context.name, %error, "the lease is not given back; it will lapse"
            );
        }
        let error = match result {
            Ok(()) => {
                context.counters.set_state(GroupState::Stopped);
                return Ok(());
            }
            // Whatever failed in a run that had to end: that it had to is the reason.
            Err(error) if !held && !matches!(error, ChangeError::Drain { .. }) => {
                context.lease_lost()
            }
            Err(error) => error,
        };
        if error.is_final() || stop.is_cancelled() {
            tracing::error!(subscription = %context.name, %error, "the subscription has halted");
            context.counters.set_state(GroupState::Halted { reason: error.to_string() });
            return Err(error);
        }
        let pause = restarts.delay_after(began.elapsed());
        tracing::warn!(
            subscription = %context.name, %error, "the subscription begins again at its checkpoint"
        );
        context.counters.set_state(GroupState::Restarting { reason: error.to_string() });
        if timeout(pause, stop.cancelled()).await.is_ok() {
            context.counters.set_state(GroupState::Stopped);
            return Ok(());
        }
    }
}

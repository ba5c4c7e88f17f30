//! A subscription: a name, tables and a handler.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;

use crate::change::assemble::Images;
use crate::change::error::ChangeError;
use crate::change::event::{ChangeEvent, Operation};
use crate::change::handler::ChangeHandler;
use crate::change::lanes::Filter;
use crate::change::lease::Standby;
use crate::change::run::SubscriptionContext;
use crate::change::settings::ChangeSettings;
use crate::change::status::SubscriptionStatus;
use crate::change::supervise::run;
use crate::consumer::{Background, GroupState};
use crate::store::EventStore;

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
        let task = Background::start(|stop| run(Arc::clone(&context), standby, stop));
        Ok(RunningSubscription { context, task })
    }
}

/// A subscription at work. Dropping it stops it in the background, as
/// [`RunningSubscription::stop`] does.
#[must_use = "dropping a running subscription stops it"]
pub struct RunningSubscription {
    context: Arc<SubscriptionContext>,
    task: Background<ChangeError>,
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
        self.context.status()
    }

    /// Stops reading, finishes the changes that have been read, stores the progress.
    ///
    /// # Errors
    /// [`ChangeError::Drain`] when the drain timeout passed first, and the error of a
    /// subscription that had halted, unless [`RunningSubscription::finished`] has told it.
    /// Nothing is lost: what is unfinished comes again after the next start.
    pub async fn stop(self) -> Result<SubscriptionStatus, ChangeError> {
        self.task.stop().await?;
        Ok(self.context.status())
    }

    /// Waits until the subscription ends by itself, which it does only by halting. Returns at
    /// once if that has been told before.
    ///
    /// # Errors
    /// Why it halted.
    pub async fn finished(&mut self) -> Result<(), ChangeError> {
        self.task.finished().await
    }
}

//! A consumer group: a name and a handler.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use uuid::Uuid;

use crate::consumer::background::Background;
use crate::consumer::error::GroupError;
use crate::consumer::handler::EventHandler;
use crate::consumer::lane_context::Observer;
use crate::consumer::settings::{GroupSettings, StartFrom, TailSettings};
use crate::consumer::status::{GroupState, GroupStatus};
use crate::consumer::supervise::{Group, Supervisor};
use crate::consumer::upcasting::Upcasting;
use crate::event::EventEnvelope;
use crate::store::EventStore;

/// The entry to consumer groups; see [`ConsumerGroup::builder`].
#[derive(Debug)]
pub struct ConsumerGroup;

impl ConsumerGroup {
    /// A group of this name whose events go to `handler`. Groups share nothing: each has
    /// its own reader, progress and retries, and fails or lags alone.
    ///
    /// ```no_run
    /// # use messina::consumer::{ConsumerGroup, EventHandler};
    /// # async fn example(store: messina::EventStore, audit: impl EventHandler)
    /// # -> Result<(), messina::consumer::GroupError> {
    /// let group = ConsumerGroup::builder(store, "audit", audit).start().await?;
    /// tokio::signal::ctrl_c().await.ok();
    /// let status = group.stop().await?;
    /// println!("{} events handled", status.handled);
    /// # Ok(())
    /// # }
    /// ```
    pub fn builder(
        store: EventStore,
        name: impl Into<String>,
        handler: impl EventHandler,
    ) -> GroupBuilder {
        GroupBuilder {
            store,
            name: name.into(),
            handler: Arc::new(handler),
            settings: GroupSettings::default(),
            observer: None,
        }
    }
}

/// A group to be started.
#[must_use = "a group runs when it is started"]
pub struct GroupBuilder {
    store: EventStore,
    name: String,
    handler: Arc<dyn EventHandler>,
    settings: GroupSettings,
    observer: Option<Observer>,
}

impl GroupBuilder {
    /// Replaces all settings.
    pub fn settings(mut self, settings: GroupSettings) -> Self {
        self.settings = settings;
        self
    }

    /// See [`GroupSettings::safety_interval`].
    pub fn safety_interval(mut self, interval: Duration) -> Self {
        self.settings.safety_interval = interval;
        self
    }

    /// See [`GroupSettings::tail`].
    pub fn tail(mut self, tail: impl Into<Option<TailSettings>>) -> Self {
        self.settings.tail = tail.into();
        self
    }

    /// See [`GroupSettings::start_from`].
    pub fn start_from(mut self, start: StartFrom) -> Self {
        self.settings.start_from = start;
        self
    }

    /// Called after each event that is done, from the group's own tasks: it must be quick.
    pub fn observer(mut self, observer: impl Fn(&EventEnvelope) + Send + Sync + 'static) -> Self {
        self.observer = Some(Arc::new(observer));
        self
    }

    /// Starts the group at its checkpoints; a group that is new begins where
    /// [`GroupSettings::start_from`] says.
    ///
    /// # Errors
    /// [`GroupError::Settings`], and [`GroupError::Checkpoints`] when the database does not
    /// answer. Later failures are met by beginning again at the checkpoints.
    pub async fn start(self) -> Result<RunningGroup, GroupError> {
        self.settings.validate()?;
        if self.name.is_empty() {
            return Err(GroupError::Settings("a group needs a name".to_owned()));
        }
        let group = Arc::new(Group {
            name: self.name,
            handler: Upcasting::around(self.handler, self.store.upcasters()),
            store: self.store,
            settings: self.settings,
            observer: self.observer,
            runner: Uuid::now_v7(),
            host: host(),
            state: Mutex::new(Some(GroupState::Standby)),
            contexts: Mutex::default(),
            counters: Mutex::default(),
        });
        let supervisor = Supervisor::prepare(Arc::clone(&group)).await?;
        let task = Background::start(|stop| supervisor.run(stop));
        Ok(RunningGroup { group, task })
    }
}

/// Where this process is, for people: the host's name and the process's id.
pub(crate) fn host() -> String {
    let name = std::env::var("HOSTNAME").ok().or_else(|| {
        std::fs::read_to_string("/etc/hostname").ok().map(|name| name.trim().to_owned())
    });
    format!("{}:{}", name.unwrap_or_else(|| "unknown".to_owned()), std::process::id())
}

/// A group at work. Dropping it stops the group in the background, as
/// [`RunningGroup::stop`] does.
#[must_use = "dropping a running group stops it"]
pub struct RunningGroup {
    group: Arc<Group>,
    task: Background<GroupError>,
}

impl fmt::Debug for RunningGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RunningGroup").field(&self.group.name).finish()
    }
}

impl RunningGroup {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.group.name
    }

    /// How it is doing.
    pub fn status(&self) -> GroupStatus {
        self.group.status()
    }

    /// Stops reading, finishes the events that have been read, stores the progress.
    ///
    /// # Errors
    /// [`GroupError::Drain`] when the drain timeout passed first, and the error of a group
    /// that had halted, unless [`RunningGroup::finished`] has told it. Nothing is lost:
    /// what is unfinished comes again after the next start. That a lease lapsed meanwhile is
    /// no error.
    pub async fn stop(self) -> Result<GroupStatus, GroupError> {
        self.task.stop().await?;
        Ok(self.group.status())
    }

    /// Waits until the group ends by itself: it halts, or another process asked it to stop.
    /// Returns at once if that has been told before.
    ///
    /// # Errors
    /// Why it halted.
    pub async fn finished(&mut self) -> Result<(), GroupError> {
        self.task.finished().await
    }
}

//! The handle that everything on the write side goes through.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use scylla::client::session::Session;

use super::statements::Statements;
use crate::event::Upcasters;
use crate::schema::Schema;
use crate::store::{DatabaseError, StoreError};

/// Limits of the write side.
#[derive(Debug, Clone)]
pub struct StoreSettings {
    /// How long an append may repeat its steps before it reports
    /// [`StoreError::Indeterminate`]. 10 s: longer than a node's restart of a coordinator
    /// role, shorter than most callers' patience.
    pub append_deadline: Duration,
    /// How long one request may take before it counts as lost. 2 s: the server's own write
    /// timeout (`write_request_timeout_in_ms`) by default.
    pub request_timeout: Duration,
    /// Largest batch that an append may make, estimated, in bytes. ScyllaDB refuses a batch
    /// over several partitions above `batch_size_fail_threshold_in_kb`, 1024 by default.
    pub max_batch_bytes: usize,
    /// Largest payload of an event in bytes. 256 KiB: it is stored twice, and is read by
    /// every group; above it a reference serves better.
    pub max_payload_bytes: usize,
    /// Largest metadata in bytes, as JSON. 8 KiB: they are stored with every event of a
    /// commit, and brokers limit headers.
    pub max_metadata_bytes: usize,
    /// How long the answer to a command with an idempotency key is kept, in whole seconds; a
    /// repeat that comes later is a new command. 14 days: a week of retrying, and time to
    /// notice. At most 20 years, as ScyllaDB has it.
    pub outcome_ttl: Duration,
    /// Rows per page when loading and scanning.
    pub page_size: i32,
}

impl Default for StoreSettings {
    fn default() -> Self {
        Self {
            append_deadline: Duration::from_secs(10),
            request_timeout: Duration::from_secs(2),
            max_batch_bytes: 1 << 20,
            max_payload_bytes: 256 << 10,
            max_metadata_bytes: 8 << 10,
            outcome_ttl: Duration::from_secs(14 * 86_400),
            page_size: 1000,
        }
    }
}

/// The longest time to live that ScyllaDB knows: 20 years, in seconds.
const MAX_TTL: u64 = 20 * 365 * 86_400;

impl StoreSettings {
    pub(super) fn outcome_ttl_seconds(&self) -> i32 {
        self.outcome_ttl.as_secs().min(MAX_TTL) as i32
    }

    fn check(&self) -> Result<(), StoreError> {
        let wrong = |what: &str| Err(StoreError::Invalid(format!("the setting {what}")));
        if self.page_size <= 0 {
            return wrong("page_size must be above 0");
        }
        if self.append_deadline.is_zero() || self.request_timeout.is_zero() {
            return wrong("append_deadline and request_timeout must be above 0");
        }
        if !(1..=MAX_TTL).contains(&self.outcome_ttl.as_secs()) {
            return wrong("outcome_ttl must be between a second and 20 years");
        }
        if self.max_batch_bytes == 0 || self.max_payload_bytes == 0 {
            return wrong("max_batch_bytes and max_payload_bytes must be above 0");
        }
        Ok(())
    }
}

/// The event store of one keyspace. Cloning gives another handle.
#[derive(Clone)]
pub struct EventStore {
    pub(super) inner: Arc<Inner>,
    pub(super) upcasters: Arc<Upcasters>,
}

pub(super) struct Inner {
    pub(super) session: Arc<Session>,
    pub(super) keyspace: String,
    pub(super) statements: Statements,
    pub(super) settings: StoreSettings,
}

impl EventStore {
    /// Opens the store with default settings.
    ///
    /// # Errors
    /// As [`EventStore::connect_with`].
    pub async fn connect(
        session: Arc<Session>,
        keyspace: impl Into<String>,
    ) -> Result<Self, StoreError> {
        Self::connect_with(session, keyspace, StoreSettings::default()).await
    }

    /// Opens the store: looks whether the keyspace's schema is what this build needs, and
    /// prepares the statements.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] names a setting that makes no sense;
    /// [`StoreError::Schema`] says what is missing or differs; [`StoreError::Unavailable`]
    /// when the database does not answer.
    pub async fn connect_with(
        session: Arc<Session>,
        keyspace: impl Into<String>,
        settings: StoreSettings,
    ) -> Result<Self, StoreError> {
        settings.check()?;
        let keyspace = keyspace.into();
        Schema::new(&keyspace).require(&session).await?;
        let mut statements =
            Statements::prepare(&session, &keyspace, settings.request_timeout).await.map_err(
                |source| StoreError::Unavailable { operation: "preparing statements", source },
            )?;
        for statement in [&mut statements.load, &mut statements.scan] {
            statement.set_page_size(settings.page_size);
        }
        let inner = Arc::new(Inner { session, keyspace, statements, settings });
        Ok(Self { inner, upcasters: Arc::default() })
    }

    /// The store, reading through these upcasters: whatever is given it (command handlers,
    /// consumer groups, projections, rebuilds) sees events of the past as those of today.
    /// [`EventStore::events`] and [`EventStore::history`] alone show them as they are stored.
    pub fn with_upcasters(mut self, upcasters: impl Into<Arc<Upcasters>>) -> Self {
        self.upcasters = upcasters.into();
        self
    }

    /// The upcasters; none unless [`EventStore::with_upcasters`] was called.
    pub fn upcasters(&self) -> &Arc<Upcasters> {
        &self.upcasters
    }

    /// The limits.
    pub fn settings(&self) -> &StoreSettings {
        &self.inner.settings
    }

    /// The keyspace.
    pub fn keyspace(&self) -> &str {
        &self.inner.keyspace
    }

    /// How long answers are kept, µs.
    pub(crate) fn outcome_ttl_micros(&self) -> i64 {
        i64::from(self.inner.settings.outcome_ttl_seconds()) * 1_000_000
    }

    /// The session that the store uses.
    pub fn session(&self) -> &Arc<Session> {
        &self.inner.session
    }
}

impl fmt::Debug for EventStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventStore").field("keyspace", &self.inner.keyspace).finish_non_exhaustive()
    }
}

/// Marks a failed read.
pub(super) fn unavailable<E: Into<DatabaseError>>(
    operation: &'static str,
) -> impl FnOnce(E) -> StoreError {
    move |source| StoreError::Unavailable { operation, source: source.into() }
}

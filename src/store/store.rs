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
    /// Rows per page when loading and scanning.
    pub page_size: i32,
}

impl Default for StoreSettings {
    fn default() -> Self {
        Self {
            append_deadline: Duration::from_secs(10),
            request_timeout: Duration::from_secs(2),
            max_batch_bytes: 1 << 20,
            page_size: 1000,
        }
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
    /// [`StoreError::Schema`] says what is missing or differs; [`StoreError::Unavailable`]
    /// when the database does not answer.
    pub async fn connect_with(
        session: Arc<Session>,
        keyspace: impl Into<String>,
        settings: StoreSettings,
    ) -> Result<Self, StoreError> {
        let keyspace = keyspace.into();
        Schema::new(&keyspace).require(&session).await?;
        let mut statements =
            Statements::prepare(&session, &keyspace, settings.request_timeout).await.map_err(
                |source| StoreError::Unavailable { operation: "preparing statements", source },
            )?;
        for statement in [&mut statements.load, &mut statements.scan] {
            if settings.page_size <= 0 {
                return Err(StoreError::Invalid("page_size must be above 0".to_owned()));
            }
            statement.set_page_size(settings.page_size);
        }
        let inner = Arc::new(Inner { session, keyspace, statements, settings });
        Ok(Self { inner, upcasters: Arc::default() })
    }

    /// The store, reading through these upcasters: whatever is given it (command handlers,
    /// consumer groups, projections, rebuilds) sees events of the past as those of today.
    /// [`EventStore::events`] alone shows them as they are stored.
    pub fn with_upcasters(mut self, upcasters: impl Into<Arc<Upcasters>>) -> Self {
        self.upcasters = upcasters.into();
        self
    }

    /// The upcasters; none unless [`EventStore::with_upcasters`] was called.
    pub fn upcasters(&self) -> &Arc<Upcasters> {
        &self.upcasters
    }

    /// The keyspace.
    pub fn keyspace(&self) -> &str {
        &self.inner.keyspace
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

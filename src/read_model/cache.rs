//! A projection's versions, known to be at most a second old.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use tokio::sync::{Mutex, OnceCell};
use tokio::time::Instant;

use crate::read_model::{VersionRows, Versions};
use crate::store::{DatabaseError, EventStore, is_transient};

/// What was read longer ago is not acted on: 1 s, so that a switch is noticed soon.
const VALID: Duration = Duration::from_secs(1);

/// From this age on one caller reads anew while the others go on: 500 ms, two small reads
/// per second and projection.
const REFRESH: Duration = Duration::from_millis(500);

/// This long after a change of the row, nobody acts on what it was before: [`VALID`], and
/// as much again as clocks may differ in speed and a request may wait in the process.
pub(crate) const NOTICED_AFTER: Duration = Duration::from_millis(1500);

/// One projection's versions.
#[derive(Debug)]
pub(crate) struct VersionCache {
    store: EventStore,
    projection: String,
    rows: OnceCell<VersionRows>,
    known: RwLock<Option<Known>>,
    refreshing: Mutex<()>,
}

#[derive(Debug, Clone)]
struct Known {
    /// Taken before the row was asked for.
    asked_at: Instant,
    versions: Arc<Versions>,
}

impl VersionCache {
    pub(crate) fn new(store: EventStore, projection: impl Into<String>) -> Self {
        Self {
            store,
            projection: projection.into(),
            rows: OnceCell::new(),
            known: RwLock::new(None),
            refreshing: Mutex::new(()),
        }
    }

    fn known(&self, younger_than: Duration) -> Option<Arc<Versions>> {
        let known = self.known.read();
        let known = known.as_ref()?;
        (known.asked_at.elapsed() < younger_than).then(|| Arc::clone(&known.versions))
    }

    /// The versions as they were at most [`VALID`] ago.
    pub(crate) async fn get(&self) -> Result<Arc<Versions>, DatabaseError> {
        if let Some(versions) = self.known(REFRESH) {
            return Ok(versions);
        }
        if let Some(versions) = self.known(VALID) {
            let Ok(_guard) = self.refreshing.try_lock() else { return Ok(versions) };
            return match self.read().await {
                Ok(versions) => Ok(versions),
                Err(error) if is_transient(&error) => self.known(VALID).ok_or(error),
                Err(error) => Err(error),
            };
        }
        let _guard = self.refreshing.lock().await;
        match self.known(REFRESH) {
            Some(versions) => Ok(versions),
            None => self.read().await,
        }
    }

    /// The versions as they are now.
    pub(crate) async fn refresh(&self) -> Result<Arc<Versions>, DatabaseError> {
        let _guard = self.refreshing.lock().await;
        self.read().await
    }

    async fn read(&self) -> Result<Arc<Versions>, DatabaseError> {
        let rows = self.rows.get_or_try_init(|| VersionRows::prepare(&self.store)).await?;
        let asked_at = Instant::now();
        let versions = Arc::new(rows.read(self.store.session(), &self.projection).await?);
        *self.known.write() = Some(Known { asked_at, versions: Arc::clone(&versions) });
        Ok(versions)
    }
}

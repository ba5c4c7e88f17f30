//! A subscription's lease: one process at a time runs it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::change::error::ChangeError;
use crate::change::run::SubscriptionContext;
use crate::consumer::{GroupState, Lease, LeaseTable, Slice, Watched, host};

/// How often a process that stands by looks whether the lease is free.
const LOOK: Duration = Duration::from_millis(500);

/// A subscription is one slice that is never divided.
const SLICING: i32 = 0;

/// The subscription's lease, as this process waits for it.
pub(crate) struct Standby {
    leases: Arc<LeaseTable>,
    seen: Watched<i32, (i64, i64)>,
}

impl Standby {
    pub(crate) async fn prepare(context: &SubscriptionContext) -> Result<Self, ChangeError> {
        // Apart from the lease of a consumer group of the same name, as progress is.
        let name = format!("{}/*", context.name);
        let (store, ttl) = (context.store.clone(), context.settings.lease_ttl);
        let leases = LeaseTable::prepare(store, &name, Uuid::now_v7(), host(), ttl)
            .await
            .map_err(|source| context.database(source))?;
        Ok(Self { leases: Arc::new(leases), seen: Watched::new() })
    }

    /// Waits until the lease is ours; `None`: `stop` came first.
    pub(crate) async fn lease(
        &mut self,
        context: &SubscriptionContext,
        stop: &CancellationToken,
    ) -> Option<Lease> {
        loop {
            match self.leases.list().await {
                Ok(rows) => {
                    let now = Instant::now();
                    self.seen.see_leases(&rows, now);
                    let index = i32::from(Slice::WHOLE.index());
                    let row = rows.iter().find(|row| row.slice == index);
                    if row.is_some_and(|row| self.seen.is_held(row, now)) {
                        context.progress.lock().clear();
                        context.counters.set_state(GroupState::Standby);
                    } else {
                        match self.leases.acquire(Slice::WHOLE, SLICING, row).await {
                            Ok(Some(lease)) => return Some(lease),
                            Ok(None) => {}
                            Err(error) => tracing::warn!(
                                subscription = %context.name, %error, "no lease yet"
                            ),
                        }
                    }
                }
                Err(error) => tracing::warn!(
                    subscription = %context.name, %error, "the lease cannot be read yet"
                ),
            }
            if timeout(LOOK, stop.cancelled()).await.is_ok() {
                return None;
            }
        }
    }
}

//! Snapshots: read before the events, written after the reply.

use std::fmt;
use std::sync::{Arc, OnceLock};

use serde::de::DeserializeOwned;
use tokio::sync::mpsc;

use crate::aggregate::{Aggregate, Loaded, SnapshotPolicy};
use crate::command::known::{Known, SnapshotMark};
use crate::command::meters::SnapshotMeters;
use crate::ids::{AggregateId, CommitId};
use crate::store::{EventStore, NewSnapshot, StoreError, StoredSnapshot};
use crate::time::now_micros;

/// Snapshots that wait to be written; more are dropped, to be taken after a later commit. 64:
/// states may be large.
const QUEUE: usize = 64;

/// The policy, and how a state is read. The bound on the state is here alone: a handler
/// without snapshots does not ask for it.
pub(super) struct SnapshotSettings<A> {
    policy: SnapshotPolicy,
    decode: fn(&str) -> Result<A, serde_json::Error>,
}

impl<A: DeserializeOwned> SnapshotSettings<A> {
    pub(super) fn new(policy: SnapshotPolicy) -> Option<Self> {
        let decode = |text: &str| serde_json::from_str(text);
        (policy != SnapshotPolicy::Never).then_some(Self { policy, decode })
    }
}

impl<A> fmt::Debug for SnapshotSettings<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.policy.fmt(f)
    }
}

/// Reads and takes the snapshots of one handler.
pub(super) struct Snapshots<A> {
    settings: SnapshotSettings<A>,
    meters: Arc<SnapshotMeters>,
    queue: OnceLock<mpsc::Sender<Loaded<A>>>,
}

impl<A: Aggregate> Snapshots<A> {
    pub(super) fn new(settings: SnapshotSettings<A>) -> Self {
        Self { settings, meters: Arc::new(SnapshotMeters::new(A::TYPE)), queue: OnceLock::new() }
    }

    /// The aggregate from its snapshot and what came later; from its first event if there is
    /// no snapshot that can be used.
    pub(super) async fn load(
        &self,
        store: &EventStore,
        id: AggregateId,
    ) -> Result<Known<A>, StoreError> {
        let (mut loaded, snapshot) = match store.snapshot(id).await? {
            None => (Loaded::new(id), SnapshotMark::default()),
            Some(stored) => match self.state(id, &stored) {
                Ok(found) => {
                    self.meters.used.increment(1);
                    found
                }
                Err(reason) => {
                    self.meters.unreadable.increment(1);
                    tracing::warn!(
                        aggregate_id = %id, aggregate_type = A::TYPE, %reason,
                        "a snapshot is not used, and replaced after the next commit"
                    );
                    (Loaded::new(id), SnapshotMark::due())
                }
            },
        };
        store.refresh(&mut loaded).await?;
        let mut known = Known::read(loaded);
        known.snapshot = snapshot;
        if known.loaded.version == 0 {
            known.snapshot.at = now_micros();
        }
        Ok(known)
    }

    fn state(
        &self,
        id: AggregateId,
        stored: &StoredSnapshot,
    ) -> Result<(Loaded<A>, SnapshotMark), String> {
        let missing = |column: &str| format!("column {column} is null");
        if stored.aggregate_type.as_deref() != Some(A::TYPE) {
            return Err(format!("it is of type {:?}", stored.aggregate_type));
        }
        if stored.schema_version != Some(A::STATE_VERSION) {
            return Err(format!(
                "its schema version is {:?}, this build's is {}",
                stored.schema_version,
                A::STATE_VERSION
            ));
        }
        let text = stored.state.as_deref().ok_or_else(|| missing("state"))?;
        let state = (self.settings.decode)(text).map_err(|e| e.to_string())?;
        let version = stored.sequence_number.ok_or_else(|| missing("sequence_number"))?;
        let loaded = Loaded {
            id,
            state,
            version,
            last_committed_at: stored
                .last_committed_at
                .ok_or_else(|| missing("last_committed_at"))?,
            last_write_time: stored.last_write_time.ok_or_else(|| missing("last_write_time"))?,
            last_commit: Some(CommitId(
                stored.last_commit_id.ok_or_else(|| missing("last_commit_id"))?,
            )),
        };
        let at = stored.created_at.map_or(0, |at| at.0.saturating_mul(1000));
        Ok((loaded, SnapshotMark { version, at }))
    }

    /// Takes a snapshot if one is due, without waiting: another task writes it.
    pub(super) fn consider(&self, store: &EventStore, known: &mut Known<A>) {
        let now = (known.loaded.version, now_micros());
        let SnapshotMark { version, at } = known.snapshot;
        if !self.settings.policy.is_due((version, at), now) {
            return;
        }
        let queue = self.queue.get_or_init(|| {
            let (sender, receiver) = mpsc::channel(QUEUE);
            tokio::spawn(write_all(store.clone(), Arc::clone(&self.meters), receiver));
            sender
        });
        match queue.try_send(known.loaded.clone()) {
            Ok(()) => known.snapshot = SnapshotMark { version: now.0, at: now.1 },
            Err(_) => self.meters.dropped.increment(1),
        }
    }
}

/// Writes what is queued until the handler is gone.
async fn write_all<A: Aggregate>(
    store: EventStore,
    meters: Arc<SnapshotMeters>,
    mut queue: mpsc::Receiver<Loaded<A>>,
) {
    while let Some(loaded) = queue.recv().await {
        let written = match serde_json::to_string(&loaded.state) {
            Ok(state) => store
                .write_snapshot(NewSnapshot {
                    aggregate_id: loaded.id,
                    aggregate_type: A::TYPE,
                    sequence_number: loaded.version,
                    schema_version: A::STATE_VERSION,
                    state: &state,
                    last_committed_at: loaded.last_committed_at,
                    last_write_time: loaded.last_write_time,
                    last_commit: loaded.last_commit,
                })
                .await
                .map_err(|e| e.to_string()),
            Err(error) => Err(error.to_string()),
        };
        match written {
            Ok(()) => meters.written.increment(1),
            Err(error) => {
                meters.failed.increment(1);
                tracing::warn!(
                    aggregate_id = %loaded.id, aggregate_type = A::TYPE, %error,
                    "a snapshot was not written; another is taken when it is due"
                );
            }
        }
    }
}

//! A lock per aggregate, as long as somebody wants it.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::OwnedMutexGuard;

use crate::ids::AggregateId;

/// Spreads the map over this many locks: commands on different aggregates hardly meet.
const SHARDS: usize = 64;

type Shard = Mutex<HashMap<AggregateId, Arc<tokio::sync::Mutex<()>>>>;

/// Locks by aggregate; memory is held only for those in use.
pub(super) struct KeyedLocks {
    shards: Box<[Shard]>,
    hasher: RandomState,
}

impl Default for KeyedLocks {
    fn default() -> Self {
        Self { shards: (0..SHARDS).map(|_| Shard::default()).collect(), hasher: RandomState::new() }
    }
}

/// Releases its aggregate when dropped.
pub(super) struct Locked<'l> {
    shard: &'l Shard,
    id: AggregateId,
    guard: Option<OwnedMutexGuard<()>>,
}

impl KeyedLocks {
    /// Waits, first come first served.
    pub(super) async fn lock(&self, id: AggregateId) -> Locked<'_> {
        let shard = &self.shards[self.hasher.hash_one(id) as usize % SHARDS];
        let lock = Arc::clone(shard.lock().entry(id).or_default());
        // Made first: a caller that gives up waiting tidies up as well.
        let mut locked = Locked { shard, id, guard: None };
        locked.guard = Some(lock.lock_owned().await);
        locked
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        let mut shard = self.shard.lock();
        self.guard = None;
        // Whoever wants it holds a clone, taken under the shard's lock.
        if shard.get(&self.id).is_some_and(|lock| Arc::strong_count(lock) == 1) {
            shard.remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;

    fn held(locks: &KeyedLocks) -> usize {
        locks.shards.iter().map(|shard| shard.lock().len()).sum()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn one_at_a_time_per_aggregate_and_nothing_left_behind() {
        let locks = Arc::new(KeyedLocks::default());
        let id = AggregateId::new();
        let inside = Arc::new(AtomicUsize::new(0));
        let tasks: Vec<_> = (0..50)
            .map(|_| {
                let (locks, inside) = (Arc::clone(&locks), Arc::clone(&inside));
                tokio::spawn(async move {
                    let _locked = locks.lock(id).await;
                    assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                    tokio::task::yield_now().await;
                    inside.fetch_sub(1, Ordering::SeqCst);
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(held(&locks), 0);
    }

    #[tokio::test]
    async fn who_gives_up_waiting_leaves_nothing_behind() {
        let locks = KeyedLocks::default();
        let id = AggregateId::new();
        let first = locks.lock(id).await;
        let waited = tokio::time::timeout(Duration::from_millis(5), locks.lock(id)).await;
        assert!(waited.is_err());
        assert_eq!(held(&locks), 1);
        drop(first);
        assert_eq!(held(&locks), 0);
    }

    #[tokio::test]
    async fn aggregates_do_not_wait_for_each_other() {
        let locks = KeyedLocks::default();
        let _first = locks.lock(AggregateId::new()).await;
        let _second = locks.lock(AggregateId::new()).await;
        assert_eq!(held(&locks), 2);
    }
}

//! Recent aggregates, kept so that their next command need not load them.

use quick_cache::sync::Cache;

use crate::aggregate::Loaded;
use crate::ids::AggregateId;

/// A bounded cache; `None` for a capacity of 0. What it holds may be old: only a
/// reservation can tell.
pub(super) struct RecentAggregates<A> {
    cache: Option<Cache<AggregateId, Loaded<A>>>,
}

impl<A: Clone> RecentAggregates<A> {
    pub(super) fn new(capacity: usize) -> Self {
        Self { cache: (capacity > 0).then(|| Cache::new(capacity)) }
    }

    /// Takes an aggregate out: whoever fails while working on it leaves nothing wrong behind.
    pub(super) fn take(&self, id: AggregateId) -> Option<Loaded<A>> {
        self.cache.as_ref()?.remove(&id).map(|(_, loaded)| loaded)
    }

    /// Puts an aggregate in as it is now.
    pub(super) fn put(&self, loaded: &Loaded<A>) {
        if let Some(cache) = &self.cache
            && loaded.version > 0
        {
            cache.insert(loaded.id, loaded.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loaded(version: i64) -> Loaded<i64> {
        Loaded {
            id: AggregateId::new(),
            state: version,
            version,
            last_committed_at: 0,
            last_write_time: 0,
            last_commit: None,
        }
    }

    #[test]
    fn what_is_put_is_taken_once() {
        let cache = RecentAggregates::new(10);
        let aggregate = loaded(3);
        cache.put(&aggregate);
        assert_eq!(cache.take(aggregate.id).map(|l| l.version), Some(3));
        assert!(cache.take(aggregate.id).is_none());
    }

    #[test]
    fn the_capacity_holds_and_nought_is_none() {
        let cache = RecentAggregates::new(10);
        let all: Vec<_> = (1..=100).map(loaded).collect();
        all.iter().for_each(|l| cache.put(l));
        assert!(all.iter().filter(|l| cache.take(l.id).is_some()).count() <= 10);
        let none = RecentAggregates::new(0);
        none.put(&all[0]);
        assert!(none.take(all[0].id).is_none());
    }
}

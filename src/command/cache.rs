//! Recent aggregates, kept so that their next command need not load them.

use quick_cache::sync::Cache;

use crate::command::known::Known;
use crate::ids::AggregateId;

/// A bounded cache; `None` for a capacity of 0. What it holds may be old: only a
/// reservation can tell.
pub(super) struct RecentAggregates<A> {
    cache: Option<Cache<AggregateId, Known<A>>>,
}

impl<A: Clone> RecentAggregates<A> {
    pub(super) fn new(capacity: usize) -> Self {
        Self { cache: (capacity > 0).then(|| Cache::new(capacity)) }
    }

    /// Takes an aggregate out: whoever fails while working on it leaves nothing wrong behind.
    pub(super) fn take(&self, id: AggregateId) -> Option<Known<A>> {
        self.cache.as_ref()?.remove(&id).map(|(_, known)| known)
    }

    /// Puts an aggregate in as it is now.
    pub(super) fn put(&self, known: &Known<A>) {
        if let Some(cache) = &self.cache
            && known.loaded.version > 0
        {
            cache.insert(known.loaded.id, known.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aggregate::Loaded;

    fn known(version: i64) -> Known<i64> {
        Known::read(Loaded {
            id: AggregateId::new(),
            state: version,
            version,
            last_committed_at: 0,
            last_write_time: 0,
            last_commit: None,
        })
    }

    #[test]
    fn what_is_put_is_taken_once() {
        let cache = RecentAggregates::new(10);
        let aggregate = known(3);
        cache.put(&aggregate);
        assert_eq!(cache.take(aggregate.loaded.id).map(|k| k.loaded.version), Some(3));
        assert!(cache.take(aggregate.loaded.id).is_none());
    }

    #[test]
    fn the_capacity_holds_and_nought_is_none() {
        let cache = RecentAggregates::new(10);
        let all: Vec<_> = (1..=100).map(known).collect();
        all.iter().for_each(|k| cache.put(k));
        assert!(all.iter().filter(|k| cache.take(k.loaded.id).is_some()).count() <= 10);
        let none = RecentAggregates::new(0);
        none.put(&all[0]);
        assert!(none.take(all[0].loaded.id).is_none());
    }
}

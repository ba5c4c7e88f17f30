//! The streams there are: one sequence of generations for all keyspaces on vnodes, and one
//! for each table of a keyspace on tablets.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::generation::{GenerationInfo, generate, generate_tablets, random_tokens};
use crate::store::Clock;

/// How long before the node's start its first generation began: a real node has had one
/// since its first boot.
const FIRST_GENERATION_AGE_MILLIS: i64 = 60_000;

/// A table's first streams begin this long before the table, so that a client whose clock
/// is a little behind can write to it. Source: ScyllaDB, cdc/log.cc,
/// `on_before_allocate_tablet_map`.
const FIRST_TABLET_STREAMS_AGE_MILLIS: i64 = 5_000;

/// From the oldest to the newest.
type Generations = Vec<Arc<GenerationInfo>>;

/// What of the streams outlives a restart.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct StreamsState {
    /// The node's tokens.
    pub tokens: Vec<i64>,
    /// The generations of all keyspaces on vnodes, the oldest first.
    pub vnodes: Vec<GenerationInfo>,
    /// The generations of tables on tablets, by the id of the log table.
    pub tablets: BTreeMap<Uuid, Vec<GenerationInfo>>,
}

/// The generations of streams that a node knows.
#[derive(Debug)]
pub struct Streams {
    tokens: Vec<i64>,
    vnodes: RwLock<Generations>,
    /// By the id of the log table.
    tablets: RwLock<HashMap<Uuid, Generations>>,
    clock: Arc<Clock>,
}

impl Streams {
    /// With a first generation for vnodes that began a minute ago.
    pub(super) fn new(vnodes: usize, clock: Arc<Clock>) -> Self {
        let tokens = random_tokens(vnodes);
        let first = generate(clock.now_millis() - FIRST_GENERATION_AGE_MILLIS, &tokens);
        Self {
            tokens,
            vnodes: RwLock::new(vec![Arc::new(first)]),
            tablets: RwLock::default(),
            clock,
        }
    }

    /// As they were in an earlier run.
    pub(super) fn restored(state: StreamsState, clock: Arc<Clock>) -> Self {
        let shared = |generations: Vec<GenerationInfo>| -> Generations {
            generations.into_iter().map(Arc::new).collect()
        };
        let tablets = state.tablets.into_iter().map(|(log, all)| (log, shared(all))).collect();
        Self {
            tokens: state.tokens,
            vnodes: RwLock::new(shared(state.vnodes)),
            tablets: RwLock::new(tablets),
            clock,
        }
    }

    /// What `Streams::restored` takes.
    pub fn state(&self) -> StreamsState {
        let owned = |all: &Generations| all.iter().map(|g| (**g).clone()).collect();
        StreamsState {
            tokens: self.tokens.clone(),
            vnodes: self.generations(),
            tablets: self.tablets.read().iter().map(|(log, all)| (*log, owned(all))).collect(),
        }
    }

    /// The node's tokens (`system.local.tokens`), one for each vnode.
    pub fn tokens(&self) -> &[i64] {
        &self.tokens
    }

    /// The generations of all keyspaces on vnodes, the oldest first.
    pub fn generations(&self) -> Vec<GenerationInfo> {
        self.vnodes.read().iter().map(|generation| (**generation).clone()).collect()
    }

    /// Adds a generation with other streams that begins after `delay`; returns it. Writes
    /// whose timestamps are later go to it.
    pub fn new_generation(&self, delay: Duration) -> GenerationInfo {
        let mut generations = self.vnodes.write();
        let generation = generate(self.start(&generations, delay), &self.tokens);
        generations.push(Arc::new(generation.clone()));
        generation
    }

    /// Gives a log table its first streams, one for each of so many tablets.
    pub fn open_table(&self, log: Uuid, tablets: usize) -> GenerationInfo {
        let time = self.clock.now_millis() - FIRST_TABLET_STREAMS_AGE_MILLIS;
        let first = generate_tablets(time, tablets);
        self.tablets.write().insert(log, vec![Arc::new(first.clone())]);
        first
    }

    /// The generations of a log table on tablets, the oldest first; empty for another.
    pub fn table_generations(&self, log: Uuid) -> Vec<GenerationInfo> {
        let tablets = self.tablets.read();
        tablets.get(&log).into_iter().flatten().map(|g| (**g).clone()).collect()
    }

    /// Splits or merges a table: streams for so many tablets, after `delay`. Returns the
    /// last generation before, and the new one; `None` for a log that is not on tablets.
    pub fn resize_table(
        &self,
        log: Uuid,
        tablets: usize,
        delay: Duration,
    ) -> Option<(GenerationInfo, GenerationInfo)> {
        let mut all = self.tablets.write();
        let generations = all.get_mut(&log)?;
        let generation = generate_tablets(self.start(generations, delay), tablets);
        let before = (**generations.last()?).clone();
        generations.push(Arc::new(generation.clone()));
        Some((before, generation))
    }

    /// Forgets the streams of a log table that is gone; false if it had none of its own.
    pub fn close_table(&self, log: Uuid) -> bool {
        self.tablets.write().remove(&log).is_some()
    }

    /// What the writes to a table with this log are distributed by.
    pub(super) fn of(&self, log: Uuid) -> Generations {
        if let Some(generations) = self.tablets.read().get(&log) {
            return generations.clone();
        }
        self.vnodes.read().clone()
    }

    /// When a new generation begins. Never in the present millisecond: writes of that time
    /// may already be in the streams of the former one, where nobody would look for them.
    fn start(&self, known: &Generations, delay: Duration) -> i64 {
        let delay = i64::try_from(delay.as_millis()).unwrap_or(i64::MAX / 2);
        let wanted = self.clock.now_millis().saturating_add(1).saturating_add(delay);
        known.last().map_or(wanted, |last| wanted.max(last.time + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_on_tablets_has_generations_of_its_own() {
        let streams = Streams::new(4, Arc::new(Clock::new()));
        let (on_vnodes, on_tablets) = (Uuid::new_v4(), Uuid::new_v4());
        let first = streams.open_table(on_tablets, 3);
        assert_eq!(first.streams.len(), 4, "tablets come in powers of two");
        let (before, split) = streams.resize_table(on_tablets, 8, Duration::ZERO).unwrap();
        assert_eq!(before, first);
        assert!(split.time > first.time && split.streams.len() == 8);
        assert_eq!(streams.table_generations(on_tablets), [first, split]);
        assert_eq!(streams.of(on_tablets).len(), 2);
        assert_eq!(streams.of(on_vnodes).len(), 1);
        assert_eq!(streams.resize_table(on_vnodes, 8, Duration::ZERO), None);
        assert!(streams.close_table(on_tablets));
        assert_eq!(streams.of(on_tablets).len(), 1, "as of any other table");
    }

    #[test]
    fn a_generation_begins_after_the_present_millisecond() {
        let clock = Arc::new(Clock::new());
        let streams = Streams::new(1, clock.clone());
        let written = clock.now_micros();
        let generation = streams.new_generation(Duration::ZERO);
        assert!(generation.time * 1000 > written);
        assert!(streams.new_generation(Duration::ZERO).time > generation.time);
    }
}

//! A handler that remembers, and groups quick enough for tests.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use messina::consumer::{ConsumerGroup, EventHandler, GroupBuilder, Handled, HandlerError};
use messina::{AggregateId, CommandHandler, EventEnvelope, EventStore};
use parking_lot::Mutex;

use crate::support::{Account, AccountCommand, quick};

/// What a handler has seen: per aggregate, the sequence numbers in order of arrival.
#[derive(Default)]
pub struct Seen {
    pub events: Mutex<HashMap<AggregateId, Vec<i64>>>,
    pub calls: AtomicU64,
    /// While set, every event is refused for a passing reason.
    pub away: AtomicBool,
    /// Unless 0: when it has seen so many, every event is refused for a passing reason.
    pub enough: AtomicUsize,
    /// Time that each event takes.
    pub delay: Option<Duration>,
}

impl Seen {
    pub fn total(&self) -> usize {
        self.events.lock().values().map(Vec::len).sum()
    }

    /// Whether every aggregate's last event has been seen.
    pub fn has_all(&self, expected: &HashMap<AggregateId, i64>) -> bool {
        let events = self.events.lock();
        expected.iter().all(|(id, version)| events.get(id).is_some_and(|n| n.contains(version)))
    }

    /// Checks that first sightings are in order and complete: 1, 2, …, `version`.
    #[track_caller]
    pub fn assert_complete(&self, expected: &HashMap<AggregateId, i64>) {
        let events = self.events.lock();
        for (id, version) in expected {
            let mut first = Vec::new();
            for number in events.get(id).unwrap_or_else(|| panic!("nothing of {id}")) {
                if !first.contains(number) {
                    first.push(*number);
                }
            }
            assert_eq!(first, (1..=*version).collect::<Vec<_>>(), "first deliveries of {id}");
        }
    }
}

/// Hands everything to a [`Seen`].
#[derive(Clone)]
pub struct Recorder(pub Arc<Seen>);

#[async_trait]
impl EventHandler for Recorder {
    fn accepts(&self, aggregate_type: &str) -> bool {
        aggregate_type == "Account"
    }

    async fn handle(&self, event: &EventEnvelope) -> Result<Handled, HandlerError> {
        self.0.calls.fetch_add(1, Ordering::Relaxed);
        let enough = self.0.enough.load(Ordering::Relaxed);
        let enough = enough > 0 && self.0.total() >= enough;
        if enough || self.0.away.load(Ordering::Relaxed) {
            return Err(HandlerError::retry("away"));
        }
        if let Some(delay) = self.0.delay {
            tokio::time::sleep(delay).await;
        }
        self.0.events.lock().entry(event.aggregate_id).or_default().push(event.sequence_number);
        Ok(Handled::Done)
    }
}

/// A group with settings for tests.
pub fn group(store: &EventStore, name: &str, handler: impl EventHandler) -> GroupBuilder {
    ConsumerGroup::builder(store.clone(), name, handler).settings(quick())
}

/// Opens accounts and makes `commands` deposits in each; the accounts' versions.
pub async fn fill(
    store: &EventStore,
    accounts: usize,
    commands: usize,
) -> HashMap<AggregateId, i64> {
    let handler = CommandHandler::<Account>::new(store.clone());
    let tasks: Vec<_> = (0..accounts)
        .map(|n| {
            let handler = handler.clone();
            tokio::spawn(async move {
                let id = AggregateId::new();
                let open = AccountCommand::Open { owner: format!("owner {n}") };
                let mut version = handler.execute(id, open).await.unwrap().version;
                for k in 0..commands {
                    let deposit = AccountCommand::DepositMany { times: 1 + k % 3 };
                    version = handler.execute(id, deposit).await.unwrap().version;
                }
                (id, version)
            })
        })
        .collect();
    let mut versions = HashMap::new();
    for task in tasks {
        let (id, version) = task.await.unwrap();
        versions.insert(id, version);
    }
    versions
}

/// How many events these versions stand for.
pub fn events(versions: &HashMap<AggregateId, i64>) -> usize {
    versions.values().sum::<i64>() as usize
}

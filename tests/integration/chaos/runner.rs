//! A runner: all groups in one process, to be killed.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use messina::consumer::{
    ConsumerGroup, EventHandler, GroupSettings, Handled, HandlerError, RunningGroup,
};
use messina::projection::ProjectionHandler;
use messina::{AggregateId, EventEnvelope, EventStore};
use scylla::client::session_builder::SessionBuilder;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::projection::model::Balances;
use crate::support::whole_lines;

/// Groups that write down what they are given, each into a file of this name.
pub const RECORDING: [&str; 4] = [ORDERED, SLICED, REFUSING, SLOW];
pub const ORDERED: &str = "ordered";
/// Divided in three.
pub const SLICED: &str = "sliced";
/// Refuses some events for good.
pub const REFUSING: &str = "refusing";
/// Takes its time, and is paused for a while.
pub const SLOW: &str = "slow";
/// The projection's.
pub const BALANCES: &str = "balances";

/// How long a runner's lease lives unless it is renewed.
pub const LEASE: Duration = Duration::from_secs(3);

const ORDERS: &str = "CHAOS_ORDERS";

/// What a runner is told, by its environment.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Orders {
    pub uri: String,
    pub keyspace: String,
    pub directory: PathBuf,
    /// The groups' safety interval.
    pub safety: Duration,
}

impl Orders {
    pub fn environment(&self) -> (&'static str, String) {
        (ORDERS, serde_json::to_string(self).unwrap())
    }
}

/// Whether the refusing group will never handle this event: one of 29, evenly over the
/// aggregates.
pub fn is_refused(id: AggregateId, sequence_number: i64) -> bool {
    let number = u128::try_from(sequence_number).unwrap();
    (id.0.as_u128() % 1_000_003 + number).is_multiple_of(29)
}

/// A line for each event that is handled. Lines of several processes are in the order in
/// which they were written, and none is lost when the process is killed.
struct Recorder {
    file: File,
    refuses: bool,
    takes: Duration,
}

#[async_trait]
impl EventHandler for Recorder {
    async fn handle(&self, event: &EventEnvelope) -> Result<Handled, HandlerError> {
        let (id, number) = (event.aggregate_id, event.sequence_number);
        if !self.takes.is_zero() {
            tokio::time::sleep(self.takes).await;
        }
        if self.refuses && is_refused(id, number) {
            return Err(HandlerError::poison(format!("event {number} is refused")));
        }
        let line = format!("{} {id} {number}\n", std::process::id());
        (&self.file).write_all(line.as_bytes()).map_err(HandlerError::retry)?;
        Ok(Handled::Done)
    }
}

/// The events that a group's processes have handled, in order; `None` while nothing is there.
pub fn handled(directory: &Path, group: &str) -> Vec<(AggregateId, i64)> {
    let event = |line: &str| {
        let mut parts = line.split(' ').skip(1);
        Some((parts.next()?.parse::<Uuid>().ok()?, parts.next()?.parse().ok()?))
    };
    let event = |line: &str| event(line).unwrap_or_else(|| panic!("{group}: {line:?}"));
    let lines = whole_lines(&directory.join(group));
    lines.iter().map(|line| event(line)).map(|(id, number)| (AggregateId(id), number)).collect()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a process of the chaos test"]
async fn runner_process() {
    let Ok(orders) = std::env::var(ORDERS) else { return };
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::INFO)
        .with_ansi(false)
        .with_writer(std::io::stderr)
        .init();
    let orders: Orders = serde_json::from_str(&orders).unwrap();
    let store = connected(&orders).await;
    let mut groups = Vec::new();
    for name in RECORDING.into_iter().chain([BALANCES]) {
        groups.push(started(&store, &orders, name).await);
    }
    let ends = groups.iter_mut().map(RunningGroup::finished);
    for ended in futures::future::join_all(ends).await {
        ended.unwrap();
    }
}

/// Whatever goes wrong while it connects goes by.
async fn connected(orders: &Orders) -> EventStore {
    loop {
        let store = async {
            let session = SessionBuilder::new().known_node(&orders.uri).build().await?;
            let store = EventStore::connect(Arc::new(session), orders.keyspace.clone()).await?;
            Ok::<_, Box<dyn std::error::Error>>(store)
        };
        match store.await {
            Ok(store) => return store,
            Err(error) => tracing::warn!(%error, "not connected yet"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn started(store: &EventStore, orders: &Orders, name: &str) -> RunningGroup {
    loop {
        let builder = if name == BALANCES {
            let handler = ProjectionHandler::new(store, Balances);
            ConsumerGroup::builder(store.clone(), name, handler)
        } else {
            let path = orders.directory.join(name);
            let recorder = Recorder {
                file: OpenOptions::new().append(true).create(true).open(path).unwrap(),
                refuses: name == REFUSING,
                takes: Duration::from_millis(if name == SLOW { 20 } else { 0 }),
            };
            ConsumerGroup::builder(store.clone(), name, recorder)
        };
        match builder.settings(settings(orders, name)).start().await {
            Ok(group) => return group,
            Err(error) => tracing::warn!(%error, name, "not started yet"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn settings(orders: &Orders, name: &str) -> GroupSettings {
    GroupSettings {
        safety_interval: orders.safety,
        sweep_interval: Duration::from_millis(250),
        checkpoint_interval: Duration::from_millis(300),
        retry_delay: (Duration::from_millis(20), Duration::from_secs(1)),
        lease_ttl: LEASE,
        poison_attempts: 2,
        slices: (name == SLICED).then_some(3),
        ..GroupSettings::default()
    }
}

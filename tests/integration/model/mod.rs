//! Many writers in several processes, few aggregates, and everything that can go wrong.
//!
//! The processes are this test binary, started again: one is the node, the others write. The
//! commands, faults and kills follow from `MODEL_SEED` (printed; the timing is the
//! machine's); `MODEL_COMMANDS` says how many there are. With `SCYLLA_URI` writers are killed
//! and nothing else is broken.

mod check;
mod faults;
mod journal;
mod writer;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use messina::{AggregateId, CommandHandler, EventStore, Schema};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use scylla::client::session_builder::SessionBuilder;

use crate::support::{Account, AccountCommand, again, peace, start_node};
use writer::Orders;

/// Enough for a run of the suite; CI asks for more.
const COMMANDS: usize = 600;
const PROCESSES: usize = 3;
const COMMANDS_PER_PROCESS: usize = 90;
const ACCOUNTS: usize = 4;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a process of the model-based test"]
async fn writer_process() {
    if let Some(orders) = Orders::of_environment() {
        writer::run(orders).await;
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

struct Directory(PathBuf);

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Lets processes write, one after the other, half of them killed on the way.
async fn writers(slot: usize, orders: Orders, processes: usize, mut random: StdRng) {
    for n in 0..processes {
        let orders = Orders {
            seed: random.random_range(0..1 << 40),
            journal: orders.journal.join(format!("{slot}-{n}")),
            ..orders.clone()
        };
        let mut child = again("model::writer_process")
            .envs(orders.environment())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        if random.random_bool(0.5) {
            let patience = Duration::from_millis(random.random_range(50..2_500));
            if let Ok(ended) = tokio::time::timeout(patience, child.wait()).await {
                assert!(ended.unwrap().success(), "a writer failed: {orders:?}");
            } else {
                child.kill().await.unwrap();
            }
        } else {
            assert!(child.wait().await.unwrap().success(), "a writer failed: {orders:?}");
        }
    }
}

async fn account(store: &EventStore) -> AggregateId {
    let id = AggregateId::new();
    let handler = CommandHandler::<Account>::new(store.clone());
    handler.execute(id, AccountCommand::Open { owner: "ann".to_owned() }).await.unwrap();
    id
}

fn journals(directory: &Path) -> Directory {
    std::fs::create_dir_all(directory).unwrap();
    Directory(directory.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_doubled_whatever_goes_wrong() {
    let seed = number("MODEL_SEED").unwrap_or_else(|| rand::rng().random_range(0..1 << 40));
    let commands = number("MODEL_COMMANDS").map_or(COMMANDS, |n| n as usize);
    println!("MODEL_SEED={seed} MODEL_COMMANDS={commands}");
    let mut random = StdRng::seed_from_u64(seed);
    let (node, uri) = match std::env::var("SCYLLA_URI") {
        Ok(uri) => (None, uri),
        Err(_) => {
            let (node, uri) = start_node().await;
            (Some(node), uri)
        }
    };
    let session = SessionBuilder::new().known_node(&uri).build().await.unwrap();
    let session = std::sync::Arc::new(session);
    let keyspace = format!("model_{}", uuid::Uuid::new_v4().simple());
    Schema::new(&keyspace).apply(&session).await.unwrap();
    let store = EventStore::connect(session.clone(), &keyspace).await.unwrap();
    let mut accounts = Vec::new();
    for _ in 0..ACCOUNTS {
        accounts.push(account(&store).await);
    }
    let directory = journals(&std::env::temp_dir().join(&keyspace));
    let orders = Orders {
        uri,
        keyspace: keyspace.clone(),
        seed,
        commands: COMMANDS_PER_PROCESS,
        accounts: accounts.clone(),
        journal: directory.0.clone(),
    };
    let processes = commands.div_ceil(PROCESSES * COMMANDS_PER_PROCESS);
    let began = Instant::now();
    let slots = (0..PROCESSES).map(|slot| {
        let random = StdRng::seed_from_u64(random.random());
        writers(slot, orders.clone(), processes, random)
    });
    let all = futures::future::join_all(slots.collect::<Vec<_>>());
    if node.is_some() {
        let trouble = faults::trouble(&session, &keyspace, StdRng::seed_from_u64(random.random()));
        tokio::select! {
            _ = all => {}
            () = trouble => {}
        }
        peace(&session, Duration::from_secs(1)).await;
    } else {
        all.await;
    }
    // What faults delayed, and the 4 s that a clock was ahead, go by before the last word.
    let settled = Instant::now() + Duration::from_secs(if node.is_some() { 5 } else { 1 });
    tokio::time::sleep_until(settled.into()).await;
    for id in &accounts {
        store.complete_pending(*id).await.unwrap();
    }
    let told = journal::read(&directory.0);
    let report = check::check(&session, &keyspace, &accounts, &told).await;
    println!("{} commands in {:?}: {report:?}", told.len(), began.elapsed());
    assert!(report.acknowledged * 20 > told.len(), "too little was carried out: {report:?}");
}

//! Consumer groups while everything goes wrong that can.
//!
//! Several runner processes with all groups each, killed at random; a node in a process of
//! its own with late, doubled and failing everything; writers meanwhile. The test binary is
//! all of these processes. When it has become quiet every group has handled every event, in
//! order, or holds it in the dead letters, and the read model is the fold of `event_store`.
//!
//! `CHAOS_SECONDS` says how long it goes on, `CHAOS_LATE_SECONDS` how late rows of the log
//! are at most, `CHAOS_SEED` (printed) what happens; the timing is the machine's.
//! `CHAOS_SAFETY_SECONDS` is the groups' safety interval, by default two seconds more than
//! rows are late; with less the test fails, as it should. With `SCYLLA_URI` runners are
//! killed and suspended, a group is paused, and nothing else is broken.

mod check;
mod faults;
mod runner;
mod writers;

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use messina::EventStore;
use messina::consumer::{GroupControl, SliceStatus};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use scylla::client::session_builder::SessionBuilder;
use tokio::process::Child;

use crate::projection::model::TABLES;
use crate::support::{TestDb, again, peace, start_node};
use runner::{Orders, SLOW};

const RUNNERS: usize = 3;

/// How long it goes on in the suite.
const SECONDS: u64 = 25;

/// How late rows of the log are in the suite.
const LATE_SECONDS: u64 = 4;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

/// The runners' processes.
struct Runners {
    orders: Orders,
    up: Vec<Child>,
    started: usize,
}

impl Runners {
    fn new(orders: Orders) -> Self {
        let mut runners = Self { orders, up: Vec::new(), started: 0 };
        while runners.up.len() < RUNNERS {
            runners.start();
        }
        runners
    }

    fn start(&mut self) {
        self.started += 1;
        let log = self.orders.directory.join(format!("runner-{}.log", self.started));
        let child = again("chaos::runner::runner_process")
            .envs([self.orders.environment()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(log).unwrap())
            .spawn()
            .unwrap();
        self.up.push(child);
    }

    /// Those that are suspended go on.
    fn go_on(&self) {
        for child in &self.up {
            signal(child, "-CONT");
        }
    }

    /// None of them ended by itself: no group halts.
    fn assert_up(&mut self) {
        for child in &mut self.up {
            assert_eq!(child.try_wait().unwrap(), None, "a runner ended by itself");
        }
    }

    /// Kills one now and then, and starts another, for ever. Now and then one is suspended
    /// instead, for longer than its leases live.
    async fn kill(&mut self, random: &mut StdRng) {
        for n in 1.. {
            tokio::time::sleep(Duration::from_millis(random.random_range(2_000..6_000))).await;
            self.assert_up();
            if n % 4 == 0 {
                let child = &self.up[random.random_range(0..self.up.len())];
                signal(child, "-STOP");
                tokio::time::sleep(runner::LEASE + Duration::from_secs(1)).await;
                signal(child, "-CONT");
                continue;
            }
            let mut child = self.up.swap_remove(random.random_range(0..self.up.len()));
            child.kill().await.unwrap();
            tokio::time::sleep(Duration::from_millis(random.random_range(0..1_000))).await;
            self.start();
        }
    }

    /// Asks the groups to stop until all have: a runner that has just been started follows
    /// what it is asked from then on.
    async fn stop(&mut self, control: &GroupControl) {
        let began = Instant::now();
        for child in &mut self.up {
            let ended = loop {
                for group in runner::RECORDING.into_iter().chain([runner::BALANCES]) {
                    control.stop(group).await.unwrap();
                }
                match tokio::time::timeout(Duration::from_secs(5), child.wait()).await {
                    Ok(ended) => break ended.unwrap(),
                    Err(_) if began.elapsed() < Duration::from_secs(60) => {}
                    Err(_) => panic!("a runner does not stop"),
                }
            };
            assert!(ended.success());
        }
    }
}

fn signal(child: &Child, signal: &str) {
    let id = child.id().unwrap().to_string();
    let status = std::process::Command::new("kill").args([signal, &id]).status();
    assert!(status.unwrap().success());
}

/// Pauses a group for a while: nothing of it is handled meanwhile.
async fn pause(store: &EventStore, directory: &Path, lasts: Duration) {
    let control = patiently("a control", || GroupControl::connect(store)).await;
    patiently("a pause", || control.pause(SLOW)).await;
    patiently("nobody at work", || control.wait_idle(SLOW, Duration::from_secs(20))).await;
    let before = runner::handled(directory, SLOW).len();
    tokio::time::sleep(lasts).await;
    assert_eq!(runner::handled(directory, SLOW).len(), before, "handled while paused");
    patiently("to resume", || control.resume(SLOW)).await;
}

/// Asks again while the answer is an error: faults hit the test's requests, too.
async fn patiently<T, E, F>(what: &str, mut ask: impl FnMut() -> F) -> T
where
    E: std::fmt::Display,
    F: Future<Output = Result<T, E>>,
{
    for _ in 0..100 {
        match ask().await {
            Ok(answer) => return answer,
            Err(error) => println!("{what}: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{what}: in vain");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_group_handles_every_event_in_order_whatever_goes_wrong() {
    let seed = number("CHAOS_SEED").unwrap_or_else(|| rand::rng().random_range(0..1 << 40));
    let lasts = Duration::from_secs(number("CHAOS_SECONDS").unwrap_or(SECONDS));
    let late = Duration::from_secs(number("CHAOS_LATE_SECONDS").unwrap_or(LATE_SECONDS));
    // A late row may also be one of a batch that took its time.
    let safety =
        number("CHAOS_SAFETY_SECONDS").map_or(late + Duration::from_secs(2), Duration::from_secs);
    println!(
        "CHAOS_SEED={seed} CHAOS_SECONDS={} CHAOS_LATE_SECONDS={}",
        lasts.as_secs(),
        late.as_secs()
    );
    let mut random = StdRng::seed_from_u64(seed);
    let (node, uri) = match std::env::var("SCYLLA_URI") {
        Ok(uri) => (None, uri),
        Err(_) => {
            let (node, uri) = start_node().await;
            (Some(node), uri)
        }
    };
    let db = TestDb::at(&uri).await.with_schema(&[TABLES]).await;
    let store = db.store().await;
    let directory = tempfile::tempdir().unwrap();
    let orders = Orders {
        uri: uri.clone(),
        keyspace: db.keyspace.clone(),
        directory: directory.path().to_owned(),
        safety,
    };
    // What is asked of the node goes by connections of its own.
    let troubling = SessionBuilder::new().known_node(&uri).build().await.unwrap();
    let mut runners = Runners::new(orders);
    let stop = Arc::new(AtomicBool::new(false));
    let writing = {
        let (store, stop, seed) = (store.clone(), Arc::clone(&stop), random.random());
        tokio::spawn(async move { writers::write(&store, seed, stop).await })
    };
    if node.is_some() {
        faults::steady(&troubling, &db.keyspace, late, seed).await;
    }
    let trouble = async {
        let random = StdRng::seed_from_u64(random.random());
        match node.is_some() {
            true => faults::trouble(&troubling, &db.keyspace, random).await,
            false => std::future::pending().await,
        }
    };
    let mut killing = StdRng::seed_from_u64(seed);
    let pausing = async {
        tokio::time::sleep(lasts / 3).await;
        pause(&store, directory.path(), lasts / 5).await;
        // For ever, as the others.
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = trouble => {}
        () = runners.kill(&mut killing) => {}
        () = pausing => {}
        () = tokio::time::sleep(lasts) => {}
    }
    stop.store(true, Ordering::Relaxed);
    let ids = writing.await.unwrap();
    runners.go_on();
    let mut hits = BTreeMap::new();
    if node.is_some() {
        hits = patiently("the faults", || faults::hits(&troubling)).await;
        peace(&troubling, Duration::from_secs(2)).await;
    }
    let control = patiently("a control", || GroupControl::connect(&store)).await;
    patiently("to resume", || control.resume(SLOW)).await;
    while runners.up.len() < RUNNERS {
        runners.start();
    }
    let histories = check::histories(&store, &ids).await;
    let quiet = Instant::now();
    let mut missing = check::missing(&db, &histories, directory.path()).await;
    while let Some(what) = missing {
        if quiet.elapsed() > late * 2 + Duration::from_secs(180) {
            let kept = directory.keep();
            panic!("waited in vain, see {}: {what}", kept.display());
        }
        runners.assert_up();
        tokio::time::sleep(Duration::from_millis(500)).await;
        missing = check::missing(&db, &histories, directory.path()).await;
    }
    let took = quiet.elapsed();
    let report = check::check(&db, &histories, directory.path()).await;
    for group in runner::RECORDING.into_iter().chain([runner::BALANCES]) {
        let overview = control.overview(group).await.unwrap();
        let sum = |of: fn(&SliceStatus) -> Option<i64>| {
            overview.running.iter().filter_map(of).sum::<i64>()
        };
        println!(
            "{group}: {} duplicates, {} repaired, {} late, since the last runner took over",
            sum(|s| s.duplicates),
            sum(|s| s.repaired),
            sum(|s| s.late)
        );
    }
    runners.stop(&control).await;
    println!("faults: {hits:?}");
    println!("{} runners, level after {took:?}: {report:?}", runners.started);
}

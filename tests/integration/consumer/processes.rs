//! Runners in processes of their own: killed, and suspended.

use std::collections::HashMap;
use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use messina::consumer::{EventHandler, GroupSettings, Handled, HandlerError};
use messina::{AggregateId, EventEnvelope, EventStore};
use scylla::client::session_builder::SessionBuilder;

use super::recorder::{fill, group};
use crate::support::{TestDb, micros_now, quick, until, whole_lines};

const ADDRESS: &str = "MESSINA_TEST_ADDRESS";
const KEYSPACE: &str = "MESSINA_TEST_KEYSPACE";
const FILE: &str = "MESSINA_TEST_FILE";
const LEASE: &str = "MESSINA_TEST_LEASE_MS";

/// A lease that is not to lapse.
const LONG: Duration = Duration::from_secs(60);

/// Writes each event, and when, as a line of a file before it is done.
struct Lines(std::fs::File);

#[async_trait]
impl EventHandler for Lines {
    async fn handle(&self, event: &EventEnvelope) -> Result<Handled, HandlerError> {
        tokio::time::sleep(Duration::from_millis(2)).await;
        let (id, number) = (event.aggregate_id, event.sequence_number);
        let line = format!("{} {id} {number} {}\n", std::process::id(), micros_now());
        (&self.0).write_all(line.as_bytes()).map_err(HandlerError::retry)?;
        Ok(Handled::Done)
    }
}

/// Not a test: what the processes do that the tests below start.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "run by other tests, in a process of its own"]
async fn runner() {
    let Ok(address) = std::env::var(ADDRESS) else { return };
    let session = SessionBuilder::new().known_node(address).build().await.unwrap();
    let keyspace = std::env::var(KEYSPACE).unwrap();
    let store = EventStore::connect(Arc::new(session), keyspace).await.unwrap();
    let path = std::env::var(FILE).unwrap();
    let file = std::fs::OpenOptions::new().append(true).create(true).open(path).unwrap();
    let lease_ttl = Duration::from_millis(std::env::var(LEASE).unwrap().parse().unwrap());
    let settings = GroupSettings { lease_ttl, ..quick() };
    let mut running =
        group(&store, "processes", Lines(file)).settings(settings).start().await.unwrap();
    running.finished().await.unwrap();
}

/// A runner's process; killed at the end.
struct Runner(Child);

impl Runner {
    fn start(db: &TestDb, file: &std::path::Path, lease: Duration) -> Self {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "consumer::processes::runner", "--ignored", "--nocapture"])
            .env(ADDRESS, db.node_address())
            .env(KEYSPACE, &db.keyspace)
            .env(FILE, file)
            .env(LEASE, lease.as_millis().to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self(child)
    }

    fn signal(&self, signal: &str) {
        let id = self.0.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A line of the file.
struct Line {
    process: u32,
    id: AggregateId,
    number: i64,
    at: i64,
}

/// What the processes have handled.
fn handled(file: &std::path::Path) -> Vec<Line> {
    let lines = whole_lines(file).into_iter().map(|line| {
        let [process, id, number, at]: [&str; 4] =
            line.split(' ').collect::<Vec<_>>().try_into().unwrap();
        Line {
            process: process.parse().unwrap(),
            id: id.parse().unwrap(),
            number: number.parse().unwrap(),
            at: at.parse().unwrap(),
        }
    });
    lines.collect()
}

/// Waits until so many runners are up.
async fn until_up(db: &TestDb, count: usize) {
    let members = "SELECT runner FROM {}.consumer_members WHERE group_name = 'processes'";
    until("the runners are up", || async { db.count(members).await == count }).await;
}

#[track_caller]
fn assert_complete(file: &std::path::Path, versions: &HashMap<AggregateId, i64>) {
    let mut first: HashMap<AggregateId, Vec<i64>> = HashMap::new();
    for Line { id, number, .. } in handled(file) {
        let numbers = first.entry(id).or_default();
        if !numbers.contains(&number) {
            numbers.push(number);
        }
    }
    for (id, version) in versions {
        assert_eq!(first[id], (1..=*version).collect::<Vec<_>>(), "first deliveries of {id}");
    }
}

fn has_all(file: &std::path::Path, versions: &HashMap<AggregateId, i64>) -> bool {
    let handled = handled(file);
    let has = |id, version| handled.iter().any(|line| line.id == id && line.number == version);
    versions.iter().all(|(id, version)| has(*id, *version))
}

fn file() -> std::path::PathBuf {
    std::env::temp_dir().join(format!("messina-{}", uuid::Uuid::new_v4()))
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_active_process_is_killed_another_takes_over_when_its_lease_has_lapsed() {
    let db = TestDb::start().await;
    let store = db.store().await;
    let file = file();
    let lease = GroupSettings::default().lease_ttl;
    let first = Runner::start(&db, &file, lease);
    let mut versions = fill(&store, 10, 2).await;
    until("the first one handles", || async { !handled(&file).is_empty() }).await;
    let second = Runner::start(&db, &file, LONG);
    until_up(&db, 2).await;
    let writing = tokio::spawn(async move { fill(&store, 60, 4).await });
    until("it is in the middle", || async { handled(&file).len() > 60 }).await;
    let (killed, active) = (Instant::now(), first.0.id());
    first.signal("-KILL");
    let before = handled(&file);
    assert!(before.iter().all(|line| line.process == active), "one at a time");
    until("the second one handles", || async {
        handled(&file).iter().any(|line| line.process == second.0.id())
    })
    .await;
    let took = killed.elapsed();
    println!("taken over after {took:?}");
    assert!(took < lease + Duration::from_secs(15), "{took:?}");
    versions.extend(writing.await.unwrap());
    until("every event is handled", || async { has_all(&file, &versions) }).await;
    assert_complete(&file, &versions);
    std::fs::remove_file(file).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_was_suspended_handles_nothing_after_another_took_over() {
    let db = TestDb::start().await;
    let store = db.store().await;
    let file = file();
    let first = Runner::start(&db, &file, GroupSettings::default().lease_ttl);
    let mut versions = fill(&store, 10, 2).await;
    until("the first one handles", || async { !handled(&file).is_empty() }).await;
    let second = Runner::start(&db, &file, LONG);
    until_up(&db, 2).await;
    let writing = {
        let store = store.clone();
        tokio::spawn(async move { fill(&store, 60, 4).await })
    };
    until("it is in the middle", || async { handled(&file).len() > 60 }).await;
    first.signal("-STOP");
    until("the second one handles", || async {
        handled(&file).iter().any(|line| line.process == second.0.id())
    })
    .await;
    let woken = micros_now();
    first.signal("-CONT");
    versions.extend(writing.await.unwrap());
    versions.extend(fill(&store, 30, 4).await);
    until("every event is handled", || async { has_all(&file, &versions) }).await;
    // What it was writing when it was suspended it may have written.
    let first = first.0.id();
    let after = handled(&file).iter().filter(|l| l.process == first && l.at > woken).count();
    assert_eq!(after, 0, "what it was about to do it did not do");
    assert_complete(&file, &versions);
    std::fs::remove_file(file).unwrap();
}

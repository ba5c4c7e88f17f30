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
use crate::support::{TestDb, quick, until};

const ADDRESS: &str = "MESSINA_TEST_ADDRESS";
const KEYSPACE: &str = "MESSINA_TEST_KEYSPACE";
const FILE: &str = "MESSINA_TEST_FILE";

/// Writes each event as a line of a file before it is done.
struct Lines(std::fs::File);

#[async_trait]
impl EventHandler for Lines {
    async fn handle(&self, event: &EventEnvelope) -> Result<Handled, HandlerError> {
        tokio::time::sleep(Duration::from_millis(2)).await;
        let (id, number) = (event.aggregate_id, event.sequence_number);
        let line = format!("{} {id} {number}\n", std::process::id());
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
    // The lease of the defaults.
    let settings = GroupSettings { lease_ttl: GroupSettings::default().lease_ttl, ..quick() };
    let mut running =
        group(&store, "processes", Lines(file)).settings(settings).start().await.unwrap();
    running.finished().await.unwrap();
}

/// A runner's process; killed at the end.
struct Runner(Child);

impl Runner {
    fn start(db: &TestDb, file: &std::path::Path) -> Self {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "consumer::processes::runner", "--ignored", "--nocapture"])
            .env(ADDRESS, db.node_address())
            .env(KEYSPACE, &db.keyspace)
            .env(FILE, file)
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

/// What the processes have handled: by whom, and which event.
fn handled(file: &std::path::Path) -> Vec<(u32, AggregateId, i64)> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let lines = text.lines().map(|line| {
        let parts: Vec<&str> = line.split(' ').collect();
        (parts[0].parse().unwrap(), parts[1].parse().unwrap(), parts[2].parse().unwrap())
    });
    lines.collect()
}

#[track_caller]
fn assert_complete(file: &std::path::Path, versions: &HashMap<AggregateId, i64>) {
    let mut first: HashMap<AggregateId, Vec<i64>> = HashMap::new();
    for (_, id, number) in handled(file) {
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
    versions.iter().all(|(id, version)| handled.iter().any(|(_, i, n)| i == id && n == version))
}

fn file() -> std::path::PathBuf {
    std::env::temp_dir().join(format!("messina-{}", uuid::Uuid::new_v4()))
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_active_process_is_killed_another_takes_over_within_ten_seconds() {
    let db = TestDb::start().await;
    let store = db.store().await;
    let file = file();
    let first = Runner::start(&db, &file);
    let mut versions = fill(&store, 10, 2).await;
    until("the first one handles", || async { !handled(&file).is_empty() }).await;
    let second = Runner::start(&db, &file);
    let writing = tokio::spawn(async move { fill(&store, 60, 4).await });
    until("it is in the middle", || async { handled(&file).len() > 60 }).await;
    let (killed, active) = (Instant::now(), first.0.id());
    first.signal("-KILL");
    let before = handled(&file);
    assert!(before.iter().all(|(process, ..)| *process == active), "one at a time");
    until("the second one handles", || async {
        handled(&file).iter().any(|(process, ..)| *process == second.0.id())
    })
    .await;
    let took = killed.elapsed();
    println!("taken over after {took:?}");
    assert!(took < Duration::from_secs(10), "{took:?}");
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
    let first = Runner::start(&db, &file);
    let mut versions = fill(&store, 10, 2).await;
    until("the first one handles", || async { !handled(&file).is_empty() }).await;
    let second = Runner::start(&db, &file);
    let writing = {
        let store = store.clone();
        tokio::spawn(async move { fill(&store, 60, 4).await })
    };
    until("it is in the middle", || async { handled(&file).len() > 60 }).await;
    first.signal("-STOP");
    until("the second one handles", || async {
        handled(&file).iter().any(|(process, ..)| *process == second.0.id())
    })
    .await;
    let by_first = handled(&file).iter().filter(|(p, ..)| *p == first.0.id()).count();
    first.signal("-CONT");
    versions.extend(writing.await.unwrap());
    versions.extend(fill(&store, 30, 4).await);
    until("every event is handled", || async { has_all(&file, &versions) }).await;
    let after = handled(&file).iter().filter(|(p, ..)| *p == first.0.id()).count();
    assert_eq!(after, by_first, "what it was about to do it did not do");
    assert_complete(&file, &versions);
    std::fs::remove_file(file).unwrap();
}

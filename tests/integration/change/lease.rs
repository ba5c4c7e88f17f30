//! Several processes with one subscription.

use std::collections::BTreeSet;
use std::io::Write;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use messina::change::{ChangeEvent, ChangeHandler, ChangeSettings};
use messina::consumer::{GroupState, HandlerError};
use scylla::value::CqlValue;
use tokio::process::Child;
use tokio::sync::Semaphore;

use super::{Recorder, quick, run, subscription};
use crate::support::{TestDb, again, micros_now, until, whole_lines};

/// For leases that are not to lapse.
const LONG: Duration = Duration::from_secs(60);

const TABLE: &str = "CREATE TABLE {}.t (p int PRIMARY KEY) WITH cdc = {'enabled': true}";

async fn insert(db: &TestDb, keys: Range<i32>) {
    for p in keys {
        run(db, &[&format!("INSERT INTO {{}}.t (p) VALUES ({p})")]).await;
    }
}

fn key(change: &ChangeEvent) -> i32 {
    change.key.get("p").and_then(CqlValue::as_int).unwrap()
}

fn keys(recorder: &Recorder) -> BTreeSet<i32> {
    recorder.changes().iter().map(key).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_subscriptions_of_one_name_one_runs_and_the_other_goes_on_when_it_stops() {
    let db = TestDb::start().await;
    run(&db, &[TABLE]).await;
    let recorders = [Recorder::default(), Recorder::default()];
    let start = async |n: usize| {
        let recorder: &Recorder = &recorders[n];
        let builder = subscription(&db, "one", recorder.clone()).await.tables(["t"]);
        let settings = ChangeSettings { lease_ttl: LONG, ..quick() };
        builder.settings(settings).start().await.unwrap()
    };
    let first = start(0).await;
    until("the first runs", || async { first.status().state == GroupState::Running }).await;
    let second = start(1).await;
    insert(&db, 0..10).await;
    until("each change is handled", || async { recorders[0].len() == 10 }).await;
    let standby = second.status();
    assert_eq!((standby.state, standby.watermark), (GroupState::Standby, None));
    first.stop().await.unwrap();
    let stopped = Instant::now();
    insert(&db, 10..20).await;
    let all = |keys: Range<i32>| keys.collect::<BTreeSet<_>>();
    // What came just before the first stopped may come again.
    until("the second goes on", || async { keys(&recorders[1]).is_superset(&all(10..20)) }).await;
    let took = stopped.elapsed();
    assert!(took < LONG, "the lease was given back, not left to lapse: {took:?}");
    assert_eq!(second.stop().await.unwrap().state, GroupState::Stopped);
    assert_eq!(keys(&recorders[0]), all(0..10), "one at a time");
}

/// Waits to be let go on before it remembers what it is given.
#[derive(Clone)]
struct Hesitant {
    recorder: Recorder,
    begun: Arc<Semaphore>,
    go_on: Arc<Semaphore>,
}

#[async_trait]
impl ChangeHandler for Hesitant {
    async fn handle(&self, change: &ChangeEvent) -> Result<(), HandlerError> {
        self.begun.add_permits(1);
        let _going = self.go_on.acquire().await.map_err(HandlerError::retry)?;
        self.recorder.handle(change).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_whose_lease_was_taken_breaks_off_and_goes_on_when_it_has_it_again() {
    let db = TestDb::start().await;
    run(&db, &[TABLE]).await;
    let handler = Hesitant {
        recorder: Recorder::default(),
        begun: Arc::new(Semaphore::new(0)),
        go_on: Arc::new(Semaphore::new(0)),
    };
    let settings = ChangeSettings { lease_ttl: Duration::from_secs(12), ..quick() };
    let robbed = subscription(&db, "robbed", handler.clone()).await.settings(settings);
    let robbed = robbed.tables(["t"]).start().await.unwrap();
    insert(&db, 0..1).await;
    handler.begun.acquire().await.unwrap().forget();
    // What another process does when this one seems to be gone.
    run(
        &db,
        &[
            "UPDATE {}.consumer_leases SET term = 1000, beat = 1, ttl_ms = 60000, \
             holder = 00000000-0000-0000-0000-000000000001 \
             WHERE group_name = 'robbed/*' AND slice = 0 IF term > 0",
            "UPDATE {}.consumer_checkpoints SET term = 1000 \
             WHERE group_name = 'robbed/t' AND slice = 0 IF term > 0",
        ],
    )
    .await;
    until("it stands by", || async { robbed.status().state == GroupState::Standby }).await;
    handler.go_on.add_permits(1);
    insert(&db, 1..2).await;
    assert_eq!((robbed.status().handled, handler.recorder.len()), (0, 0), "it was broken off");
    // The other one gives it back.
    run(
        &db,
        &["UPDATE {}.consumer_leases SET beat = 2, holder = null \
           WHERE group_name = 'robbed/*' AND slice = 0 IF term = 1000"],
    )
    .await;
    until("it goes on", || async { keys(&handler.recorder).len() == 2 }).await;
    assert_eq!(robbed.stop().await.unwrap().handled, 2);
}

const RUNNER: [&str; 4] = [
    "MESSINA_TEST_CHANGES_ADDRESS",
    "MESSINA_TEST_CHANGES_KEYSPACE",
    "MESSINA_TEST_CHANGES_FILE",
    "MESSINA_TEST_CHANGES_LEASE_MS",
];

/// Takes its time, then writes who handles which key, and when, as a line of a file.
struct Lines(std::fs::File);

#[async_trait]
impl ChangeHandler for Lines {
    async fn handle(&self, change: &ChangeEvent) -> Result<(), HandlerError> {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let line = format!("{} {} {}\n", std::process::id(), key(change), micros_now());
        (&self.0).write_all(line.as_bytes()).map_err(HandlerError::retry)
    }
}

/// Not a test: what the processes do that the test below starts.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "run by other tests, in a process of its own"]
async fn runner() {
    let [Ok(address), Ok(keyspace), Ok(path), Ok(lease)] = RUNNER.map(std::env::var) else {
        return;
    };
    let mut db = TestDb::at(&address).await;
    db.keyspace = keyspace;
    let file = std::fs::OpenOptions::new().append(true).create(true).open(&path).unwrap();
    let lease_ttl = Duration::from_millis(lease.parse().unwrap());
    let settings = ChangeSettings { lease_ttl, ..quick() };
    let running = subscription(&db, "processes", Lines(file)).await.settings(settings);
    let mut running = running.tables(["t"]).start().await.unwrap();
    std::fs::write(up(path.as_ref()), format!("{} 0 1\n", std::process::id())).unwrap();
    running.finished().await.unwrap();
}

/// Where a runner of this file says that it has started.
fn up(file: &Path) -> PathBuf {
    file.with_extension("up")
}

fn start_runner(db: &TestDb, file: &Path, lease: Duration) -> Child {
    let (file, lease) = (file.display().to_string(), lease.as_millis().to_string());
    let values = [db.node_address(), db.keyspace.clone(), file, lease];
    again("change::lease::runner").envs(RUNNER.into_iter().zip(values)).spawn().unwrap()
}

/// The keys that have been handled, by this process.
fn handled(file: &Path, by: u32) -> BTreeSet<i32> {
    handled_since(file, by, 0)
}

/// The same, after this moment.
fn handled_since(file: &Path, by: u32, since: i64) -> BTreeSet<i32> {
    let lines = whole_lines(file).into_iter().map(|line| {
        let parts: Vec<i64> = line.split(' ').map(|part| part.parse().unwrap()).collect();
        (parts[0], parts[1] as i32, parts[2])
    });
    let ours = lines.filter(|(process, _, at)| *process == i64::from(by) && *at > since);
    ours.map(|(_, key, _)| key).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_process_that_runs_it_is_killed_another_takes_over_when_its_lease_has_lapsed() {
    let db = TestDb::start().await;
    run(&db, &[TABLE]).await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("handled");
    let mut first = start_runner(&db, &file, ChangeSettings::default().lease_ttl);
    let active = first.id().unwrap();
    insert(&db, 0..10).await;
    until("the first handles", || async { handled(&file, active).len() == 10 }).await;
    let second = start_runner(&db, &file, LONG);
    let waiting = second.id().unwrap();
    until("the second is up", || async { !handled(&up(&file), waiting).is_empty() }).await;
    insert(&db, 10..60).await;
    until("it is in the middle", || async { handled(&file, active).len() > 20 }).await;
    let killed = Instant::now();
    first.kill().await.unwrap();
    assert!(handled(&file, waiting).is_empty(), "one at a time");
    insert(&db, 60..80).await;
    until("the second handles", || async { !handled(&file, waiting).is_empty() }).await;
    let took = killed.elapsed();
    println!("taken over after {took:?}");
    assert!(took < ChangeSettings::default().lease_ttl + Duration::from_secs(15), "{took:?}");
    until("nothing is lost", || async {
        handled(&file, active).union(&handled(&file, waiting)).count() == 80
    })
    .await;
}

fn signal(process: u32, signal: &str) {
    let kill = std::process::Command::new("kill").args([signal, &process.to_string()]).status();
    assert!(kill.unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_was_suspended_handles_nothing_after_another_took_over() {
    let db = TestDb::start().await;
    run(&db, &[TABLE]).await;
    let directory = tempfile::tempdir().unwrap();
    let (file, lease) = (directory.path().join("handled"), Duration::from_secs(2));
    let first = start_runner(&db, &file, lease);
    let suspended = first.id().unwrap();
    insert(&db, 0..1).await;
    until("the first handles", || async { handled(&file, suspended).len() == 1 }).await;
    let second = start_runner(&db, &file, LONG);
    let going_on = second.id().unwrap();
    insert(&db, 1..400).await;
    until("it is in the middle", || async { handled(&file, suspended).len() > 20 }).await;
    signal(suspended, "-STOP");
    until("the second handles", || async { !handled(&file, going_on).is_empty() }).await;
    let before = handled(&file, suspended);
    until("the second has handled the rest", || async {
        handled(&file, going_on).union(&before).count() == 400
    })
    .await;
    let woken = micros_now();
    signal(suspended, "-CONT");
    insert(&db, 400..450).await;
    until("the second goes on", || async {
        handled(&file, going_on).is_superset(&(400..450).collect())
    })
    .await;
    // What it was writing when it was suspended it may have written.
    let since = handled_since(&file, suspended, woken);
    assert!(since.is_empty(), "what it was about to do it did not do: {since:?}");
}

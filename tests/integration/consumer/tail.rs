//! The tail and the sweep beside each other: each mechanism alone.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use messina::consumer::{GroupSettings, RunningGroup, TailSettings};
use messina::{AggregateId, CommandHandler, EventStore};
use messina_devdb::error::{CqlError, ErrorKind};
use messina_devdb::faults::{Fault, FaultAction, Operation};

use super::recorder::{Recorder, Seen, events, fill, group};
use crate::support::{Account, AccountCommand, TestDb, quick, until};

const LOG: &str = "outbox_messages_scylla_cdc_log";

/// A sweep that is too late to have brought what comes within a test's first seconds.
fn far_behind() -> GroupSettings {
    GroupSettings { safety_interval: Duration::from_secs(30), ..quick() }
}

/// A sweep that brings what the tail misses, long enough after it.
fn behind(safety_interval: Duration) -> GroupSettings {
    let tail = TailSettings {
        overlap: Duration::from_millis(20),
        wide_overlap: Duration::from_millis(100),
        ..TailSettings::default()
    };
    GroupSettings { safety_interval, tail: Some(tail), ..quick() }
}

fn micros(time: SystemTime) -> i64 {
    time.duration_since(UNIX_EPOCH).unwrap().as_micros() as i64
}

async fn deposit(store: &EventStore, id: AggregateId) -> i64 {
    let accounts = CommandHandler::<Account>::new(store.clone());
    accounts.execute(id, AccountCommand::Deposit { cents: 1 }).await.unwrap().version
}

/// A group that gets its events by the tail.
async fn following(
    store: &EventStore,
    name: &str,
    seen: &Arc<Seen>,
    settings: GroupSettings,
) -> RunningGroup {
    let builder = group(store, name, Recorder(Arc::clone(seen))).settings(settings);
    let running = builder.start().await.unwrap();
    until("the tail is followed", || async { running.status().following }).await;
    running
}

#[tokio::test(flavor = "multi_thread")]
async fn events_come_by_the_tail_long_before_the_sweep() {
    let db = TestDb::start().await;
    let store = db.store().await;
    let seen: Arc<Seen> = Arc::default();
    let running = following(&store, "tail", &seen, far_behind()).await;
    let versions = fill(&store, 10, 5).await;
    let began = Instant::now();
    until("every event is handled", || async { seen.total() >= events(&versions) }).await;
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    seen.assert_complete(&versions);
    let status = running.stop().await.unwrap();
    assert_eq!(status.handled as usize, events(&versions), "none came twice");
    assert_eq!(status.late, 0, "the sweep brought none");
    // Only the sweep moves the checkpoint: what the tail brought comes again after a restart.
    let again: Arc<Seen> = Arc::default();
    let recorder = Recorder(Arc::clone(&again));
    let running = group(&store, "tail", recorder).settings(far_behind()).start().await.unwrap();
    until("the events come again", || async { again.total() >= events(&versions) }).await;
    again.assert_complete(&versions);
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_row_is_delivered_by_the_sweep() {
    let db = TestDb::embedded().await;
    let store = db.store().await;
    let seen: Arc<Seen> = Arc::default();
    let settings = behind(Duration::from_secs(3));
    let running = following(&store, "late", &seen, settings).await;
    let mut versions = fill(&store, 3, 2).await;
    until("the first events are handled", || async { seen.has_all(&versions) }).await;
    // The rows of these are seen two seconds later than their time says: after the tail has
    // read on, and before the sweep comes. The last of each aggregate shows no gap.
    let late = Fault::new(FaultAction::LateLog(Duration::from_secs(2)));
    db.node().faults().add(late.operation(Operation::Batch).table("outbox_messages"));
    // A tail that was held up for as long brings some after all.
    for _ in 0..5 {
        for (id, version) in &mut versions {
            *version = deposit(&store, *id).await;
        }
        until("the late events are handled", || async { seen.has_all(&versions) }).await;
        if running.status().late >= 3 {
            break;
        }
    }
    seen.assert_complete(&versions);
    let status = running.stop().await.unwrap();
    assert!(status.late >= 3 && status.repaired == 0, "{status:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_is_a_little_late_comes_by_the_tail_though_nothing_else_happens() {
    let db = TestDb::embedded().await;
    let store = db.store().await;
    let seen: Arc<Seen> = Arc::default();
    let recorder = Recorder(Arc::clone(&seen));
    // Were it left to every thousandth poll, none of these would come in time.
    let tail = TailSettings {
        wide_overlap: Duration::from_secs(4),
        wide_every: 1000,
        ..TailSettings::default()
    };
    let settings = GroupSettings { tail: Some(tail), ..far_behind() };
    let running = group(&store, "calm", recorder).settings(settings).start().await.unwrap();
    until("the tail is followed", || async { running.status().following }).await;
    let mut versions = fill(&store, 1, 1).await;
    until("the first events are handled", || async { seen.has_all(&versions) }).await;
    // Less than the tail's wide overlap; no later event shows the gap.
    let late = Fault::new(FaultAction::LateLog(Duration::from_millis(800)));
    db.node().faults().add(late.operation(Operation::Batch).table("outbox_messages"));
    for _ in 0..3 {
        for (id, version) in &mut versions {
            *version = deposit(&store, *id).await;
        }
        until("the late event is handled", || async { seen.has_all(&versions) }).await;
    }
    seen.assert_complete(&versions);
    let status = running.stop().await.unwrap();
    assert_eq!((status.late, status.repaired), (0, 0), "{status:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_whose_row_is_late_is_fetched_when_the_next_one_shows_the_gap() {
    let db = TestDb::embedded().await;
    let store = db.store().await;
    let seen: Arc<Seen> = Arc::default();
    let running = following(&store, "gap", &seen, far_behind()).await;
    let mut versions = fill(&store, 2, 1).await;
    // Of an aggregate that the group knows, and of one that it has never seen.
    let accounts = CommandHandler::<Account>::new(store.clone());
    let unknown = AggregateId::new();
    until("the first events are handled", || async { seen.has_all(&versions) }).await;
    let late = Fault::new(FaultAction::LateLog(Duration::from_secs(60)));
    let late = db.node().faults().add(late.operation(Operation::Batch).table("outbox_messages"));
    for id in versions.keys() {
        deposit(&store, *id).await;
    }
    let open = AccountCommand::Open { owner: "eve".to_owned() };
    accounts.execute(unknown, open).await.unwrap();
    deposit(&store, unknown).await;
    assert_eq!(late.hits(), 4);
    db.node().faults().clear();
    versions.insert(unknown, 0);
    for (id, version) in &mut versions {
        *version = deposit(&store, *id).await;
    }
    until("every event is handled", || async { seen.has_all(&versions) }).await;
    seen.assert_complete(&versions);
    assert_eq!(running.stop().await.unwrap().repaired, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_the_log_shows_twice_are_handled_once() {
    let db = TestDb::embedded().await;
    let store = db.store().await;
    let seen: Arc<Seen> = Arc::default();
    let twice = Fault::new(FaultAction::DuplicateLog);
    db.node().faults().add(twice.operation(Operation::Batch).table("outbox_messages"));
    let recorder = Recorder(Arc::clone(&seen));
    let running = group(&store, "twice", recorder).start().await.unwrap();
    let versions = fill(&store, 6, 4).await;
    let total = events(&versions);
    let written = micros(SystemTime::now());
    until("the sweep has shown all", || async { running.status().watermark > Some(written) }).await;
    // Three times by tail and sweep; by the sweep alone if the tail was too slow to show it.
    assert!(running.status().duplicates as usize >= total, "{:?}", running.status());
    assert_eq!(seen.total(), total);
    seen.assert_complete(&versions);
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_waits_for_what_the_tail_brought_and_is_not_done() {
    let db = TestDb::start().await;
    let store = db.store().await;
    let seen: Arc<Seen> = Arc::default();
    let running = following(&store, "waits", &seen, quick()).await;
    seen.away.store(true, std::sync::atomic::Ordering::Relaxed);
    let versions = fill(&store, 2, 1).await;
    let written = SystemTime::now();
    until("the events are in flight", || async { running.status().in_flight > 0 }).await;
    // The sweep has passed the events' time; the watermark has not.
    until("the sweep shows the events again", || async { running.status().duplicates > 0 }).await;
    let reached = written + Duration::from_secs(2);
    until("time passes", || async { SystemTime::now() > reached }).await;
    let watermark = running.status().watermark.unwrap();
    assert!(watermark <= micros(written) + 1000, "the watermark passed what is not done");
    seen.away.store(false, std::sync::atomic::Ordering::Relaxed);
    until("every event is handled", || async { seen.has_all(&versions) }).await;
    until("the watermark goes on", || async { running.status().watermark > Some(watermark) }).await;
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_too_slow_for_the_tail_joins_again_and_does_not_hold_up_others() {
    let db = TestDb::start().await;
    let store = db.store().await;
    let slow = Arc::new(Seen { delay: Some(Duration::from_millis(3)), ..Seen::default() });
    let quick_one: Arc<Seen> = Arc::default();
    let narrow = GroupSettings { lanes: 1, queue: 1, ..far_behind() };
    let recorder = Recorder(Arc::clone(&slow));
    let first = group(&store, "slow", recorder).settings(narrow).start().await.unwrap();
    let recorder = Recorder(Arc::clone(&quick_one));
    let second = group(&store, "quick", recorder).settings(far_behind()).start().await.unwrap();
    until("the tail is followed", || async {
        first.status().following && second.status().following
    })
    .await;
    // The slow one is stopped for a while: its lane is full.
    slow.away.store(true, std::sync::atomic::Ordering::Relaxed);
    let versions = fill(&store, 8, 5).await;
    let began = Instant::now();
    until("the quick one has all", || async { quick_one.has_all(&versions) }).await;
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    until("hints are lost", || async { first.status().hints_lost > 0 }).await;
    slow.away.store(false, std::sync::atomic::Ordering::Relaxed);
    let began = Instant::now();
    until("the slow one has all", || async { slow.has_all(&versions) }).await;
    assert!(began.elapsed() < Duration::from_secs(20), "long before the sweep");
    slow.assert_complete(&versions);
    quick_one.assert_complete(&versions);
    assert_eq!(first.stop().await.unwrap().late, 0);
    assert_eq!(second.stop().await.unwrap().hints_lost, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_groups_of_a_process_share_one_poller_that_slows_down_on_an_idle_log() {
    let db = TestDb::embedded().await;
    let store = db.store().await;
    let mut groups = Vec::new();
    let settings = GroupSettings { sweep_interval: Duration::from_secs(3600), ..far_behind() };
    let seen: Arc<Seen> = Arc::default();
    for n in 0..4 {
        let recorder = Recorder(Arc::clone(&seen));
        let builder = group(&store, &format!("idle_{n}"), recorder).settings(settings.clone());
        groups.push(builder.start().await.unwrap());
    }
    for group in &groups {
        until("the tail is followed", || async { group.status().following }).await;
    }
    // Reads of the log are counted by a fault that changes nothing.
    let reads = Fault::new(FaultAction::Delay(Duration::ZERO)).table(LOG);
    let reads = db.node().faults().add(reads);
    // At 100 ms ten polls a second, at 25 ms forty; the count of groups is not in it, and the
    // log has one stream.
    until("the tail has slowed down", || async {
        let (before, began) = (reads.hits(), Instant::now());
        tokio::time::sleep(Duration::from_secs(1)).await;
        (reads.hits() - before) as f64 / began.elapsed().as_secs_f64() <= 14.0
    })
    .await;
    let before = reads.hits();
    until("the tail goes on", || async { reads.hits() > before + 3 }).await;
    let versions = fill(&store, 1, 1).await;
    let before = reads.hits();
    until("all have it", || async { seen.total() >= 4 * events(&versions) }).await;
    // It is awake with the first row, not with some later one.
    until("the tail is quick again", || async { reads.hits() > before + 5 }).await;
    for group in groups {
        group.stop().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tail_crosses_to_a_new_generation_of_streams() {
    let db = TestDb::embedded().await;
    let store = db.store().await;
    let seen: Arc<Seen> = Arc::default();
    let running = following(&store, "crosses", &seen, far_behind()).await;
    let mut versions = fill(&store, 4, 2).await;
    // Sooner than it can hear of it: it reads from the generation's beginning.
    db.node().engine().new_cdc_generation(Duration::from_millis(300)).unwrap();
    let writing = Instant::now();
    while writing.elapsed() < Duration::from_millis(1500) {
        versions.extend(fill(&store, 2, 2).await);
    }
    for (id, version) in &mut versions {
        *version = deposit(&store, *id).await;
    }
    until("every event is handled", || async { seen.has_all(&versions) }).await;
    assert!(writing.elapsed() < Duration::from_secs(25), "it was the tail");
    seen.assert_complete(&versions);
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_tail_the_sweep_delivers() {
    let db = TestDb::embedded().await;
    let store = db.store().await;
    let seen: Arc<Seen> = Arc::default();
    // The statement of the tail fails; that of scylla-cdc, which reads all columns, does not.
    let ill = CqlError { kind: ErrorKind::ServerError, message: "ill".into() };
    let fault = Fault::new(FaultAction::FailBefore(ill)).statement("cdc$batch_seq_no");
    let fault = db.node().faults().add(fault.table(LOG).operation(Operation::Read));
    let recorder = Recorder(Arc::clone(&seen));
    let running = group(&store, "sweeps", recorder).start().await.unwrap();
    let versions = fill(&store, 4, 3).await;
    until("every event is handled", || async { seen.has_all(&versions) }).await;
    seen.assert_complete(&versions);
    until("the tail is tried", || async { fault.hits() > 0 }).await;
    let more = fill(&store, 4, 3).await;
    until("later events are handled", || async { seen.has_all(&more) }).await;
    seen.assert_complete(&more);
    assert!(!running.status().following);
    // When it works again the group joins.
    db.node().faults().clear();
    until("the tail is followed", || async { running.status().following }).await;
    running.stop().await.unwrap();
}

//! Handlers that fail, logs that end, settings that make no sense.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use messina::change::{ChangeError, ChangeEvent, ChangeHandler, ChangeSettings, OnLoss, OnPoison};
use messina::consumer::{GroupState, HandlerError};
use messina_devdb::error::{CqlError, ErrorKind};
use messina_devdb::faults::{Fault, FaultAction};
use scylla::value::CqlValue;

use super::{Recorder, quick, run, subscription};
use crate::support::{TestDb, until};

const TABLE: &str =
    "CREATE TABLE {}.t (p int, c int, PRIMARY KEY (p, c)) WITH cdc = {'enabled': true}";

/// How many partitions there are, from 1: more than may share a lane by chance.
const PARTITIONS: i32 = 8;

/// Inserts rows `from..to` of each partition.
async fn fill(db: &TestDb, from: i32, to: i32) {
    for c in from..to {
        for p in 1..=PARTITIONS {
            run(db, &[&format!("INSERT INTO {{}}.t (p, c) VALUES ({p}, {c})")]).await;
        }
    }
}

/// Which rows of a partition were handled, in order.
fn rows(recorder: &Recorder, partition: i32) -> Vec<i32> {
    let of = |change: &ChangeEvent, name| change.key.get(name).and_then(CqlValue::as_int).unwrap();
    let changes = recorder.changes();
    changes.iter().filter(|c| of(c, "p") == partition).map(|c| of(c, "c")).collect()
}

/// Fails at row 3 of partition 1 while it is ill.
struct Ill {
    recorder: Recorder,
    ill: Arc<AtomicBool>,
    how: fn() -> Result<(), HandlerError>,
}

#[async_trait]
impl ChangeHandler for Ill {
    async fn handle(&self, change: &ChangeEvent) -> Result<(), HandlerError> {
        let key = &change.key;
        let at_three =
            key.get("p") == Some(&CqlValue::Int(1)) && key.get("c") == Some(&CqlValue::Int(3));
        if at_three && self.ill.load(Ordering::Relaxed) {
            return (self.how)();
        }
        self.recorder.handle(change).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_away_is_waited_for_in_order_while_other_partitions_go_on() {
    let db = TestDb::start().await;
    run(&db, &[TABLE]).await;
    fill(&db, 0, 8).await;
    let (recorder, ill) = (Recorder::default(), Arc::new(AtomicBool::new(true)));
    let how = || Err(HandlerError::retry("away"));
    let handler = Ill { recorder: recorder.clone(), ill: Arc::clone(&ill), how };
    let subscription =
        subscription(&db, "waits", handler).await.tables(["t"]).start().await.unwrap();
    until("it is tried again", || async { subscription.status().retries > 3 }).await;
    until("another partition is handled", || async {
        (2..=PARTITIONS).any(|p| rows(&recorder, p).len() == 8)
    })
    .await;
    assert_eq!(rows(&recorder, 1), [0, 1, 2]);
    let watermark = subscription.status().watermark.unwrap();
    ill.store(false, Ordering::Relaxed);
    until("the rest is handled", || async { rows(&recorder, 1).len() == 8 }).await;
    assert_eq!(rows(&recorder, 1), (0..8).collect::<Vec<_>>());
    until("the watermark goes on", || async {
        subscription.status().watermark.is_some_and(|now| now > watermark)
    })
    .await;
    subscription.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_will_not_work_halts_the_subscription_before_it_or_is_passed_over() {
    type How = fn() -> Result<(), HandlerError>;
    let cases: [(&str, How, &str); 2] = [
        ("poison", || Err(HandlerError::poison("no such customer")), "no such customer"),
        ("panics", || panic!("index out of bounds"), "panicked: index out of bounds"),
    ];
    let db = TestDb::start().await;
    run(&db, &[TABLE]).await;
    fill(&db, 0, 6).await;
    for (name, how, reason) in cases {
        let (recorder, ill) = (Recorder::default(), Arc::new(AtomicBool::new(true)));
        let handler = || Ill { recorder: recorder.clone(), ill: Arc::clone(&ill), how };
        let halting = subscription(&db, name, handler()).await.tables(["t"]);
        let mut halting = halting.start().await.unwrap();
        let error = halting.finished().await.unwrap_err().to_string();
        for part in [reason, "insert of t (p = 1, c = 3)", name] {
            assert!(error.contains(part), "{part} in: {error}");
        }
        let status = halting.stop().await.unwrap();
        assert!(matches!(status.state, GroupState::Halted { .. }), "{status:?}");
        assert_eq!(rows(&recorder, 1), [0, 1, 2]);
        // Told to pass over it, it goes on behind it.
        let skipping = subscription(&db, name, handler())
            .await
            .settings(ChangeSettings { on_poison: OnPoison::Skip, ..quick() })
            .tables(["t"])
            .start()
            .await
            .unwrap();
        until("the rest is handled", || async { rows(&recorder, 1).contains(&5) }).await;
        assert!(!rows(&recorder, 1).contains(&3));
        assert_eq!(skipping.stop().await.unwrap().skipped, 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_cannot_be_read_for_a_while_is_read_on() {
    let db = TestDb::embedded().await;
    run(&db, &[TABLE]).await;
    let recorder = Recorder::default();
    // Through connections of its own: those that are dropped are not the writers'.
    let mut reading = TestDb::at(&db.node_address()).await;
    reading.keyspace.clone_from(&db.keyspace);
    let subscription = subscription(&reading, "reads", recorder.clone()).await.tables(["t"]);
    let subscription = subscription.start().await.unwrap();
    fill(&db, 0, 5).await;
    for action in [
        FaultAction::FailBefore(CqlError { kind: ErrorKind::ServerError, message: "ill".into() }),
        FaultAction::DropBefore,
    ] {
        let log = Fault::new(action).table("t_scylla_cdc_log");
        db.node().faults().add(log.skip(3).times(6));
    }
    fill(&db, 5, 10).await;
    until("every change is handled", || async {
        (1..=PARTITIONS).all(|p| (0..10).all(|c| rows(&recorder, p).contains(&c)))
    })
    .await;
    subscription.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_that_went_while_nobody_read_are_not_passed_over_in_silence() {
    let db = TestDb::start().await;
    run(
        &db,
        &["CREATE TABLE {}.t (p int, c int, PRIMARY KEY (p, c)) \
           WITH cdc = {'enabled': true, 'ttl': 3600}"],
    )
    .await;
    let recorder = Recorder::default();
    let start = async |on_loss| {
        subscription(&db, "slept", recorder.clone())
            .await
            .settings(ChangeSettings { on_loss, ..quick() })
            .tables(["t"])
            .start()
            .await
            .unwrap()
    };
    let running = start(OnLoss::Halt).await;
    fill(&db, 0, 1).await;
    until("the first is handled", || async { rows(&recorder, 1) == [0] }).await;
    running.stop().await.unwrap();
    // For longer than the log keeps anything.
    db.set_back("slept/t", Duration::from_secs(2 * 3600)).await;
    let mut halted = start(OnLoss::Halt).await;
    let error = halted.finished().await.unwrap_err();
    assert!(matches!(error, ChangeError::Lost { .. }), "{error}");
    let going_on = start(OnLoss::GoOn).await;
    fill(&db, 1, 2).await;
    until("what comes then is handled", || async { rows(&recorder, 1).contains(&1) }).await;
    going_on.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_cannot_work_are_refused_at_the_start() {
    let db = TestDb::start().await;
    run(&db, &[TABLE]).await;
    let recorder = Recorder::default;
    let none = subscription(&db, "none", recorder()).await.start().await.unwrap_err();
    assert_eq!(none.to_string(), "invalid subscription setting: a subscription needs tables");
    let twice = subscription(&db, "twice", recorder()).await.tables(["t", "t"]);
    let error = twice.start().await.unwrap_err().to_string();
    assert_eq!(error, "invalid subscription setting: a table is named twice");
    let lanes = ChangeSettings { lanes: 0, ..quick() };
    let none = subscription(&db, "none", recorder()).await.tables(["t"]).settings(lanes);
    let error = none.start().await.unwrap_err().to_string();
    assert_eq!(error, "invalid subscription setting: lanes must be above 0");
}

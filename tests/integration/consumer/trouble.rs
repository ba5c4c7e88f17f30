//! Handlers and databases that fail.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use messina::EventEnvelope;
use messina::consumer::{
    EventHandler, GroupControl, GroupError, GroupSettings, GroupState, Handled, HandlerError,
    PoisonPolicy,
};
use messina_devdb::error::{CqlError, ErrorKind};
use messina_devdb::faults::{Fault, FaultAction};
use parking_lot::Mutex;

use super::recorder::{Recorder, Seen, events, fill, group};
use crate::support::{TestDb, quick, until};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_away_is_waited_for() {
    let db = TestDb::start().await;
    let store = db.store().await;
    let seen: Arc<Seen> = Arc::default();
    seen.away.store(true, Ordering::Relaxed);
    let group = group(&store, "waiting", Recorder(Arc::clone(&seen))).start().await.unwrap();
    let versions = fill(&store, 4, 4).await;
    until("several attempts fail", || async { group.status().retries > 20 }).await;
    seen.away.store(false, Ordering::Relaxed);
    until("every event is handled", || async { seen.has_all(&versions) }).await;
    seen.assert_complete(&versions);
    assert_eq!(seen.total(), events(&versions));
    group.stop().await.unwrap();
}

/// What a handler comes to.
type Outcome = fn() -> Result<Handled, HandlerError>;

/// Fails for one event, as told.
struct Failing {
    seen: Arc<Seen>,
    at: i64,
    how: Outcome,
}

#[async_trait]
impl EventHandler for Failing {
    async fn handle(&self, event: &EventEnvelope) -> Result<Handled, HandlerError> {
        if event.sequence_number == self.at {
            return (self.how)();
        }
        Recorder(Arc::clone(&self.seen)).handle(event).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_of_the_policy_to_halt_stands_before_the_event_that_will_not_work() {
    let cases: [(&str, Outcome, &str); 3] = [
        ("poison", || Err(HandlerError::poison("no such account")), "no such account"),
        ("panic", || panic!("index out of bounds"), "panicked: index out of bounds"),
        (
            "late",
            || Ok(Handled::Pending(Box::pin(async { Err(HandlerError::poison("too large")) }))),
            "too large",
        ),
    ];
    for (name, how, reason) in cases {
        let db = TestDb::start().await;
        let store = db.store().await;
        let seen: Arc<Seen> = Arc::default();
        let versions = fill(&store, 1, 3).await;
        let handler = Failing { seen: Arc::clone(&seen), at: 3, how };
        let settings = GroupSettings { poison: PoisonPolicy::HaltGroup, ..quick() };
        let halting = group(&store, name, handler).settings(settings);
        let mut halting = halting.start().await.unwrap();
        let error = halting.finished().await.unwrap_err();
        let id = *versions.keys().next().unwrap();
        assert!(
            matches!(&error, GroupError::Poison { sequence_number: 3, aggregate_id, .. }
                if *aggregate_id == id),
            "{error}"
        );
        let text = error.to_string();
        for part in [reason, "MoneyDeposited", "version 2", &id.to_string()] {
            assert!(text.contains(part), "{part} in: {text}");
        }
        let status = halting.stop().await.unwrap();
        assert!(matches!(status.state, GroupState::Halted { .. }), "{status:?}");
        // Others are told, too.
        let told = GroupControl::connect(&store).await.unwrap().overview(name).await.unwrap();
        let told = &told.running[0];
        assert_eq!(told.state.as_deref(), Some("halted"));
        assert!(told.reason.as_ref().is_some_and(|text| text.contains(reason)), "{told:?}");
        let stands = format!("SELECT ttl(state) FROM {}.consumer_status", db.keyspace);
        let rows = db.query_unpaged(stands, ()).await.unwrap().into_rows_result().unwrap();
        let (stands,) = rows.single_row::<(i32,)>().unwrap();
        assert!(stands > 86_400, "an operator who comes a day later is to see why: {stands} s");
        // Deployed anew, with code that can: it goes on at that event.
        let healed = group(&store, name, Recorder(Arc::clone(&seen))).start().await.unwrap();
        until("the rest is handled", || async {
            seen.events.lock().get(&id).is_some_and(|n| n.contains(&versions[&id]))
        })
        .await;
        healed.stop().await.unwrap();
        seen.assert_complete(&versions);
    }
}

/// Confirms later, and says of one event once that it did not arrive.
struct Unreliable {
    seen: Arc<Seen>,
    failed: Arc<Mutex<bool>>,
}

#[async_trait]
impl EventHandler for Unreliable {
    async fn handle(&self, event: &EventEnvelope) -> Result<Handled, HandlerError> {
        let fails =
            event.sequence_number == 4 && !std::mem::replace(&mut *self.failed.lock(), true);
        if !fails {
            Recorder(Arc::clone(&self.seen)).handle(event).await?;
        }
        Ok(Handled::Pending(Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(5)).await;
            if fails { Err(HandlerError::retry("lost on the way")) } else { Ok(()) }
        })))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_lost_on_its_way_makes_the_group_begin_again_before_it() {
    let db = TestDb::start().await;
    let store = db.store().await;
    let seen: Arc<Seen> = Arc::default();
    let versions = fill(&store, 1, 6).await;
    let handler = Unreliable { seen: Arc::clone(&seen), failed: Arc::default() };
    let group = group(&store, "again", handler).start().await.unwrap();
    let (id, version) = versions.iter().next().unwrap();
    until("every event is handled", || async {
        let events = seen.events.lock();
        let Some(numbers) = events.get(id) else { return false };
        (1..=*version).all(|n| numbers.contains(&n))
    })
    .await;
    let numbers = seen.events.lock()[id].clone();
    let fourth = numbers.iter().position(|n| *n == 4).unwrap();
    let after: Vec<i64> = numbers[fourth..].to_vec();
    assert_eq!(after, (4..=*version).collect::<Vec<_>>(), "in order from the lost one on");
    group.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_cannot_be_read_for_a_while_is_read_on() {
    let db = TestDb::embedded().await;
    let store = db.store().await;
    let seen: Arc<Seen> = Arc::default();
    let group = group(&store, "reading", Recorder(Arc::clone(&seen))).start().await.unwrap();
    let mut versions = fill(&store, 4, 3).await;
    until("events are handled", || async { seen.total() > 0 }).await;
    for action in [
        FaultAction::FailBefore(CqlError { kind: ErrorKind::Overloaded, message: "busy".into() }),
        FaultAction::FailBefore(CqlError { kind: ErrorKind::ServerError, message: "ill".into() }),
        FaultAction::DropBefore,
    ] {
        let log = Fault::new(action).table("outbox_messages_scylla_cdc_log");
        db.node().faults().add(log.skip(3).times(20));
        versions.extend(fill(&store, 4, 3).await);
    }
    until("every event is handled", || async { seen.has_all(&versions) }).await;
    seen.assert_complete(&versions);
    group.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_cannot_work_are_refused_at_the_start() {
    let db = TestDb::start().await;
    let store = db.store().await;
    let mut settings = quick();
    settings.lanes = 0;
    let recorder = Recorder(Arc::default());
    let error = group(&store, "none", recorder).settings(settings).start().await.unwrap_err();
    assert_eq!(error.to_string(), "invalid group setting: lanes must be above 0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_of_the_outbox_that_is_no_event_halts_the_group() {
    let db = TestDb::start().await;
    let store = db.store().await;
    let id = uuid::Uuid::new_v4();
    let cql = format!(
        "INSERT INTO {}.outbox_messages (aggregate_id, sequence_number) VALUES (?, ?)",
        db.keyspace
    );
    db.query_unpaged(cql, (id, 1_i64)).await.unwrap();
    let recorder = Recorder(Arc::default());
    let mut halting = group(&store, "strict", recorder).start().await.unwrap();
    let error = halting.finished().await.unwrap_err().to_string();
    assert!(error.contains(&id.to_string()) && error.contains("is null"), "{error}");
}

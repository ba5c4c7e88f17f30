//! Events that will not work, and what becomes of those behind them.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use messina::consumer::{
    DeadLetterError, DeadLetters, EventHandler, GroupBuilder, GroupError, GroupSettings, Handled,
    HandlerError, PoisonPolicy,
};
use messina::{AggregateId, CommandHandler, EventEnvelope, EventStore};
use messina_devdb::error::{CqlError, ErrorKind};
use messina_devdb::faults::{Fault, FaultAction, Operation};
use parking_lot::Mutex;

use super::recorder::{Recorder, Seen, events, fill, group};
use crate::support::{Account, AccountCommand, TestDb, quick, until};

const SOON: Duration = Duration::from_secs(20);

#[derive(Debug, thiserror::Error)]
#[error("the balance does not fit")]
struct Unfit(#[source] std::num::TryFromIntError);

fn unfit() -> HandlerError {
    HandlerError::poison(Unfit(u8::try_from(300).unwrap_err()))
}

/// Refuses some events until it is healed.
#[derive(Clone, Default)]
struct Picky {
    seen: Arc<Seen>,
    refused: Arc<Mutex<HashSet<(AggregateId, i64)>>>,
    /// Reports on events later, after this time.
    later: Option<Duration>,
}

impl Picky {
    fn refuse(&self, id: AggregateId, sequence_number: i64) {
        self.refused.lock().insert((id, sequence_number));
    }

    fn heal(&self) {
        self.refused.lock().clear();
    }

    fn numbers(&self, id: AggregateId) -> Vec<i64> {
        self.seen.events.lock().get(&id).cloned().unwrap_or_default()
    }
}

#[async_trait]
impl EventHandler for Picky {
    async fn handle(&self, event: &EventEnvelope) -> Result<Handled, HandlerError> {
        let refused = self.refused.lock().contains(&(event.aggregate_id, event.sequence_number));
        let Some(later) = self.later else {
            if refused {
                return Err(unfit());
            }
            return Recorder(Arc::clone(&self.seen)).handle(event).await;
        };
        let (seen, event) = (Arc::clone(&self.seen), event.clone());
        Ok(Handled::Pending(Box::pin(async move {
            tokio::time::sleep(later).await;
            if refused {
                return Err(unfit());
            }
            Recorder(seen).handle(&event).await.map(|_| ())
        })))
    }
}

fn with(store: &EventStore, name: &str, handler: &Picky, policy: PoisonPolicy) -> GroupBuilder {
    let settings = GroupSettings { poison: policy, ..quick() };
    group(store, name, handler.clone()).settings(settings)
}

fn parking(store: &EventStore, name: &str, handler: &Picky) -> GroupBuilder {
    with(store, name, handler, PoisonPolicy::ParkAggregate)
}

async fn deposit(store: &EventStore, id: AggregateId) -> i64 {
    let accounts = CommandHandler::<Account>::new(store.clone());
    accounts.execute(id, AccountCommand::Deposit { cents: 1 }).await.unwrap().version
}

async fn numbers_of(letters: &DeadLetters, id: AggregateId) -> Vec<i64> {
    let page = letters.list(1000, None).await.unwrap();
    let of = page.letters.iter().filter(|letter| letter.event.aggregate_id == id);
    of.map(|letter| letter.event.sequence_number).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn later_events_follow_a_failed_one_and_all_are_retried_in_order() {
    let db = TestDb::start().await;
    let store = db.store().await;
    let letters = DeadLetters::connect(&store, "picky").await.unwrap();
    let picky = Picky::default();
    let mut versions = fill(&store, 4, 3).await;
    let (id, version) = versions.iter().next().map(|(id, version)| (*id, *version)).unwrap();
    picky.refuse(id, 3);
    let running = parking(&store, "picky", &picky).start().await.unwrap();
    until("the rest of the aggregate waits", || async {
        numbers_of(&letters, id).await == (3..=version).collect::<Vec<_>>()
    })
    .await;
    until("other aggregates go on", || async {
        versions.iter().all(|(other, v)| *other == id || picky.numbers(*other).contains(v))
    })
    .await;
    assert_eq!(picky.numbers(id), [1, 2]);
    // The letters say all that is needed.
    let letter = letters.show(id, 3).await.unwrap();
    let stored = store.events(id, 2, 3).await.unwrap().remove(0);
    assert_eq!(letter.event.event, stored.event);
    assert_eq!(letter.event.event_id, stored.event_id);
    assert_eq!(letter.event.committed_at, stored.committed_at);
    assert_eq!((letter.failed, letter.parks, letter.attempts), (true, true, 3));
    assert_eq!(letter.errors.len(), 2, "{:?}", letter.errors);
    assert_eq!(letter.errors[0], "the balance does not fit");
    assert!(letter.first_failed_at.unwrap() <= letter.last_failed_at.unwrap());
    let behind = letters.show(id, 4).await.unwrap();
    assert_eq!((behind.failed, behind.attempts, behind.errors.len()), (false, 0, 0));
    until("the status says so", || async {
        let status = running.status();
        (status.parked, status.dead_letters as i64) == (1, version - 2)
    })
    .await;
    // Only the first one can be retried alone.
    let error = letters.retry(id, 4).await.unwrap_err();
    assert!(matches!(error, DeadLetterError::NotFirst { first: 3, .. }), "{error}");
    // It fails again: it stays, and so do the others.
    let request = letters.retry_aggregate(id).await.unwrap();
    letters.carried_out(request, SOON).await.unwrap();
    let again = letters.show(id, 3).await.unwrap();
    assert_eq!((again.attempts, again.first_failed_at), (6, letter.first_failed_at));
    assert_eq!(picky.numbers(id), [1, 2]);
    // Mended, they are handled in order, and what comes later is handled at once.
    picky.heal();
    versions.insert(id, deposit(&store, id).await);
    let request = letters.retry_aggregate(id).await.unwrap();
    letters.carried_out(request, SOON).await.unwrap();
    versions.insert(id, deposit(&store, id).await);
    until("the aggregate is level", || async { picky.seen.has_all(&versions) }).await;
    picky.seen.assert_complete(&versions);
    let left = numbers_of(&letters, id).await;
    assert!(left.is_empty(), "{left:?} are left");
    assert_eq!(picky.seen.total(), events(&versions), "nothing came twice");
    assert_eq!(running.stop().await.unwrap().parked, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_parked_stays_so_over_restarts_and_what_was_asked_meanwhile_is_done() {
    let db = TestDb::start().await;
    let store = db.store().await;
    let letters = DeadLetters::connect(&store, "picky").await.unwrap();
    let picky = Picky::default();
    let mut versions = fill(&store, 1, 2).await;
    let id = *versions.keys().next().unwrap();
    picky.refuse(id, 2);
    let running = parking(&store, "picky", &picky).start().await.unwrap();
    until("the event is parked", || async { letters.show(id, 2).await.is_ok() }).await;
    running.stop().await.unwrap();
    let first = letters.show(id, 2).await.unwrap();
    picky.heal();
    let running = parking(&store, "picky", &picky).start().await.unwrap();
    versions.insert(id, deposit(&store, id).await);
    let last = versions[&id];
    until("the later event waits", || async { letters.show(id, last).await.is_ok() }).await;
    assert_eq!(picky.numbers(id).iter().max(), Some(&1));
    assert_eq!(letters.show(id, 2).await.unwrap(), first, "coming again changes no letter");
    running.stop().await.unwrap();
    // Nobody runs the group: the request stays posted.
    assert_eq!(letters.retry_all().await.unwrap(), 1);
    assert_eq!(letters.open_requests().await.unwrap(), 1);
    let running = parking(&store, "picky", &picky).start().await.unwrap();
    until("it is carried out", || async { letters.open_requests().await.unwrap() == 0 }).await;
    until("the aggregate is level", || async { picky.seen.has_all(&versions) }).await;
    picky.seen.assert_complete(&versions);
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_discarded_event_is_never_handled_and_the_others_can_go_on() {
    let db = TestDb::start().await;
    let store = db.store().await;
    let letters = DeadLetters::connect(&store, "picky").await.unwrap();
    let picky = Picky::default();
    let versions = fill(&store, 1, 3).await;
    let (id, version) = versions.into_iter().next().unwrap();
    picky.refuse(id, 2);
    let running = parking(&store, "picky", &picky).start().await.unwrap();
    until("all wait", || async { letters.show(id, version).await.is_ok() }).await;
    let request = letters.discard(id, 2).await.unwrap();
    letters.carried_out(request, SOON).await.unwrap();
    assert_eq!(numbers_of(&letters, id).await, (3..=version).collect::<Vec<_>>());
    let error = letters.discard(id, 2).await.unwrap_err();
    assert!(matches!(error, DeadLetterError::NotFound { .. }), "{error}");
    let request = letters.retry_aggregate(id).await.unwrap();
    letters.carried_out(request, SOON).await.unwrap();
    let last = deposit(&store, id).await;
    until("the aggregate goes on", || async { picky.numbers(id).contains(&last) }).await;
    assert_eq!(picky.numbers(id), [&[1], &(3..=last).collect::<Vec<_>>()[..]].concat());
    let error = letters.discard_aggregate(id).await.unwrap_err();
    assert!(matches!(error, DeadLetterError::NotParked { .. }), "{error}");
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_of_the_policy_to_skip_goes_on_with_the_next_event() {
    let db = TestDb::start().await;
    let store = db.store().await;
    let letters = DeadLetters::connect(&store, "skips").await.unwrap();
    let picky = Picky::default();
    let versions = fill(&store, 2, 3).await;
    for id in versions.keys() {
        picky.refuse(*id, 1);
    }
    let running = with(&store, "skips", &picky, PoisonPolicy::SkipEvent).start().await.unwrap();
    until("the last events are handled", || async { picky.seen.has_all(&versions) }).await;
    let page = letters.list(1, None).await.unwrap();
    assert_eq!(page.letters.len(), 1);
    assert!(!page.letters[0].parks);
    let second = letters.list(10, page.next.as_ref()).await.unwrap();
    assert_eq!((second.letters.len(), second.next), (1, None));
    picky.heal();
    assert_eq!(letters.retry_all().await.unwrap(), 2);
    until("both are handled", || async {
        versions.keys().all(|id| picky.numbers(*id).last() == Some(&1))
    })
    .await;
    let status = running.stop().await.unwrap();
    assert_eq!((status.dead_letters, status.letters_retried), (2, 2));
    assert!(letters.list(10, None).await.unwrap().letters.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_sent_behind_an_event_that_did_not_arrive_is_sent_again_after_it() {
    let db = TestDb::start().await;
    let store = db.store().await;
    let letters = DeadLetters::connect(&store, "sends").await.unwrap();
    let later = Some(Duration::from_millis(30));
    let picky = Picky { later, ..Picky::default() };
    let versions = fill(&store, 1, 3).await;
    let (id, version) = versions.iter().next().map(|(id, version)| (*id, *version)).unwrap();
    picky.refuse(id, 2);
    let running = parking(&store, "sends", &picky).start().await.unwrap();
    until("all wait", || async {
        numbers_of(&letters, id).await == (2..=version).collect::<Vec<_>>()
    })
    .await;
    picky.heal();
    let request = letters.retry_aggregate(id).await.unwrap();
    letters.carried_out(request, SOON).await.unwrap();
    let numbers = picky.numbers(id);
    let second = numbers.iter().position(|n| *n == 2).unwrap();
    assert_eq!(numbers[second..], (2..=version).collect::<Vec<_>>(), "in order from it on");
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_that_cannot_be_stored_is_not_lost() {
    let db = TestDb::embedded().await;
    let store = db.store().await;
    let letters = DeadLetters::connect(&store, "picky").await.unwrap();
    let picky = Picky::default();
    let versions = fill(&store, 1, 2).await;
    let (id, version) = versions.into_iter().next().unwrap();
    picky.refuse(id, 2);
    let busy = CqlError { kind: ErrorKind::Overloaded, message: "busy".into() };
    for action in [FaultAction::FailBefore(busy), FaultAction::DropAfter] {
        let fault = Fault::new(action).table("dead_letters").operation(Operation::Write);
        db.node().faults().add(fault.times(4));
    }
    let running = parking(&store, "picky", &picky).start().await.unwrap();
    until("all wait", || async {
        // Connections break here.
        let found = letters.list(1000, None).await;
        found.is_ok_and(|page| page.letters.len() as i64 == version - 1)
    })
    .await;
    let watermark = running.status().watermark;
    until("the watermark goes on", || async { running.status().watermark > watermark }).await;
    assert_eq!(running.stop().await.unwrap().in_flight, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_that_fails_for_too_many_aggregates_halts_its_group() {
    let db = TestDb::start().await;
    let store = db.store().await;
    let picky = Picky::default();
    for id in fill(&store, 4, 1).await.keys() {
        picky.refuse(*id, 1);
    }
    let settings = GroupSettings { max_parked: 2, ..quick() };
    for _ in 0..2 {
        let building = group(&store, "broken", picky.clone()).settings(settings.clone());
        let error = building.start().await.unwrap().finished().await.unwrap_err();
        assert!(matches!(error, GroupError::TooManyParked { limit: 2, .. }), "{error}");
    }
}

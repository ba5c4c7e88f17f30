//! What must be true when all is quiet.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

use messina::consumer::{DeadLetter, DeadLetters};
use messina::{AggregateId, EventEnvelope, EventStore};

use super::runner::{BALANCES, RECORDING, REFUSING, handled, is_refused};
use crate::projection::model::{Model, level, rows};
use crate::support::{Account, AccountEvent, TestDb};
use messina::Aggregate;

/// All of `event_store`, by aggregate.
pub type Histories = BTreeMap<AggregateId, Vec<EventEnvelope>>;

pub async fn histories(store: &EventStore, ids: &[AggregateId]) -> Histories {
    let mut histories = Histories::new();
    for id in ids {
        store.complete_pending(*id).await.unwrap();
        let events = store.events(*id, 0, i64::MAX).await.unwrap();
        if !events.is_empty() {
            histories.insert(*id, events);
        }
    }
    histories
}

/// Which of an aggregate's events a group handles: those before the first that it refuses.
fn expected(group: &str, events: &[EventEnvelope]) -> i64 {
    let refused = |e: &&EventEnvelope| is_refused(e.aggregate_id, e.sequence_number);
    let first = events.iter().find(refused).filter(|_| group == REFUSING);
    first.map_or(events.len() as i64, |e| e.sequence_number - 1)
}

/// What has not happened yet, if anything.
pub async fn missing(db: &TestDb, histories: &Histories, directory: &Path) -> Option<String> {
    for group in RECORDING {
        let handled: HashSet<_> = handled(directory, group).into_iter().collect();
        let lacks = histories
            .iter()
            .flat_map(|(id, events)| (1..=expected(group, events)).map(|number| (*id, number)));
        let lacks: Vec<_> = lacks.filter(|event| !handled.contains(event)).collect();
        if let Some(first) = lacks.first() {
            return Some(format!("{group} has not handled {} events, as {first:?}", lacks.len()));
        }
    }
    let letters: usize = letters(&db.store().await).await.values().map(Vec::len).sum();
    let parked = parked_events(histories);
    if letters < parked {
        return Some(format!("{letters} dead letters of {parked}"));
    }
    let (are, must) = (rows(db).await, fold(histories));
    let stale = must.0.iter().find(|(id, row)| are.0.get(id) != Some(row));
    if let Some((id, row)) = stale {
        return Some(format!("{BALANCES} has {:?} of {id}, not {row:?}", are.0.get(id)));
    }
    None
}

fn parked_events(histories: &Histories) -> usize {
    histories.values().map(|events| events.len() - expected(REFUSING, events) as usize).sum()
}

/// The refusing group's letters, by aggregate, in order.
async fn letters(store: &EventStore) -> HashMap<AggregateId, Vec<DeadLetter>> {
    let letters = DeadLetters::connect(store, REFUSING).await.unwrap();
    let mut all: HashMap<AggregateId, Vec<DeadLetter>> = HashMap::new();
    let mut from = None;
    loop {
        let page = letters.list(500, from.as_ref()).await.unwrap();
        for letter in page.letters {
            all.entry(letter.event.aggregate_id).or_default().push(letter);
        }
        from = page.next;
        if from.is_none() {
            return all;
        }
    }
}

/// What the read model must hold, from the events alone.
fn fold(histories: &Histories) -> Model {
    let mut model = Model::default();
    for (id, events) in histories {
        let mut account = Account::default();
        for event in events {
            account.apply(&event.decode_event::<AccountEvent>().unwrap());
        }
        let owner = account.owner.unwrap();
        model.0.insert(*id, (owner, account.balance, events.len() as i64));
        model.1.insert((level(account.balance).to_owned(), *id), account.balance);
    }
    model
}

/// What was seen, for people.
#[derive(Debug)]
#[expect(dead_code, reason = "printed")]
pub struct Report {
    aggregates: usize,
    events: usize,
    /// Events that were handled again, by group.
    repeated: BTreeMap<&'static str, usize>,
    parked: usize,
    letters: usize,
}

/// Everything was handled, in order, or is in the dead letters; the read model is the fold.
pub async fn check(db: &TestDb, histories: &Histories, directory: &Path) -> Report {
    let mut repeated = BTreeMap::new();
    for group in RECORDING {
        let mut first: HashMap<AggregateId, Vec<i64>> = HashMap::new();
        let mut again = 0;
        for (id, number) in handled(directory, group) {
            let numbers = first.entry(id).or_default();
            match numbers.contains(&number) {
                true => again += 1,
                false => numbers.push(number),
            }
        }
        for id in first.keys() {
            assert!(histories.contains_key(id), "{group} handled events of {id}: there are none");
        }
        for (id, events) in histories {
            let must: Vec<i64> = (1..=expected(group, events)).collect();
            let numbers = first.remove(id).unwrap_or_default();
            assert_eq!(numbers, must, "first deliveries of {id} to {group}");
        }
        repeated.insert(group, again);
    }
    let letters = letters(&db.store().await).await;
    for (id, events) in histories {
        let done = expected(REFUSING, events);
        let kept = letters.get(id).map_or(&[][..], Vec::as_slice);
        let numbers: Vec<i64> = kept.iter().map(|l| l.event.sequence_number).collect();
        assert_eq!(
            numbers,
            (done + 1..=events.len() as i64).collect::<Vec<_>>(),
            "letters of {id}"
        );
        for (letter, event) in kept.iter().zip(&events[done as usize..]) {
            assert!(letter.parks, "{letter:?}");
            assert_eq!(letter.failed, event.sequence_number == done + 1, "{letter:?}");
            assert_eq!(letter.event.event_id, event.event_id, "{letter:?}");
            assert_eq!(letter.event.event, event.event, "{letter:?}");
            assert_eq!(letter.event.committed_at, event.committed_at, "{letter:?}");
        }
    }
    assert!(letters.keys().all(|id| histories.contains_key(id)));
    assert_eq!(rows(db).await, fold(histories), "the read model and the fold of event_store");
    Report {
        aggregates: histories.len(),
        events: histories.values().map(Vec::len).sum(),
        repeated,
        parked: letters.len(),
        letters: letters.values().map(Vec::len).sum(),
    }
}

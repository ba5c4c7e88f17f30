//! States that travel with the events.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use messina::consumer::{ConsumerGroup, EventHandler, Handled, HandlerError, StartFrom};
use messina::{Aggregate, AggregateId, CaptureState, CommandHandler, DomainEvent, EventEnvelope};
use parking_lot::Mutex;
use serde::Serialize;

use crate::support::{TestDb, quick, until};

#[derive(Debug, Clone, DomainEvent)]
enum TankEvent {
    #[event(name = "Filled")]
    Filled { litres: u32 },
}

/// Counts litres; `AFTER` and `BEFORE` say what goes to the outbox.
#[derive(Debug, Clone, Default, Serialize)]
struct Tank<const CAPTURE: u8> {
    litres: u32,
}

impl<const CAPTURE: u8> Aggregate for Tank<CAPTURE> {
    const TYPE: &'static str = "Tank";
    const CAPTURE_STATE: CaptureState = match CAPTURE {
        0 => CaptureState::None,
        1 => CaptureState::After,
        _ => CaptureState::BeforeAndAfter,
    };
    type Command = Vec<u32>;
    type Event = TankEvent;
    type Error = std::convert::Infallible;

    fn handle(&self, fillings: &Vec<u32>) -> Result<Vec<TankEvent>, Self::Error> {
        Ok(fillings.iter().map(|&litres| TankEvent::Filled { litres }).collect())
    }

    fn apply(&mut self, TankEvent::Filled { litres }: &TankEvent) {
        self.litres += litres;
    }
}

type States = (Option<String>, Option<String>);

fn states(before: Option<u32>, after: Option<u32>) -> States {
    let json = |litres: u32| format!(r#"{{"litres":{litres}}}"#);
    (before.map(json), after.map(json))
}

async fn filled<const CAPTURE: u8>(db: &TestDb) -> AggregateId {
    let tanks = CommandHandler::<Tank<CAPTURE>>::new(db.store().await);
    let id = AggregateId::new();
    tanks.execute(id, vec![5]).await.unwrap();
    tanks.execute(id, vec![1, 2]).await.unwrap();
    id
}

async fn in_outbox(db: &TestDb, id: AggregateId) -> Vec<States> {
    let cql = format!(
        "SELECT state_before, state_after FROM {}.outbox_messages WHERE aggregate_id = ?",
        db.keyspace
    );
    let rows = db.query_unpaged(cql, (id.0,)).await.unwrap().into_rows_result().unwrap();
    rows.rows::<States>().unwrap().map(Result::unwrap).collect()
}

#[tokio::test]
async fn the_outbox_has_the_states_that_the_aggregate_asks_for() {
    let db = TestDb::start().await;
    let none = states(None, None);
    let id = filled::<0>(&db).await;
    assert_eq!(in_outbox(&db, id).await, [none.clone(), none.clone(), none]);
    let id = filled::<1>(&db).await;
    let after = [states(None, Some(5)), states(None, Some(6)), states(None, Some(8))];
    assert_eq!(in_outbox(&db, id).await, after);
    let id = filled::<2>(&db).await;
    let both = [states(Some(0), Some(5)), states(Some(5), Some(6)), states(Some(6), Some(8))];
    assert_eq!(in_outbox(&db, id).await, both);
}

#[derive(Clone, Default)]
struct Envelopes(Arc<Mutex<Vec<EventEnvelope>>>);

#[async_trait]
impl EventHandler for Envelopes {
    async fn handle(&self, event: &EventEnvelope) -> Result<Handled, HandlerError> {
        self.0.lock().push(event.clone());
        Ok(Handled::Done)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_is_given_the_states() {
    let db = TestDb::start().await;
    filled::<2>(&db).await;
    let seen = Envelopes::default();
    let group = ConsumerGroup::builder(db.store().await, "tanks", seen.clone())
        .settings(quick())
        // By the log, which has the states; event_store has not.
        .start_from(StartFrom::Time(SystemTime::now() - Duration::from_secs(60)))
        .start()
        .await
        .unwrap();
    until("all three events are handled", || async { seen.0.lock().len() == 3 }).await;
    group.stop().await.unwrap();
    let seen: Vec<States> = seen
        .0
        .lock()
        .iter()
        .map(|event| {
            let text = |state: &Option<messina::Payload>| {
                state.as_ref().map(|state| state.as_str().to_owned())
            };
            (text(&event.state_before), text(&event.state_after))
        })
        .collect();
    let both = [states(Some(0), Some(5)), states(Some(5), Some(6)), states(Some(6), Some(8))];
    assert_eq!(seen, both);
}

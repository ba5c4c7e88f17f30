//! Events of the past, read by the code of today.

use std::sync::Arc;

use messina::event::{Upcasted, Upcasters};
use messina::projection::{ProjectionHandler, Rebuild, RebuildMode, Writes};
use messina::store::{Append, NewEvent};
use messina::{
    Aggregate, AggregateId, CommandError, CommandHandler, EventEnvelope, EventId, EventStore,
    Metadata, Migration, Payload, Projection, ProjectionError, StoreError,
};
use serde_json::json;

use crate::support::{Account, AccountCommand, AccountEvent, TestDb, quick, until};

const TABLES: Migration = Migration::new(
    1,
    "balances",
    "CREATE TABLE balances (account uuid PRIMARY KEY, owner text, balance bigint);",
);

struct Balances;

impl Projection for Balances {
    fn name(&self) -> &'static str {
        "balances"
    }

    fn aggregate_types(&self) -> &'static [&'static str] {
        &["Account"]
    }

    fn tables(&self) -> &'static [&'static str] {
        &["balances"]
    }

    fn handle_event(
        &self,
        event: &EventEnvelope,
        writes: &mut Writes,
    ) -> Result<(), ProjectionError> {
        let row = writes.put("balances").key("account", event.aggregate_id.0);
        match event.decode_event()? {
            AccountEvent::Opened { owner } => row.set("owner", owner).set("balance", 0_i64),
            AccountEvent::Deposited { balance, .. } | AccountEvent::Withdrawn { balance, .. } => {
                row.set("balance", balance)
            }
        };
        Ok(())
    }
}

/// Accounts were once opened with money on them, deposits spoke of euros, and looks were
/// events.
fn upcasters() -> Upcasters {
    let steps = [("AccountOpened", 1), ("MoneyDeposited", 1)];
    Upcasters::builder()
        .events::<AccountEvent>(Account::TYPE, |told| {
            told.split(("AccountOpenedWith", 1), &steps, |old| {
                let euros = &old["euros"];
                let deposit = json!({ "euros": euros, "balance_euros": euros });
                Ok(vec![
                    Upcasted::new("AccountOpened", 1, json!({ "owner": old["owner"] })),
                    Upcasted::new("MoneyDeposited", 1, deposit),
                ])
            })
            .revise("MoneyDeposited", 1, |fields| {
                for (old, new) in [("euros", "cents"), ("balance_euros", "balance")] {
                    let euros = fields.remove(old).and_then(|v| v.as_i64());
                    let cents = euros.ok_or_else(|| format!("{old} is not a number"))? * 100;
                    fields.insert(new.to_owned(), cents.into());
                }
                Ok(())
            })
            .drop("AccountSeen", 1)
        })
        .build()
        .unwrap()
}

/// Appends events as an earlier build wrote them.
async fn write_old(store: &EventStore, id: AggregateId, events: &[(&str, i32, serde_json::Value)]) {
    let loaded = store.load::<Account>(id).await.unwrap();
    let events = events
        .iter()
        .map(|(event_type, event_version, payload)| NewEvent {
            event_id: EventId::new(),
            event_type: (*event_type).into(),
            event_version: *event_version,
            payload: Payload::from_json_text(payload.to_string()),
            state_after: None,
        })
        .collect();
    let append = Append {
        aggregate_id: id,
        aggregate_type: Account::TYPE.into(),
        expected_version: loaded.version,
        last_committed_at: loaded.last_committed_at,
        last_write_time: loaded.last_write_time,
        last_commit: loaded.last_commit,
        state_before: None,
        events,
        metadata: Metadata::default(),
        correlation_id: None,
        causation_id: None,
        created_at: None,
    };
    store.append(append).await.unwrap();
}

async fn write_history(store: &EventStore) -> AggregateId {
    let id = AggregateId::new();
    let old = [
        ("AccountOpenedWith", 1, json!({ "owner": "ann", "euros": 5 })),
        ("AccountSeen", 1, json!({})),
        ("MoneyDeposited", 1, json!({ "euros": 1, "balance_euros": 6 })),
        ("MoneyDeposited", 2, json!({ "cents": 50, "balance": 650 })),
        ("AccountSeen", 1, json!({})),
    ];
    write_old(store, id, &old).await;
    id
}

async fn row(db: &TestDb, id: AggregateId) -> Option<(Option<String>, Option<i64>)> {
    let cql = format!("SELECT owner, balance FROM {}.balances WHERE account = ?", db.keyspace);
    let rows = db.query_unpaged(cql, (id.0,)).await.unwrap().into_rows_result().unwrap();
    rows.maybe_first_row().unwrap()
}

#[tokio::test]
async fn an_aggregate_goes_on_from_a_history_of_other_shapes() {
    let db = TestDb::start().await;
    let store = db.store().await.with_upcasters(upcasters());
    let id = write_history(&store).await;
    let loaded = store.load::<Account>(id).await.unwrap();
    let expected = Account { owner: Some("ann".to_owned()), balance: 650, deposits: 3 };
    // Dropped events keep their numbers, split ones have one.
    assert_eq!((loaded.version, loaded.state), (5, expected));
    let accounts = CommandHandler::<Account>::new(store.clone());
    let reply = accounts.execute(id, AccountCommand::Deposit { cents: 1 }).await.unwrap();
    assert_eq!((reply.version, reply.state.balance), (6, 651));
    let stored = store.events(id, 0, i64::MAX).await.unwrap();
    assert_eq!(&*stored[0].event_type, "AccountOpenedWith", "what is stored does not change");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_and_a_rebuilt_projection_see_the_events_of_today() {
    let db = TestDb::empty().await.with_schema(&[TABLES]).await;
    let store = db.store().await.with_upcasters(upcasters());
    let handler = ProjectionHandler::new(&store, Balances);
    let group = messina::consumer::ConsumerGroup::builder(store.clone(), "balances", handler)
        .settings(quick())
        .start()
        .await
        .unwrap();
    let id = write_history(&store).await;
    let expected = Some((Some("ann".to_owned()), Some(650)));
    until("the read model is level", || async { row(&db, id).await == expected }).await;
    group.stop().await.unwrap();
    // Of the split event alone the second part's write must win.
    let other = AggregateId::new();
    write_old(&store, other, &[("AccountOpenedWith", 1, json!({ "owner": "bob", "euros": 7 }))])
        .await;
    let rebuild = Rebuild::new(store, Arc::new(Balances)).mode(RebuildMode::Truncate);
    rebuild.run(|_| {}).await.unwrap();
    assert_eq!(row(&db, id).await, expected);
    assert_eq!(row(&db, other).await, Some((Some("bob".to_owned()), Some(700))));
}

#[tokio::test]
async fn an_event_that_no_upcaster_takes_is_named() {
    let db = TestDb::start().await;
    let store = db.store().await.with_upcasters(upcasters());
    let cases = [
        ("AccountBurnt", 1, json!({}), "unknown event type \"AccountBurnt\""),
        ("MoneyDeposited", 7, json!({}), "has no version 7"),
        ("MoneyDeposited", 1, json!({}), "euros is not a number"),
    ];
    for (event_type, version, payload, reason) in cases {
        let id = write_history(&store).await;
        write_old(&store, id, &[(event_type, version, payload)]).await;
        let accounts = CommandHandler::<Account>::new(store.clone());
        let error = accounts.execute(id, AccountCommand::Look).await.unwrap_err();
        assert!(matches!(error, CommandError::Corrupt(StoreError::CorruptEvent(_))), "{error}");
        let error = error.to_string();
        for part in [reason, "event 6 of Account", &id.to_string(), &format!("version {version}")] {
            assert!(error.contains(part), "{part} in: {error}");
        }
    }
}

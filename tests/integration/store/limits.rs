//! What is too large, and clocks that are wrong.

use std::time::Duration;

use messina::store::{Oversized, StoreSettings};
use messina::{AggregateId, CommandError, CommandHandler};

use super::steps::{handler, open_account};
use super::tables;
use crate::support::{Account, AccountCommand, TestDb};

#[tokio::test]
async fn payloads_and_metadata_beyond_their_limits_are_refused_before_anything_is_reserved() {
    let db = TestDb::start().await;
    let settings = StoreSettings {
        max_payload_bytes: 1000,
        max_metadata_bytes: 100,
        ..StoreSettings::default()
    };
    let store = db.store_with(settings).await;
    let accounts = CommandHandler::<Account>::new(store);
    let id = AggregateId::new();
    let open = |owner: String| accounts.execute(id, AccountCommand::Open { owner });
    let error = open("x".repeat(1000)).await.unwrap_err();
    let told = "the payload of \"AccountOpened\" for aggregate";
    assert!(error.to_string().contains(told), "{error}");
    assert!(
        matches!(
            &error,
            CommandError::TooLarge { part: Oversized::Payload { .. }, size: 1012, limit: 1000, .. }
        ),
        "{error}"
    );
    let error = open("ann".to_owned()).metadata("note", "x".repeat(100)).await.unwrap_err();
    assert!(
        matches!(&error, CommandError::TooLarge { part: Oversized::Metadata, limit: 100, .. }),
        "{error}"
    );
    assert_eq!(db.count("SELECT * FROM {}.aggregate_heads").await, 0);
    open("ann".to_owned()).metadata("note", "x").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_ahead_by_more_than_five_seconds_is_told_and_nothing_is_written() {
    let db = TestDb::embedded().await;
    let accounts = handler(&db).await;
    let open = |id: AggregateId| {
        let open = AccountCommand::Open { owner: "ann".to_owned() };
        accounts.execute(id, open).idempotency_key("k")
    };
    // Ours is ahead of a server that is behind.
    let ahead = |by: Duration| db.node().set_clock_offset(-(by.as_micros() as i64));
    ahead(Duration::from_secs(4));
    assert_eq!(open(AggregateId::new()).await.unwrap().version, 1);
    ahead(Duration::from_secs(15));
    let id = AggregateId::new();
    let error = open(id).await.unwrap_err();
    let CommandError::ClockSkew { commit_id, .. } = &error else { panic!("{error}") };
    let told = error.to_string();
    assert!(told.contains("more than 5 s ahead") && told.contains("set the clock right"), "{told}");
    assert_eq!(tables::both(&db, id).await.0.len(), 0);
    assert_eq!(db.count("SELECT * FROM {}.command_outcomes").await, 1);
    // The next command on it is told the same, until the clocks agree.
    assert!(matches!(open(id).await.unwrap_err(), CommandError::ClockSkew { .. }));
    ahead(Duration::ZERO);
    let reply = open(id).await.unwrap();
    assert_eq!((reply.version, reply.commit_id, reply.repeated), (1, Some(*commit_id), true));
    tables::assert_sound(&tables::both(&db, id).await, &[(*commit_id, 1)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_generation_of_streams_in_between_is_waited_for() {
    let db = TestDb::embedded().await;
    let (_, id) = open_account(&db).await;
    let accounts = handler(&db).await;
    for n in 0..3 {
        db.node().new_cdc_generation(Duration::from_millis(50)).unwrap();
        let reply = accounts.execute(id, AccountCommand::Deposit { cents: 1 }).await.unwrap();
        assert_eq!(reply.version, 2 + n);
    }
}

//! Commands one at a time.

use messina::store::Oversized;
use messina::{AggregateId, CommandError, CommandHandler, CorrelationId};

use super::tables;
use crate::support::{Account, AccountCommand, AccountEvent, TestDb};

async fn handler(db: &TestDb) -> CommandHandler<Account> {
    CommandHandler::new(db.store().await)
}

fn open(owner: &str) -> AccountCommand {
    AccountCommand::Open { owner: owner.to_owned() }
}

#[tokio::test]
async fn a_command_replies_with_version_events_and_state() {
    let db = TestDb::start().await;
    let accounts = handler(&db).await;
    let id = AggregateId::new();
    let opened = accounts.execute(id, open("ann")).await.unwrap();
    assert_eq!((opened.version, opened.events.len()), (1, 1));
    let reply = accounts.execute(id, AccountCommand::DepositMany { times: 3 }).await.unwrap();
    assert_eq!(reply.version, 4);
    assert_eq!(reply.state.balance, 3);
    assert_eq!(reply.events[2].event, AccountEvent::Deposited { cents: 1, balance: 3 });
    assert_eq!(reply.events[2].sequence_number, 4);
    tables::assert_sound(
        &tables::both(&db, id).await,
        &[(opened.commit_id.unwrap(), 1), (reply.commit_id.unwrap(), 3)],
    );
}

#[tokio::test]
async fn circumstances_are_stored_with_the_events() {
    let db = TestDb::start().await;
    let accounts = handler(&db).await;
    let id = AggregateId::new();
    let request = CorrelationId::new();
    let first = accounts
        .execute(id, open("ann"))
        .correlation_id(request)
        .user("alice")
        .metadata("tenant", "acme")
        .metadata("channel", "web")
        .await
        .unwrap();
    let second = accounts
        .execute(id, AccountCommand::Deposit { cents: 5 })
        .caused_by(&first.events[0])
        .await
        .unwrap();
    let stored = db.store().await.events(id, 0, i64::MAX).await.unwrap();
    assert_eq!(stored[0].correlation_id, Some(request));
    assert_eq!(stored[0].metadata.user_id.as_deref(), Some("alice"));
    assert_eq!(stored[0].metadata.tenant.as_deref(), Some("acme"));
    assert_eq!(stored[0].metadata.extra["channel"], "web");
    assert_eq!(stored[1].causation_id, Some(first.events[0].event_id.into()));
    assert_eq!(stored[1].correlation_id, Some(request));
    assert_eq!(stored[1].event_version, 2);
    assert_eq!(stored[1].event_id, second.events[0].event_id);
    assert_eq!(stored[1].previous_committed_at, Some(stored[0].committed_at));
    assert!(stored[1].committed_at >= stored[0].committed_at + 10);
}

#[tokio::test]
async fn a_rejected_command_writes_nothing() {
    let db = TestDb::start().await;
    let accounts = handler(&db).await;
    let id = AggregateId::new();
    let error = accounts.execute(id, AccountCommand::Deposit { cents: 5 }).await.unwrap_err();
    assert!(matches!(error, CommandError::Rejected(_)), "{error}");
    assert_eq!(error.to_string(), "rejected: the account is not open");
    assert_eq!(tables::both(&db, id).await.0.len(), 0);
    assert_eq!(db.count("SELECT * FROM {}.aggregate_heads").await, 0);
}

#[tokio::test]
async fn a_command_without_events_writes_nothing() {
    let db = TestDb::start().await;
    let accounts = handler(&db).await;
    let id = AggregateId::new();
    accounts.execute(id, open("ann")).await.unwrap();
    let reply = accounts.execute(id, AccountCommand::Look).await.unwrap();
    assert_eq!((reply.version, reply.commit_id), (1, None));
    assert_eq!(tables::both(&db, id).await.0.len(), 1);
}

#[tokio::test]
async fn an_expected_version_that_is_not_met_is_a_conflict() {
    let db = TestDb::start().await;
    let accounts = handler(&db).await;
    let id = AggregateId::new();
    accounts.execute(id, open("ann")).expected_version(0).await.unwrap();
    let error = accounts
        .execute(id, AccountCommand::Deposit { cents: 1 })
        .expected_version(7)
        .await
        .unwrap_err();
    assert!(matches!(error, CommandError::Conflict { expected: 7, actual: 1, .. }), "{error}");
    accounts.execute(id, AccountCommand::Deposit { cents: 1 }).expected_version(1).await.unwrap();
}

#[tokio::test]
async fn a_commit_too_large_for_a_batch_is_refused_before_it_is_reserved() {
    let db = TestDb::start().await;
    let accounts = handler(&db).await;
    let id = AggregateId::new();
    accounts.execute(id, open("ann")).await.unwrap();
    let error =
        accounts.execute(id, AccountCommand::DepositMany { times: 1000 }).await.unwrap_err();
    let CommandError::TooLarge { part: Oversized::Commit { events: 1000 }, size, limit, .. } =
        error
    else {
        panic!("{error}");
    };
    assert!(size > limit);
    let reply = accounts.execute(id, AccountCommand::DepositMany { times: 250 }).await.unwrap();
    assert_eq!(reply.version, 251);
    let loaded = db.store().await.load::<Account>(id).await.unwrap();
    assert_eq!((loaded.version, loaded.state.balance), (251, 250));
}

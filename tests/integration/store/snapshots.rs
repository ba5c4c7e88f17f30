//! States that are kept so that loading need not begin with the first event.

use std::num::NonZeroU32;
use std::time::Duration;

use messina::{AggregateId, CommandHandler, SnapshotPolicy};

use crate::support::{Account, AccountCommand, TestDb, until};

fn every(events: u32) -> SnapshotPolicy {
    SnapshotPolicy::Every(NonZeroU32::new(events).unwrap())
}

/// A handler that remembers nothing, so that each command loads.
async fn handler(db: &TestDb, policy: SnapshotPolicy) -> CommandHandler<Account> {
    CommandHandler::builder(db.store().await).cache_capacity(0).snapshots(policy).build()
}

async fn opened(accounts: &CommandHandler<Account>) -> AggregateId {
    let id = AggregateId::new();
    accounts.execute(id, AccountCommand::Open { owner: "ann".to_owned() }).await.unwrap();
    id
}

async fn snapshot_is_at(db: &TestDb, id: AggregateId, version: i64) {
    let cql = format!(
        "SELECT * FROM {{}}.aggregate_snapshots WHERE aggregate_id = {id} \
         AND sequence_number = {version} ALLOW FILTERING"
    );
    until("the snapshot is there", || async { db.count(&cql).await == 1 }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_is_taken_every_so_many_events_and_saves_reading_them() {
    let db = TestDb::start().await;
    let accounts = handler(&db, every(10)).await;
    let id = opened(&accounts).await;
    accounts.execute(id, AccountCommand::DepositMany { times: 8 }).await.unwrap();
    assert_eq!(db.count("SELECT * FROM {}.aggregate_snapshots").await, 0);
    accounts.execute(id, AccountCommand::DepositMany { times: 3 }).await.unwrap();
    snapshot_is_at(&db, id, 12).await;
    // Events before it are not looked at any more.
    let cql = format!(
        "UPDATE {}.event_store SET event_data = 'unreadable' WHERE aggregate_id = ? \
         AND sequence_number = 5",
        db.keyspace
    );
    db.query_unpaged(cql, (id.0,)).await.unwrap();
    let reply = accounts.execute(id, AccountCommand::Deposit { cents: 1 }).await.unwrap();
    assert_eq!((reply.version, reply.state.balance, reply.state.deposits), (13, 12, 12));
    assert_eq!(accounts.load(id).await.unwrap().state, reply.state);
    accounts.store().load::<Account>(id).await.unwrap_err();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_is_taken_when_the_last_one_is_old() {
    let db = TestDb::start().await;
    let never_again = SnapshotPolicy::After(Duration::from_secs(3600));
    let at_once = SnapshotPolicy::After(Duration::ZERO);
    let accounts = handler(&db, never_again).await;
    let id = opened(&accounts).await;
    let deposit = AccountCommand::Deposit { cents: 1 };
    handler(&db, at_once).await.execute(id, deposit.clone()).await.unwrap();
    snapshot_is_at(&db, id, 2).await;
    accounts.execute(id, deposit.clone()).await.unwrap();
    handler(&db, at_once).await.execute(id, deposit).await.unwrap();
    snapshot_is_at(&db, id, 4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_that_cannot_be_used_is_ignored_and_replaced() {
    let db = TestDb::start().await;
    let accounts = handler(&db, every(3)).await;
    for damage in ["state = '{\"balance\":'", "schema_version = 7", "last_commit_id = null"] {
        let id = opened(&accounts).await;
        accounts.execute(id, AccountCommand::DepositMany { times: 4 }).await.unwrap();
        snapshot_is_at(&db, id, 5).await;
        let cql = format!(
            "UPDATE {}.aggregate_snapshots SET {damage} WHERE aggregate_id = ?",
            db.keyspace
        );
        db.query_unpaged(cql, (id.0,)).await.unwrap();
        let reply = accounts.execute(id, AccountCommand::Deposit { cents: 1 }).await.unwrap();
        assert_eq!((reply.version, reply.state.balance), (6, 5), "{damage}");
        snapshot_is_at(&db, id, 6).await;
        let loaded = accounts.load(id).await.unwrap();
        assert_eq!((loaded.version, loaded.state), (6, reply.state), "{damage}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_and_conflicts_work_on_top_of_a_snapshot() {
    let db = TestDb::start().await;
    let accounts = handler(&db, every(1)).await;
    let id = opened(&accounts).await;
    snapshot_is_at(&db, id, 1).await;
    let deposit = || accounts.execute(id, AccountCommand::Deposit { cents: 1 });
    let first = deposit().idempotency_key("k").await.unwrap();
    snapshot_is_at(&db, id, 2).await;
    deposit().await.unwrap();
    let repeat = deposit().idempotency_key("k").await.unwrap();
    assert_eq!((repeat.repeated, repeat.version), (true, 2));
    assert_eq!((repeat.state, repeat.response), (first.state, first.response));
}

//! Many writers at once.

use std::sync::Arc;
use std::time::Duration;

use messina::{AggregateId, CommandError, CommandHandler, ConflictRetry};

use super::tables;
use crate::support::{Account, AccountCommand, TestDb};

#[tokio::test(flavor = "multi_thread")]
async fn thirty_two_writers_on_one_aggregate_leave_one_history() {
    const WRITERS: usize = 32;
    const COMMANDS: usize = 5;
    let db = Arc::new(TestDb::start().await);
    let id = AggregateId::new();
    let retry = ConflictRetry {
        attempts: 1000,
        first_delay: Duration::from_millis(2),
        max_delay: Duration::from_millis(60),
    };
    let store = db.store().await;
    let handler =
        || CommandHandler::<Account>::builder(store.clone()).conflict_retry(retry.clone()).build();
    let accounts = handler();
    let opened =
        accounts.execute(id, AccountCommand::Open { owner: "ann".to_owned() }).await.unwrap();
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            // A handler each, as in a process each: nothing but the reservation orders them.
            let accounts = handler();
            tokio::spawn(async move {
                let mut commits = Vec::new();
                for n in 0..COMMANDS {
                    let times = 1 + (writer + n) % 3;
                    let reply =
                        accounts.execute(id, AccountCommand::DepositMany { times }).await.unwrap();
                    assert_eq!(reply.events.len(), times);
                    commits.push((reply.commit_id.unwrap(), times));
                }
                commits
            })
        })
        .collect();
    let mut commits = vec![(opened.commit_id.unwrap(), 1)];
    for writer in writers {
        commits.extend(writer.await.unwrap());
    }
    assert_eq!(commits.len(), 1 + WRITERS * COMMANDS);
    let rows = tables::both(&db, id).await;
    tables::assert_sound(&rows, &commits);
    let total: usize = commits.iter().map(|(_, events)| events).sum();
    assert_eq!(rows.0.len(), total, "events beyond the acknowledged commits");
    // Every decision was made on the state before it: balances count up without a gap.
    let loaded = db.store().await.load::<Account>(id).await.unwrap();
    assert_eq!(loaded.state.balance as usize, total - 1);
    assert_eq!(loaded.state.deposits, total - 1);
    assert_eq!(db.store().await.complete_pending(id).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_writers_that_insist_on_a_version_one_wins() {
    let db = TestDb::start().await;
    let id = AggregateId::new();
    let store = db.store().await;
    let accounts = CommandHandler::<Account>::new(store.clone());
    accounts.execute(id, AccountCommand::Open { owner: "ann".to_owned() }).await.unwrap();
    let writers: Vec<_> = (0..16)
        .map(|_| {
            let accounts = CommandHandler::<Account>::new(store.clone());
            tokio::spawn(async move {
                accounts.execute(id, AccountCommand::Deposit { cents: 1 }).expected_version(1).await
            })
        })
        .collect();
    let mut won = 0;
    for writer in writers {
        match writer.await.unwrap() {
            Ok(_) => won += 1,
            Err(CommandError::Conflict { expected: 1, actual: 2, .. }) => {}
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(won, 1);
    assert_eq!(db.store().await.load::<Account>(id).await.unwrap().version, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_of_one_handler_queue_up_instead_of_racing() {
    let db = TestDb::start().await;
    let id = AggregateId::new();
    let once = ConflictRetry { attempts: 1, ..ConflictRetry::default() };
    let accounts =
        CommandHandler::<Account>::builder(db.store().await).conflict_retry(once).build();
    accounts.execute(id, AccountCommand::Open { owner: "ann".to_owned() }).await.unwrap();
    let writers: Vec<_> = (0..32)
        .map(|_| {
            let accounts = accounts.clone();
            tokio::spawn(
                async move { accounts.execute(id, AccountCommand::Deposit { cents: 1 }).await },
            )
        })
        .collect();
    for writer in writers {
        writer.await.unwrap().unwrap();
    }
    assert_eq!(db.store().await.load::<Account>(id).await.unwrap().state.balance, 32);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_remembered_state_that_has_changed_elsewhere_decides_nothing() {
    let db = TestDb::start().await;
    let store = db.store().await;
    let once = ConflictRetry { attempts: 1, ..ConflictRetry::default() };
    for capacity in [0, 10] {
        let handler = || {
            CommandHandler::<Account>::builder(store.clone())
                .conflict_retry(once.clone())
                .cache_capacity(capacity)
                .build()
        };
        let (here, there) = (handler(), handler());
        let id = AggregateId::new();
        here.execute(id, AccountCommand::Open { owner: "ann".to_owned() }).await.unwrap();
        there.execute(id, AccountCommand::Deposit { cents: 50 }).await.unwrap();
        // Here the account is remembered as empty: a refusal would be wrong.
        let reply = here.execute(id, AccountCommand::Withdraw { cents: 50 }).await.unwrap();
        assert_eq!((reply.version, reply.state.balance), (3, 0));
        // There as full: an acceptance would be.
        let error = there.execute(id, AccountCommand::Withdraw { cents: 50 }).await.unwrap_err();
        assert_eq!(error.to_string(), "rejected: only 0 cents are left");
        // A version is compared with what is, not with what is remembered.
        here.execute(id, AccountCommand::Deposit { cents: 1 }).await.unwrap();
        let reply = there.execute(id, AccountCommand::Look).expected_version(4).await.unwrap();
        assert_eq!(reply.state.balance, 1);
    }
}

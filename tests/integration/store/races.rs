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
    let accounts = CommandHandler::<Account>::new(db.store().await).conflict_retry(retry);
    let opened =
        accounts.execute(id, AccountCommand::Open { owner: "ann".to_owned() }).await.unwrap();
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let accounts = accounts.clone();
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
    let accounts = CommandHandler::<Account>::new(db.store().await);
    accounts.execute(id, AccountCommand::Open { owner: "ann".to_owned() }).await.unwrap();
    let writers: Vec<_> = (0..16)
        .map(|_| {
            let accounts = accounts.clone();
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

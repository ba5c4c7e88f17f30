//! Writers that are stopped, or not answered, between the steps.

use std::time::Duration;

use messina::{AggregateId, CommandError, CommandHandler};
use messina_devdb::faults::FaultAction;

use super::steps::{
    BATCH, RESERVE, hasty_handler, impatient_handler, inject, open_account, write_timeout,
};
use super::tables;
use crate::support::{Account, AccountCommand, TestDb, until};

/// Stops a writer between reservation and batch; the account has two pending deposits then.
async fn leave_pending(db: &TestDb, accounts: &CommandHandler<Account>, id: AggregateId) {
    // Held up by the node before the writer is stopped: what is on its way would arrive.
    let held = inject(db, BATCH, 1000, FaultAction::Delay(Duration::from_secs(3600)));
    let writing = accounts.clone();
    let writer = tokio::spawn(async move {
        writing.execute(id, AccountCommand::DepositMany { times: 2 }).await.map(|_| ())
    });
    let head = format!(
        "SELECT * FROM {}.aggregate_heads WHERE aggregate_id = {id} AND sequence_number = 3 \
         ALLOW FILTERING",
        db.keyspace
    );
    until("the reservation is there", || async { db.count(&head).await == 1 }).await;
    until("the batch is held up", || async { held.hits() > 0 }).await;
    writer.abort();
    assert!(writer.await.unwrap_err().is_cancelled());
    db.node().faults().clear();
    assert_eq!(tables::both(db, id).await.0.len(), 1, "the batch has not arrived");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_stopped_writer_reserved_is_finished_by_the_next_command() {
    let db = TestDb::embedded().await;
    let (accounts, id) = open_account(&db).await;
    leave_pending(&db, &accounts, id).await;
    let reply = accounts.execute(id, AccountCommand::Deposit { cents: 10 }).await.unwrap();
    assert_eq!((reply.version, reply.state.balance), (4, 12));
    tables::assert_sound(&tables::both(&db, id).await, &[(reply.commit_id.unwrap(), 1)]);
    assert_eq!(accounts.store().complete_pending(id).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_stopped_writer_reserved_is_finished_on_request() {
    let db = TestDb::embedded().await;
    let (accounts, id) = open_account(&db).await;
    leave_pending(&db, &accounts, id).await;
    let finished = accounts.store().complete_pending(id).await.unwrap();
    let commit = finished.expect("the pending commit was finished");
    tables::assert_sound(&tables::both(&db, id).await, &[(commit, 2)]);
    assert_eq!(accounts.store().complete_pending(id).await.unwrap(), None);
    let loaded = accounts.store().load::<Account>(id).await.unwrap();
    assert_eq!((loaded.version, loaded.state.balance), (3, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_is_pending_can_be_expected() {
    let db = TestDb::embedded().await;
    let (accounts, id) = open_account(&db).await;
    leave_pending(&db, &accounts, id).await;
    let reply = accounts
        .execute(id, AccountCommand::Deposit { cents: 10 })
        .expected_version(3)
        .await
        .unwrap();
    assert_eq!(reply.version, 4);
}

/// The answer to this step of a command fails like this, so many times.
async fn is_settled(step: &str, times: u64, name: &str, action: FaultAction, timeout: Duration) {
    let db = TestDb::embedded().await;
    let (_, id) = open_account(&db).await;
    let accounts = impatient_handler(&db, timeout).await;
    inject(&db, step, times, action);
    let reply = accounts
        .execute(id, AccountCommand::DepositMany { times: 2 })
        .await
        .unwrap_or_else(|e| panic!("{step}, {name}, {times} times: {e}"));
    assert_eq!(reply.version, 3, "{step}, {name}, {times} times");
    let rows = tables::both(&db, id).await;
    tables::assert_sound(&rows, &[(reply.commit_id.unwrap(), 2)]);
    assert_eq!(rows.0.len(), 3, "{step}, {name}, {times} times");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_lost_answer_at_either_step_is_settled() {
    let actions = [
        ("refused before", FaultAction::FailBefore(write_timeout("CAS"))),
        ("applied, then a time-out", FaultAction::FailAfter(write_timeout("CAS"))),
        ("connection lost before", FaultAction::DropBefore),
        ("applied, then connection lost", FaultAction::DropAfter),
    ];
    for step in [RESERVE, BATCH] {
        for (name, action) in &actions {
            for times in [1, 2] {
                let timeout = Duration::from_secs(30);
                is_settled(step, times, name, action.clone(), timeout).await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_comes_after_the_time_out_is_settled() {
    let (timeout, late) = (Duration::from_secs(2), FaultAction::Delay(Duration::from_secs(3)));
    let both = [RESERVE, BATCH].into_iter().flat_map(|step| [1, 2].map(|times| (step, times)));
    let all = both.map(|(step, times)| is_settled(step, times, "late", late.clone(), timeout));
    futures::future::join_all(all.collect::<Vec<_>>()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_past_the_deadline_is_an_outcome_open_and_completion_settles_it() {
    let db = TestDb::embedded().await;
    let (_, id) = open_account(&db).await;
    let accounts = hasty_handler(&db, Duration::from_millis(300)).await;
    inject(&db, BATCH, 1000, FaultAction::FailBefore(write_timeout("BATCH_LOG")));
    let error = accounts.execute(id, AccountCommand::Deposit { cents: 1 }).await.unwrap_err();
    let CommandError::Indeterminate { commit_id, .. } = error else {
        panic!("{error}");
    };
    db.node().faults().clear();
    assert_eq!(accounts.store().complete_pending(id).await.unwrap(), Some(commit_id));
    tables::assert_sound(&tables::both(&db, id).await, &[(commit_id, 1)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn writers_stopped_at_random_leave_nothing_half_done() {
    let db = TestDb::embedded().await;
    let (accounts, id) = open_account(&db).await;
    let mut acknowledged = Vec::new();
    for n in 0..40_u64 {
        let writing = accounts.clone();
        let times = 1 + (n % 3) as usize;
        let writer = tokio::spawn(async move {
            writing.execute(id, AccountCommand::DepositMany { times }).await
        });
        // Some are stopped before, some within, some after their two steps.
        let limit = Duration::from_micros(n * 150);
        let abort = writer.abort_handle();
        tokio::time::sleep(limit).await;
        abort.abort();
        if let Ok(reply) = writer.await {
            acknowledged.push((reply.unwrap().commit_id.unwrap(), times));
        }
    }
    let last = accounts.execute(id, AccountCommand::Deposit { cents: 1 }).await.unwrap();
    acknowledged.push((last.commit_id.unwrap(), 1));
    tables::assert_sound(&tables::both(&db, id).await, &acknowledged);
    assert_eq!(accounts.store().complete_pending(id).await.unwrap(), None);
}

//! Commands with an idempotency key whose writers are stopped, or not answered.

use std::time::Duration;

use messina::{AggregateId, CommandError};
use messina_devdb::faults::{BatchPart, FaultAction};

use super::steps::{BATCH, RESERVE, handler, hasty_handler, inject, open_account, write_timeout};
use super::tables;
use crate::support::{AccountCommand, TestDb, until};

const NEVER: Duration = Duration::from_secs(3600);

fn deposit(cents: i64) -> AccountCommand {
    AccountCommand::Deposit { cents }
}

/// A deposit of a cent under this key, whose writer is stopped once `table` has its row. What
/// else its batch writes does not come in this test's time.
async fn stopped(db: &TestDb, id: AggregateId, key: &str, action: FaultAction, table: &str) {
    let accounts = handler(db).await;
    let first = inject(db, BATCH, 1, action);
    // Nor does a batch that is sent again, however often.
    let again = inject(db, BATCH, 1000, FaultAction::Delay(NEVER));
    let before = db.count(&format!("SELECT * FROM {{}}.{table}")).await;
    let key = key.to_owned();
    let writer = tokio::spawn(async move {
        accounts.execute(id, deposit(1)).idempotency_key(key).await.map(|_| ())
    });
    let head = format!(
        "SELECT * FROM {{}}.aggregate_heads WHERE aggregate_id = {id} AND sequence_number = 2 \
         ALLOW FILTERING"
    );
    until("the writer has come as far as it should", || async {
        let rows = db.count(&format!("SELECT * FROM {{}}.{table}")).await;
        // What is on its way when the writer is stopped would arrive: the node holds it up.
        let held = if table == "aggregate_heads" { first.hits() } else { again.hits() };
        let seen = table == "aggregate_heads" || rows > before;
        db.count(&head).await == 1 && seen && held > 0
    })
    .await;
    writer.abort();
    assert!(writer.await.unwrap_err().is_cancelled());
    db.node().faults().clear();
}

fn half(part: BatchPart) -> FaultAction {
    let error = Some(write_timeout("BATCH"));
    FaultAction::HalfBatch { part, rest_after: NEVER, error }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_finishes_what_the_first_attempt_had_reserved() {
    let db = TestDb::embedded().await;
    let (_, id) = open_account(&db).await;
    stopped(&db, id, "k", FaultAction::Delay(NEVER), "aggregate_heads").await;
    let accounts = handler(&db).await;
    let reply = accounts.execute(id, deposit(1)).idempotency_key("k").await.unwrap();
    assert!(reply.repeated);
    assert_eq!((reply.version, reply.state.balance, reply.events.len()), (2, 1, 1));
    tables::assert_sound(&tables::both(&db, id).await, &[(reply.commit_id.unwrap(), 1)]);
    assert_eq!(tables::both(&db, id).await.0.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_pending_for_another_command_is_refused() {
    let db = TestDb::embedded().await;
    let (_, id) = open_account(&db).await;
    stopped(&db, id, "k", FaultAction::Delay(NEVER), "aggregate_heads").await;
    let accounts = handler(&db).await;
    // By itself it would be rejected; but the key is taken, and so is the cent.
    let withdraw = AccountCommand::Withdraw { cents: 500 };
    let error = accounts.execute(id, withdraw).idempotency_key("k").await.unwrap_err();
    assert!(matches!(error, CommandError::KeyReused { .. }), "{error}");
    assert_eq!(tables::both(&db, id).await.0.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_missing_beside_its_events_is_written_before_anything_follows() {
    for by_key in [false, true] {
        let db = TestDb::embedded().await;
        let (_, id) = open_account(&db).await;
        stopped(&db, id, "k", half(BatchPart::First), "event_store").await;
        assert_eq!(db.count("SELECT * FROM {}.command_outcomes").await, 0);
        // Another command's events would hide that the answer is missing.
        let next = handler(&db).await;
        let next = next.execute(id, deposit(10));
        let next = if by_key { next.idempotency_key("next").await } else { next.await };
        assert_eq!(next.unwrap().version, 3);
        let accounts = handler(&db).await;
        let reply = accounts.execute(id, deposit(1)).idempotency_key("k").await.unwrap();
        assert!(reply.repeated);
        assert_eq!((reply.version, reply.state.balance), (2, 1));
        assert_eq!(tables::both(&db, id).await.0.len(), 3);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_does_not_see_events_without_their_answer() {
    let db = TestDb::embedded().await;
    let (_, id) = open_account(&db).await;
    stopped(&db, id, "k", half(BatchPart::First), "event_store").await;
    let accounts = handler(&db).await;
    let reply = accounts.execute(id, deposit(1)).idempotency_key("k").await.unwrap();
    assert_eq!((reply.repeated, reply.version), (true, 2));
    let rows = tables::both(&db, id).await;
    tables::assert_sound(&rows, &[(reply.commit_id.unwrap(), 1)]);
    assert_eq!(rows.0.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_seen_before_its_events_waits_for_them() {
    let db = TestDb::embedded().await;
    let (_, id) = open_account(&db).await;
    stopped(&db, id, "k", half(BatchPart::Last), "command_outcomes").await;
    let accounts = handler(&db).await;
    let reply = accounts.execute(id, deposit(1)).idempotency_key("k").await.unwrap();
    assert_eq!((reply.repeated, reply.version, reply.events.len()), (true, 2, 1));
    tables::assert_sound(&tables::both(&db, id).await, &[(reply.commit_id.unwrap(), 1)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_attempts_at_once_whose_reservations_are_not_answered_make_one_commit() {
    for action in [FaultAction::FailAfter(write_timeout("CAS")), FaultAction::DropAfter] {
        let db = TestDb::embedded().await;
        let (_, id) = open_account(&db).await;
        inject(&db, RESERVE, 2, action);
        let attempts: Vec<_> = [handler(&db).await, handler(&db).await]
            .into_iter()
            .map(|accounts| {
                tokio::spawn(async move {
                    // The dropped connection is the other attempt's, too: an answer that
                    // nothing was written is met as clients do, with the same key.
                    loop {
                        match accounts.execute(id, deposit(1)).idempotency_key("k").await {
                            Err(CommandError::Unavailable { .. }) => {}
                            answer => return answer.unwrap(),
                        }
                    }
                })
            })
            .collect();
        let mut replies = Vec::new();
        for attempt in attempts {
            replies.push(attempt.await.unwrap());
        }
        let ids = |n: usize| -> Vec<_> { replies[n].events.iter().map(|e| e.event_id).collect() };
        assert_eq!(ids(0), ids(1));
        let rows = tables::both(&db, id).await;
        tables::assert_sound(&rows, &[(replies[0].commit_id.unwrap(), 1)]);
        assert_eq!(rows.0.len(), 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_settles_what_was_indeterminate() {
    let db = TestDb::embedded().await;
    let (_, id) = open_account(&db).await;
    let accounts = hasty_handler(&db, Duration::from_millis(300)).await;
    inject(&db, BATCH, 1000, FaultAction::FailBefore(write_timeout("BATCH_LOG")));
    let first = accounts.execute(id, deposit(1)).idempotency_key("k").await;
    let Err(CommandError::Indeterminate { commit_id, .. }) = first else {
        panic!("{first:?}");
    };
    db.node().faults().clear();
    let accounts = handler(&db).await;
    let reply = accounts.execute(id, deposit(1)).idempotency_key("k").await.unwrap();
    assert_eq!((reply.commit_id, reply.version, reply.repeated), (Some(commit_id), 2, true));
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_stopped_at_random_and_repeated_are_carried_out_once_each() {
    const COMMANDS: u64 = 30;
    let db = TestDb::embedded().await;
    let (first, id) = open_account(&db).await;
    let mut commits = Vec::new();
    for n in 0..COMMANDS {
        let key = format!("command {n}");
        // One process is stopped somewhere, another repeats.
        let (stopped, repeating) = (first.clone(), handler(&db).await);
        let attempt = {
            let key = key.clone();
            tokio::spawn(async move { stopped.execute(id, deposit(1)).idempotency_key(key).await })
        };
        tokio::time::sleep(Duration::from_micros(n * 150)).await;
        attempt.abort();
        let told = attempt.await.ok().map(|reply| reply.unwrap().version);
        let reply = repeating.execute(id, deposit(1)).idempotency_key(key).await.unwrap();
        assert_eq!(told.unwrap_or(reply.version), reply.version);
        commits.push((reply.commit_id.unwrap(), 1));
    }
    let rows = tables::both(&db, id).await;
    tables::assert_sound(&rows, &commits);
    assert_eq!(rows.0.len() as u64, 1 + COMMANDS);
}

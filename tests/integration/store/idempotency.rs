//! Commands with an idempotency key.

use std::time::Duration;

use messina::store::StoreSettings;
use messina::{AggregateId, CommandError, CommandHandler, ConflictRetry, EventStore, Reply};

use super::tables;
use crate::support::{Account, AccountCommand, TestDb};

async fn opened(db: &TestDb) -> (CommandHandler<Account>, AggregateId) {
    let accounts = CommandHandler::new(db.store().await);
    let id = AggregateId::new();
    accounts.execute(id, AccountCommand::Open { owner: "ann".to_owned() }).await.unwrap();
    (accounts, id)
}

/// Another handler on the same store, as in another process.
fn elsewhere(accounts: &CommandHandler<Account>) -> CommandHandler<Account> {
    CommandHandler::new(accounts.store().clone())
}

fn deposit(cents: i64) -> AccountCommand {
    AccountCommand::Deposit { cents }
}

#[track_caller]
fn assert_same(repeat: &Reply<Account>, first: &Reply<Account>) {
    assert!(repeat.repeated);
    assert_eq!(repeat.version, first.version);
    assert_eq!(repeat.commit_id, first.commit_id);
    assert_eq!(repeat.state, first.state);
    assert_eq!(repeat.response, first.response);
    assert_eq!(repeat.impact, first.impact);
    let ids = |reply: &Reply<Account>| -> Vec<_> {
        reply.events.iter().map(|e| (e.event_id, e.sequence_number, e.event.clone())).collect()
    };
    assert_eq!(ids(repeat), ids(first));
}

#[tokio::test]
async fn a_repeat_gets_the_first_reply_and_appends_nothing() {
    let db = TestDb::start().await;
    let (accounts, id) = opened(&db).await;
    let command = AccountCommand::DepositMany { times: 2 };
    let first = accounts.execute(id, command.clone()).idempotency_key("k").await.unwrap();
    assert!(!first.repeated);
    assert_eq!(first.response.as_str(), r#"{"owner":"ann","balance":2,"deposits":2}"#);
    accounts.execute(id, deposit(10)).idempotency_key("other").await.unwrap();
    accounts.execute(id, deposit(10)).await.unwrap();
    for handler in [accounts.clone(), elsewhere(&accounts)] {
        let repeat = handler.execute(id, command.clone()).idempotency_key("k").await.unwrap();
        assert_same(&repeat, &first);
    }
    let repeat = accounts.execute(id, command).idempotency_key("k").expected_version(1).await;
    assert_same(&repeat.unwrap(), &first);
    let rows = tables::both(&db, id).await;
    assert_eq!(rows.0.len(), 5);
    tables::assert_sound(&rows, &[(first.commit_id.unwrap(), 2)]);
    let next = accounts.execute(id, deposit(1)).await.unwrap();
    assert_eq!((next.version, next.state.balance), (6, 23));
}

#[tokio::test(flavor = "multi_thread")]
async fn repeats_at_once_are_carried_out_once() {
    let db = TestDb::start().await;
    let (accounts, id) = opened(&db).await;
    for round in 0..5 {
        let tasks: Vec<_> = (0..12)
            .map(|n| {
                let handler = if n % 3 == 0 { accounts.clone() } else { elsewhere(&accounts) };
                let key = format!("round {round}");
                tokio::spawn(async move {
                    handler.execute(id, deposit(1)).idempotency_key(key).await.unwrap()
                })
            })
            .collect();
        let mut replies = Vec::new();
        for task in tasks {
            replies.push(task.await.unwrap());
        }
        let first = replies.iter().position(|r| !r.repeated).expect("one was the first");
        let first = replies.swap_remove(first);
        replies.iter().for_each(|repeat| assert_same(repeat, &first));
        assert_eq!(first.version, 2 + round);
    }
    assert_eq!(tables::both(&db, id).await.0.len(), 6);
}

#[tokio::test]
async fn a_key_used_for_another_command_is_refused() {
    let db = TestDb::start().await;
    let (accounts, id) = opened(&db).await;
    accounts.execute(id, deposit(5)).idempotency_key("k").await.unwrap();
    let error = accounts.execute(id, deposit(6)).idempotency_key("k").await.unwrap_err();
    assert!(matches!(&error, CommandError::KeyReused { key, .. } if key == "k"), "{error}");
    assert!(error.to_string().contains("a new command needs a new key"), "{error}");
    assert_eq!(tables::both(&db, id).await.0.len(), 2);
    // A key is a client's name for a command on one aggregate.
    let other = AggregateId::new();
    let open = AccountCommand::Open { owner: "bob".to_owned() };
    assert!(!accounts.execute(other, open).idempotency_key("k").await.unwrap().repeated);
    let error = accounts.execute(id, deposit(6)).idempotency_key("").await.unwrap_err();
    assert!(matches!(&error, CommandError::Invalid(_)), "{error}");
}

#[tokio::test]
async fn an_answer_without_events_stays_the_answer() {
    let db = TestDb::start().await;
    let (accounts, id) = opened(&db).await;
    let (warm, cold) = (elsewhere(&accounts), elsewhere(&accounts));
    warm.execute(id, deposit(1)).await.unwrap();
    let look = || accounts.execute(id, AccountCommand::Look).idempotency_key("k");
    let first = look().await.unwrap();
    assert_eq!((first.version, first.commit_id, first.repeated), (2, None, false));
    // Writers that do not know of it go on as if it were not there, whatever their patience.
    let impatient = ConflictRetry { attempts: 1, ..ConflictRetry::default() };
    let cold_once =
        CommandHandler::<Account>::builder(cold.store().clone()).conflict_retry(impatient).build();
    assert_eq!(cold_once.execute(id, deposit(1)).await.unwrap().version, 3);
    assert_eq!(warm.execute(id, deposit(1)).await.unwrap().version, 4);
    assert_same(&look().await.unwrap(), &first);
    let repeat = cold.execute(id, AccountCommand::Look).idempotency_key("k").await.unwrap();
    assert_same(&repeat, &first);
    assert_eq!(accounts.store().complete_pending(id).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_an_answer_without_events_and_one_with_there_is_one() {
    let db = TestDb::start().await;
    let (accounts, id) = opened(&db).await;
    // Withdrawing is refused or not, by what else happens; both would like to be recorded.
    for round in 0..10 {
        let handler = || {
            CommandHandler::<Account>::builder(accounts.store().clone())
                .record_rejections(true)
                .build()
        };
        let withdraw = |handler: CommandHandler<Account>| {
            tokio::spawn(async move {
                handler
                    .execute(id, AccountCommand::Withdraw { cents: 1 })
                    .idempotency_key(format!("withdrawal {round}"))
                    .await
                    .map(|reply| reply.version)
                    .map_err(|e| e.to_string())
            })
        };
        let tasks: Vec<_> = (0..4).map(|_| withdraw(handler())).collect();
        handler().execute(id, deposit(1)).await.unwrap();
        let mut answers = Vec::new();
        for task in tasks {
            answers.push(task.await.unwrap());
        }
        assert!(answers.iter().all(|answer| answer == &answers[0]), "{answers:?}");
        assert_eq!(withdraw(handler()).await.unwrap(), answers[0]);
    }
}

#[tokio::test]
async fn a_refusal_is_recorded_if_asked_for() {
    let db = TestDb::start().await;
    let (accounts, _) = opened(&db).await;
    for record in [false, true] {
        let handler = CommandHandler::<Account>::builder(accounts.store().clone())
            .record_rejections(record)
            .build();
        // Of an aggregate that does not exist, too.
        let id = AggregateId::new();
        let early = || handler.execute(id, deposit(5)).idempotency_key("k").user("alice");
        let error = early().await.unwrap_err();
        assert!(matches!(error, CommandError::Rejected(_)), "{error}");
        let told = error.to_string();
        handler.execute(id, AccountCommand::Open { owner: "ann".to_owned() }).await.unwrap();
        let again = early().await;
        let recorded = format!(
            "SELECT * FROM {{}}.command_outcomes WHERE aggregate_id = {id} \
             AND rejection = 'the account is not open' ALLOW FILTERING"
        );
        if record {
            let error = again.unwrap_err();
            assert!(matches!(error, CommandError::RejectedBefore { .. }), "{error}");
            assert_eq!(error.to_string(), told);
            assert_eq!(db.count(&recorded).await, 1);
            assert_eq!(handler.execute(id, deposit(5)).await.unwrap().version, 2);
        } else {
            assert_eq!(again.unwrap().version, 2);
            assert_eq!(db.count(&recorded).await, 0);
        }
    }
}

#[tokio::test]
async fn an_answer_lives_as_long_as_the_setting_says() {
    let db = TestDb::start().await;
    let settings =
        StoreSettings { outcome_ttl: Duration::from_secs(3000), ..StoreSettings::default() };
    let store = db.store_with(settings).await;
    let accounts = CommandHandler::<Account>::new(store);
    let id = AggregateId::new();
    let open = AccountCommand::Open { owner: "ann".to_owned() };
    accounts.execute(id, open).idempotency_key("k").await.unwrap();
    let cql = format!("SELECT ttl(response) FROM {}.command_outcomes", db.keyspace);
    let rows = db.query_unpaged(cql, ()).await.unwrap().into_rows_result().unwrap();
    let (ttl,) = rows.single_row::<(i32,)>().unwrap();
    assert!((2900..=3000).contains(&ttl), "{ttl}");
    for outcome_ttl in [Duration::from_millis(10), Duration::from_secs(21 * 365 * 86_400)] {
        let settings = StoreSettings { outcome_ttl, ..StoreSettings::default() };
        let refused = EventStore::connect_with(db.session.clone(), &db.keyspace, settings).await;
        assert!(refused.unwrap_err().to_string().contains("outcome_ttl"));
    }
}

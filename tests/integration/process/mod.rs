//! Process managers: a withdrawal from one account is deposited in another.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use messina::consumer::{ConsumerGroup, EventHandler, Handled, HandlerError};
use messina::process::{Commands, ProcessError, ProcessHandler, ProcessManager, Rejection};
use messina::{AggregateId, CommandHandler, DomainEvent, EventEnvelope, EventStore};
use messina_devdb::error::{CqlError, ErrorKind};
use messina_devdb::faults::{Fault, FaultAction, Operation};
use parking_lot::Mutex;

use crate::support::{Account, AccountCommand, AccountEvent, TestDb, quick, until};

/// Sends what is withdrawn from an account to another; what is refused goes back.
#[derive(Clone, Default)]
struct Transfers {
    /// From which account to which.
    to: Arc<Mutex<HashMap<AggregateId, AggregateId>>>,
    rejections: Arc<Mutex<Vec<Rejection>>>,
}

impl ProcessManager for Transfers {
    fn name(&self) -> &'static str {
        "transfers"
    }

    fn aggregate_types(&self) -> &'static [&'static str] {
        &["Account"]
    }

    fn react(&self, event: &EventEnvelope, commands: &mut Commands) -> Result<(), ProcessError> {
        let AccountEvent::Withdrawn { cents, .. } = event.decode_event()? else { return Ok(()) };
        if let Some(to) = self.to.lock().get(&event.aggregate_id) {
            commands.send::<Account>(*to, AccountCommand::Deposit { cents });
        }
        Ok(())
    }

    fn rejected(
        &self,
        event: &EventEnvelope,
        rejection: &Rejection,
        commands: &mut Commands,
    ) -> Result<(), ProcessError> {
        self.rejections.lock().push(rejection.clone());
        let AccountEvent::Withdrawn { cents, .. } = event.decode_event()? else { return Ok(()) };
        commands.send::<Account>(event.aggregate_id, AccountCommand::Deposit { cents });
        Ok(())
    }
}

struct Bank {
    store: EventStore,
    accounts: CommandHandler<Account>,
    transfers: Transfers,
}

impl Bank {
    async fn open(db: &TestDb) -> Self {
        let store = db.store().await;
        let accounts = CommandHandler::new(store.clone());
        Self { store, accounts, transfers: Transfers::default() }
    }

    fn handler(&self) -> ProcessHandler {
        let accounts = CommandHandler::<Account>::builder(self.store.clone());
        ProcessHandler::new(self.transfers.clone()).with(accounts.record_rejections(true).build())
    }

    /// An account with 100 cents in it.
    async fn account(&self) -> AggregateId {
        let id = AggregateId::new();
        self.accounts.execute(id, AccountCommand::Open { owner: "o".into() }).await.unwrap();
        self.accounts.execute(id, AccountCommand::Deposit { cents: 100 }).await.unwrap();
        id
    }

    async fn withdraw(&self, from: AggregateId, cents: i64, to: AggregateId) -> EventEnvelope {
        self.transfers.to.lock().insert(from, to);
        let reply = self.accounts.execute(from, AccountCommand::Withdraw { cents }).await.unwrap();
        let withdrawn = &reply.events[0];
        withdrawn.with_event(withdrawn.event.to_payload().unwrap())
    }

    async fn state(&self, id: AggregateId) -> (i64, i64) {
        let loaded = self.store.load::<Account>(id).await.unwrap();
        (loaded.version, loaded.state.balance)
    }
}

/// Handles events and dies after the first, before it can say so.
struct Dying {
    process: ProcessHandler,
    alive: Arc<AtomicBool>,
}

#[async_trait]
impl EventHandler for Dying {
    async fn handle(&self, event: &EventEnvelope) -> Result<Handled, HandlerError> {
        self.process.handle(event).await?;
        if self.alive.swap(false, Ordering::SeqCst) {
            return Ok(Handled::Done);
        }
        Err(HandlerError::retry("never heard of again"))
    }
}

async fn run(bank: &Bank, handler: impl EventHandler) -> messina::consumer::RunningGroup {
    let group = ConsumerGroup::builder(bank.store.clone(), "transfers", handler);
    group.settings(quick()).start().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_of_one_aggregate_leads_to_a_command_on_another() {
    let db = TestDb::start().await;
    let bank = Bank::open(&db).await;
    let (from, to) = (bank.account().await, bank.account().await);
    let group = run(&bank, bank.handler()).await;
    let withdrawn = bank.withdraw(from, 30, to).await;
    until("the money has arrived", || async { bank.state(to).await == (3, 130) }).await;
    group.stop().await.unwrap();
    let events = bank.store.events(to, 2, 3).await.unwrap();
    let deposited = &events[0];
    assert_eq!(deposited.causation_id, Some(withdrawn.event_id.into()));
    assert_eq!(deposited.metadata.extra["process"], "transfers");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_comes_again_after_a_crash_does_not_act_twice() {
    let db = TestDb::start().await;
    let bank = Bank::open(&db).await;
    let (from, to) = (bank.account().await, bank.account().await);
    for _ in 0..3 {
        bank.withdraw(from, 10, to).await;
    }
    // It acts on an event, again and again, and is stopped before that is stored.
    let alive = Arc::new(AtomicBool::new(true));
    let dying = Dying { process: bank.handler(), alive: Arc::clone(&alive) };
    let group = run(&bank, dying).await;
    until("it has acted, twice at least", || async { group.status().retries > 2 }).await;
    group.stop().await.unwrap();
    let group = run(&bank, bank.handler()).await;
    until("all has arrived", || async { bank.state(to).await.1 >= 130 }).await;
    until("it is level", || async { group.status().in_flight == 0 }).await;
    group.stop().await.unwrap();
    assert_eq!(bank.state(to).await, (5, 130));
    assert!(bank.transfers.rejections.lock().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_an_answer_and_what_it_calls_for_is_done_once() {
    let db = TestDb::start().await;
    let bank = Bank::open(&db).await;
    let (from, nowhere) = (bank.account().await, AggregateId::new());
    let withdrawn = bank.withdraw(from, 40, nowhere).await;
    assert_eq!(bank.state(from).await, (3, 60));
    let handler = bank.handler();
    for _ in 0..3 {
        handler.handle(&withdrawn).await.unwrap();
    }
    assert_eq!(bank.state(from).await, (4, 100));
    let rejections = bank.transfers.rejections.lock().clone();
    assert_eq!(rejections[0].aggregate_id, nowhere);
    assert_eq!((rejections[0].place, &*rejections[0].reason), (0, "the account is not open"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_away_is_waited_for_and_a_missing_handler_is_poison() {
    let db = TestDb::embedded().await;
    let bank = Bank::open(&db).await;
    let (from, to) = (bank.account().await, bank.account().await);
    let withdrawn = bank.withdraw(from, 30, to).await;
    let refused = CqlError { kind: ErrorKind::Invalid, message: "no".into() };
    let fault = Fault::new(FaultAction::FailBefore(refused)).operation(Operation::Lwt).times(1);
    db.node().faults().add(fault.table("aggregate_heads"));
    let error = bank.handler().handle(&withdrawn).await.unwrap_err();
    assert!(matches!(error, HandlerError::Retry(_)), "{error}");
    bank.handler().handle(&withdrawn).await.unwrap();
    assert_eq!(bank.state(to).await, (3, 130));
    let unable = ProcessHandler::new(bank.transfers.clone());
    let error = unable.handle(&withdrawn).await.unwrap_err();
    assert!(matches!(error, HandlerError::Poison(_)), "{error}");
    assert!(error.to_string().contains("ProcessHandler::with"), "{error}");
}

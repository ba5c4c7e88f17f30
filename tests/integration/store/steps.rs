//! Faults at the steps of an append.

use std::time::Duration;

use messina::store::StoreSettings;
use messina::{AggregateId, CommandHandler};
use messina_devdb::error::{CqlError, ErrorKind};
use messina_devdb::faults::{Fault, FaultAction, FaultHandle};

use crate::support::{Account, AccountCommand, TestDb};

/// The text of a request of each step.
pub const RESERVE: &str = "UPDATE ";
pub const BATCH: &str = "BATCH ";

pub async fn open_account(db: &TestDb) -> (CommandHandler<Account>, AggregateId) {
    let accounts = handler(db).await;
    let id = AggregateId::new();
    accounts.execute(id, AccountCommand::Open { owner: "ann".to_owned() }).await.unwrap();
    (accounts, id)
}

pub fn inject(db: &TestDb, statement: &str, times: u64, action: FaultAction) -> FaultHandle {
    db.node().faults().add(Fault::new(action).statement(statement).times(times))
}

pub fn write_timeout(write_type: &'static str) -> CqlError {
    CqlError { kind: ErrorKind::WriteTimeout { write_type }, message: "injected".to_owned() }
}

/// A handler of its own, as in another process.
pub async fn handler(db: &TestDb) -> CommandHandler<Account> {
    CommandHandler::new(db.store().await)
}

/// A handler that waits no longer than this for an answer, and as long as it takes for an
/// outcome.
pub async fn impatient_handler(db: &TestDb, request_timeout: Duration) -> CommandHandler<Account> {
    let append_deadline = Duration::from_secs(60);
    handler_with(db, StoreSettings { request_timeout, append_deadline, ..Default::default() }).await
}

/// A handler that gives an append up after this, and waits for each answer.
pub async fn hasty_handler(db: &TestDb, append_deadline: Duration) -> CommandHandler<Account> {
    let request_timeout = Duration::from_secs(30);
    handler_with(db, StoreSettings { request_timeout, append_deadline, ..Default::default() }).await
}

async fn handler_with(db: &TestDb, settings: StoreSettings) -> CommandHandler<Account> {
    CommandHandler::new(db.store_with(settings).await)
}

//! Faults at the steps of an append.

use std::time::Duration;

use messina::store::StoreSettings;
use messina::{AggregateId, CommandHandler, EventStore};
use messina_devdb::error::{CqlError, ErrorKind};
use messina_devdb::faults::{Fault, FaultAction};

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

pub fn inject(db: &TestDb, statement: &str, times: u64, action: FaultAction) {
    db.node().faults().add(Fault::new(action).statement(statement).times(times));
}

pub fn write_timeout(write_type: &'static str) -> CqlError {
    CqlError { kind: ErrorKind::WriteTimeout { write_type }, message: "injected".to_owned() }
}

/// A handler of its own, as in another process.
pub async fn handler(db: &TestDb) -> CommandHandler<Account> {
    CommandHandler::new(quick_store(db).await)
}

/// A store that does not wait long for an answer.
pub async fn quick_store(db: &TestDb) -> EventStore {
    let settings = StoreSettings {
        request_timeout: Duration::from_millis(300),
        append_deadline: Duration::from_secs(5),
        ..StoreSettings::default()
    };
    EventStore::connect_with(db.session.clone(), &db.keyspace, settings).await.unwrap()
}

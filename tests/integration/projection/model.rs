//! A projection of the accounts, and what its tables must hold.

use std::collections::BTreeMap;

use messina::projection::Writes;
use messina::read_model::ReadModel;
use messina::{
    AggregateId, CommandHandler, EventEnvelope, EventStore, Migration, Projection, ProjectionError,
};

use crate::support::{Account, AccountCommand, AccountEvent, TestDb};

pub const TABLES: Migration = Migration::new(
    1,
    "balances",
    "CREATE TABLE balances (account uuid PRIMARY KEY, owner text, balance bigint, version bigint);
     CREATE TABLE by_level (level text, account uuid, balance bigint, PRIMARY KEY (level, account));",
);

pub struct Balances;

pub fn level(balance: i64) -> &'static str {
    if balance >= 100 { "rich" } else { "poor" }
}

impl Projection for Balances {
    fn name(&self) -> &'static str {
        "balances"
    }

    fn aggregate_types(&self) -> &'static [&'static str] {
        &["Account"]
    }

    fn tables(&self) -> &'static [&'static str] {
        &["balances", "by_level"]
    }

    fn handle_event(
        &self,
        event: &EventEnvelope,
        writes: &mut Writes,
    ) -> Result<(), ProjectionError> {
        let id = event.aggregate_id.0;
        let (before, after) = match event.decode_event()? {
            AccountEvent::Opened { owner } => {
                writes.put("balances").key("account", id).set("owner", owner);
                (0, 0)
            }
            AccountEvent::Deposited { cents, balance } => (balance - cents, balance),
            AccountEvent::Withdrawn { cents, balance } => (balance + cents, balance),
        };
        writes
            .put("balances")
            .key("account", id)
            .set("balance", after)
            .set("version", event.sequence_number);
        writes.delete("by_level").key("level", level(before)).key("account", id);
        writes.put("by_level").key("level", level(after)).key("account", id).set("balance", after);
        Ok(())
    }
}

pub type Model = (BTreeMap<AggregateId, (String, i64, i64)>, BTreeMap<(String, AggregateId), i64>);

/// The rows that queries find.
pub async fn rows(db: &TestDb) -> Model {
    let model = ReadModel::new(db.store().await, "balances");
    let (balances, by_level) =
        (model.table("balances").await.unwrap(), model.table("by_level").await.unwrap());
    let balances = db
        .query_unpaged(format!("SELECT account, owner, balance, version FROM {balances}"), ())
        .await
        .unwrap()
        .into_rows_result()
        .unwrap();
    let levels = db
        .query_unpaged(format!("SELECT level, account, balance FROM {by_level}"), ())
        .await
        .unwrap()
        .into_rows_result()
        .unwrap();
    (
        balances
            .rows::<(uuid::Uuid, Option<String>, i64, i64)>()
            .unwrap()
            .map(|row| {
                let (id, owner, balance, version) = row.unwrap();
                (AggregateId(id), (owner.unwrap_or_default(), balance, version))
            })
            .collect(),
        levels
            .rows::<(String, uuid::Uuid, i64)>()
            .unwrap()
            .map(|row| {
                let (level, id, balance) = row.unwrap();
                ((level, AggregateId(id)), balance)
            })
            .collect(),
    )
}

/// Commands on some accounts; what the read model must be then.
pub async fn fill(store: &EventStore) -> Model {
    let accounts = CommandHandler::<Account>::new(store.clone());
    let mut model = Model::default();
    for n in 0..8_i64 {
        let id = AggregateId::new();
        let owner = format!("owner {n}");
        accounts.execute(id, AccountCommand::Open { owner: owner.clone() }).await.unwrap();
        let mut balance = 0;
        let mut version = 1;
        for k in 0..6 {
            let (command, change) = if k % 3 == 2 {
                (AccountCommand::Withdraw { cents: 40 + n }, -40 - n)
            } else {
                (AccountCommand::Deposit { cents: 60 }, 60)
            };
            version = accounts.execute(id, command).await.unwrap().version;
            balance += change;
        }
        model.0.insert(id, (owner, balance, version));
        model.1.insert((level(balance).to_owned(), id), balance);
    }
    model
}

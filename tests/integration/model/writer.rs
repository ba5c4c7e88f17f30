//! A writer: many tasks, few aggregates.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use messina::store::StoreSettings;
use messina::{AggregateId, CommandError, CommandHandler, EventStore};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use scylla::client::session_builder::SessionBuilder;
use uuid::Uuid;

use super::journal::{Journal, Line, Outcome};
use crate::support::{Account, AccountCommand};

/// What a writer process is told, by its environment.
#[derive(Debug, Clone)]
pub struct Orders {
    pub uri: String,
    pub keyspace: String,
    pub seed: u64,
    pub commands: usize,
    pub accounts: Vec<AggregateId>,
    pub journal: PathBuf,
}

const NAMES: [&str; 6] =
    ["MODEL_URI", "MODEL_KEYSPACE", "MODEL_SEED", "MODEL_TIMES", "MODEL_IDS", "MODEL_JOURNAL"];

impl Orders {
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let ids: Vec<String> = self.accounts.iter().map(ToString::to_string).collect();
        let values = [
            self.uri.clone(),
            self.keyspace.clone(),
            self.seed.to_string(),
            self.commands.to_string(),
            ids.join(","),
            self.journal.display().to_string(),
        ];
        NAMES.into_iter().zip(values).collect()
    }

    /// `None`: this process is no writer.
    pub fn of_environment() -> Option<Self> {
        let [uri, keyspace, seed, commands, ids, journal] = NAMES.map(|n| std::env::var(n).ok());
        Some(Self {
            uri: uri?,
            keyspace: keyspace?,
            seed: seed?.parse().unwrap(),
            commands: commands?.parse().unwrap(),
            accounts: ids?.split(',').map(|id| id.parse().unwrap()).collect(),
            journal: journal?.into(),
        })
    }
}

const TASKS: usize = 6;

/// Carries the orders out; faults may come between it and the database at any time.
pub async fn run(orders: Orders) {
    let store = connect(&orders).await;
    let handler = CommandHandler::<Account>::builder(store).build();
    let journal = Arc::new(Journal::open(&orders.journal));
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let (handler, journal, orders) =
                (handler.clone(), Arc::clone(&journal), orders.clone());
            let mut random = StdRng::seed_from_u64(orders.seed * 1000 + task as u64);
            tokio::spawn(async move {
                for _ in 0..orders.commands / TASKS {
                    let account = orders.accounts[random.random_range(0..orders.accounts.len())];
                    one(&handler, &journal, account, &mut random).await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}

/// A node that has been told to drop connections may drop the first ones, too.
async fn connect(orders: &Orders) -> EventStore {
    let settings = StoreSettings {
        request_timeout: Duration::from_millis(400),
        append_deadline: Duration::from_secs(3),
        ..StoreSettings::default()
    };
    let mut attempts = 0;
    loop {
        attempts += 1;
        let store = async {
            let session = SessionBuilder::new().known_node(&orders.uri).build().await?;
            let store = EventStore::connect_with(
                Arc::new(session),
                orders.keyspace.clone(),
                settings.clone(),
            );
            Ok::<_, Box<dyn std::error::Error>>(store.await?)
        };
        match store.await {
            Ok(store) => return store,
            Err(error) if attempts > 20 => panic!("{error}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

async fn one(
    handler: &CommandHandler<Account>,
    journal: &Journal,
    aggregate: AggregateId,
    random: &mut StdRng,
) {
    let (command, events) = match random.random_range(0..10) {
        0..4 => (AccountCommand::Deposit { cents: random.random_range(1..20) }, 1),
        4..7 => {
            let times = random.random_range(2..6);
            (AccountCommand::DepositMany { times }, times)
        }
        _ => (AccountCommand::Withdraw { cents: random.random_range(1..60) }, 1),
    };
    let id = Uuid::now_v7();
    journal.write(&Line::Begun { command: id, aggregate, events });
    let expected_version = random.random_bool(0.1).then(|| random.random_range(1..200));
    let keyed = random.random_bool(0.3);
    let mut outcome = attempt(handler, aggregate, &command, id, expected_version, keyed).await;
    if keyed {
        // A client that repeats: whatever it was told, the command is carried out once.
        let again = attempt(handler, aggregate, &command, id, expected_version, keyed).await;
        if let (Outcome::Acknowledged { .. }, Outcome::Acknowledged { .. }) = (&outcome, &again) {
            assert_eq!(outcome, again, "a repeat was told something else");
        }
        // What is known of one is known of both; a refusal says nothing of the attempt before.
        outcome = match (outcome, again) {
            (known @ Outcome::Acknowledged { .. }, _)
            | (_, known @ Outcome::Acknowledged { .. }) => known,
            (Outcome::Unknown, _) | (_, Outcome::Unknown) => Outcome::Unknown,
            (known @ Outcome::Indeterminate { .. }, Outcome::Nothing(_)) => known,
            (Outcome::Indeterminate { .. }, _) => Outcome::Unknown,
            (Outcome::Nothing(_), last) => last,
        };
    }
    let away = matches!(&outcome, Outcome::Nothing(reason) if reason.contains(" failed: "));
    journal.write(&Line::Ended { command: id, outcome });
    if away {
        // As a client would: a driver whose connections were dropped takes a while for new ones.
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
}

async fn attempt(
    handler: &CommandHandler<Account>,
    aggregate: AggregateId,
    command: &AccountCommand,
    id: Uuid,
    expected_version: Option<i64>,
    keyed: bool,
) -> Outcome {
    let mut execute =
        handler.execute(aggregate, command.clone()).metadata("command", id.to_string());
    if let Some(version) = expected_version {
        execute = execute.expected_version(version);
    }
    if keyed {
        execute = execute.idempotency_key(id.to_string());
    }
    match execute.await {
        Ok(reply) => Outcome::Acknowledged {
            commit: reply.commit_id.unwrap(),
            version: reply.version,
            events: reply.events.len(),
        },
        Err(CommandError::Indeterminate { commit_id, .. }) => {
            Outcome::Indeterminate { commit: commit_id }
        }
        Err(CommandError::ClockSkew { .. }) => Outcome::Unknown,
        Err(
            error @ (CommandError::Rejected(_)
            | CommandError::Conflict { .. }
            | CommandError::Unavailable { .. }),
        ) => Outcome::Nothing(error.to_string()),
        Err(error) => panic!("an outcome that the model does not know: {error:?}"),
    }
}

//! Subscriptions to the changes of tables.

mod images;
mod lease;
mod replica;
mod selection;
mod trouble;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use messina::change::{
    ChangeEvent, ChangeHandler, ChangeSettings, ChangeSubscription, SubscriptionBuilder,
};
use messina::consumer::HandlerError;
use parking_lot::Mutex;

use crate::support::TestDb;

/// Remembers what it is given.
#[derive(Clone, Default)]
struct Recorder(Arc<Mutex<Vec<ChangeEvent>>>);

impl Recorder {
    fn len(&self) -> usize {
        self.0.lock().len()
    }

    fn changes(&self) -> Vec<ChangeEvent> {
        self.0.lock().clone()
    }
}

#[async_trait]
impl ChangeHandler for Recorder {
    async fn handle(&self, change: &ChangeEvent) -> Result<(), HandlerError> {
        self.0.lock().push(change.clone());
        Ok(())
    }
}

/// Intervals for tests: the embedded node's clock is ours.
fn quick() -> ChangeSettings {
    ChangeSettings {
        safety_interval: Duration::from_millis(300),
        sleep_interval: Duration::from_millis(20),
        checkpoint_interval: Duration::from_millis(50),
        retry_delay: (Duration::from_millis(10), Duration::from_millis(100)),
        drain_timeout: Duration::from_secs(10),
        ..ChangeSettings::default()
    }
}

/// A subscription with settings for tests.
async fn subscription(db: &TestDb, name: &str, handler: impl ChangeHandler) -> SubscriptionBuilder {
    ChangeSubscription::builder(db.store().await, name, handler).settings(quick())
}

/// Executes statements; `{}` stands for the keyspace.
async fn run(db: &TestDb, statements: &[&str]) {
    for statement in statements {
        let cql = statement.replace("{}", &db.keyspace);
        db.query_unpaged(cql.as_str(), ()).await.unwrap_or_else(|e| panic!("{cql}: {e}"));
    }
}

//! Connecting as configured, and opening the store.

use std::sync::Arc;

use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;

use crate::cli::error::CommandLineError;
use crate::cli::service::Service;
use crate::cli::settings::Settings;
use crate::schema::{Difference, SchemaError};
use crate::store::{EventStore, StoreError};

/// A session with the configured nodes.
pub(crate) async fn connect(settings: &Settings) -> Result<Arc<Session>, CommandLineError> {
    let mut builder = SessionBuilder::new().known_nodes(settings.list("scylla"));
    if settings.is_set("user") {
        builder = builder.user(settings.text("user"), settings.text("password"));
    }
    match builder.build().await {
        Ok(session) => Ok(Arc::new(session)),
        Err(source) => Err(CommandLineError::Connect {
            address: settings.list("scylla").join(", "),
            source: Box::new(source),
        }),
    }
}

/// The store in a keyspace that is ready.
pub(crate) async fn open(
    service: &Service,
    settings: &Settings,
    session: Arc<Session>,
) -> Result<EventStore, CommandLineError> {
    let keyspace = settings.text("keyspace");
    let differences = service.schema(keyspace).verify(&session).await?;
    if !differences.is_empty() {
        return Err(not_ready(keyspace.to_owned(), differences));
    }
    let store = EventStore::connect(session, keyspace).await?;
    Ok(store.with_upcasters(Arc::clone(&service.upcasters)))
}

/// Connects, and opens the store for a command that looks or asks: the library's own tables
/// are enough, since an operator must be able to look while a read model's table is broken.
pub(crate) async fn store(
    service: &Service,
    settings: &Settings,
) -> Result<EventStore, CommandLineError> {
    let session = connect(settings).await?;
    let store = match EventStore::connect(session, settings.text("keyspace")).await {
        Err(StoreError::Schema(SchemaError::Different { keyspace, differences })) => {
            return Err(not_ready(keyspace, differences));
        }
        opened => opened?,
    };
    Ok(store.with_upcasters(Arc::clone(&service.upcasters)))
}

/// Connects, and opens the store for a command that writes read models.
pub(crate) async fn store_with_tables(
    service: &Service,
    settings: &Settings,
) -> Result<EventStore, CommandLineError> {
    let session = connect(settings).await?;
    open(service, settings, session).await
}

fn not_ready(keyspace: String, differences: Vec<Difference>) -> CommandLineError {
    CommandLineError::NotReady { keyspace, differences, command: "projection-runner" }
}

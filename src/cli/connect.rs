//! Connecting as configured, and opening the store.

use std::sync::Arc;

use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;

use crate::cli::error::CommandLineError;
use crate::cli::service::Service;
use crate::cli::settings::Settings;
use crate::store::EventStore;

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
        let keyspace = keyspace.to_owned();
        let command = "projection-runner";
        return Err(CommandLineError::NotReady { keyspace, differences, command });
    }
    let store = EventStore::connect(session, keyspace).await?;
    Ok(store.with_upcasters(Arc::clone(&service.upcasters)))
}

/// Connects and opens.
pub(crate) async fn store(
    service: &Service,
    settings: &Settings,
) -> Result<EventStore, CommandLineError> {
    let session = connect(settings).await?;
    open(service, settings, session).await
}

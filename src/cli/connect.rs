//! Connecting as configured, and opening the store.

use std::sync::Arc;

use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;

use crate::cli::error::CommandLineError;
use crate::cli::service::Service;
use crate::cli::settings::Settings;
use crate::schema::Difference;
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
    open_but_for(service, settings, session, |_| false).await
}

async fn open_but_for(
    service: &Service,
    settings: &Settings,
    session: Arc<Session>,
    accepted: impl Fn(&Difference) -> bool,
) -> Result<EventStore, CommandLineError> {
    let keyspace = settings.text("keyspace");
    let mut differences = service.schema(keyspace).verify(&session).await?;
    differences.retain(|difference| !accepted(difference));
    if !differences.is_empty() {
        let keyspace = keyspace.to_owned();
        return Err(CommandLineError::NotReady { keyspace, differences });
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
    let store = EventStore::connect(session, settings.text("keyspace")).await?;
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

/// As [`store_with_tables`], for a command that makes this projection's tables anew: that a
/// version in use is outdated is what it sets right.
pub(crate) async fn store_to_rebuild(
    service: &Service,
    settings: &Settings,
    name: &str,
) -> Result<EventStore, CommandLineError> {
    let session = connect(settings).await?;
    let outdated = |difference: &Difference| matches!(difference, Difference::VersionOutdated { projection, .. } if projection == name);
    open_but_for(service, settings, session, outdated).await
}

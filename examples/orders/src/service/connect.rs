//! Connecting to the database and opening the store.

use std::sync::Arc;

use messina::{EventStore, Schema};
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;

use crate::service::{ServiceError, orders};

/// The schema of orders: the library's tables and the read models.
pub fn schema(keyspace: &str) -> Schema {
    orders().schema(keyspace)
}

/// A session with the database at `address`.
///
/// # Errors
/// [`ServiceError::Database`] when nothing answers there.
pub async fn connect(address: &str) -> Result<Arc<Session>, ServiceError> {
    match SessionBuilder::new().known_node(address).build().await {
        Ok(session) => Ok(Arc::new(session)),
        Err(source) => {
            Err(ServiceError::Database { address: address.to_owned(), source: Box::new(source) })
        }
    }
}

/// The store in a keyspace that is ready.
///
/// # Errors
/// [`ServiceError::NotReady`] says what the keyspace lacks.
pub async fn open(session: Arc<Session>, keyspace: &str) -> Result<EventStore, ServiceError> {
    let differences = schema(keyspace).verify(&session).await?;
    if !differences.is_empty() {
        return Err(ServiceError::NotReady { keyspace: keyspace.to_owned(), differences });
    }
    Ok(EventStore::connect(session, keyspace).await?)
}

//! A node and a session for a test.

use std::sync::Arc;
use std::time::Duration;

use messina_devdb::{Builder, DevDb};
use scylla::client::Compression;
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::deserialize::row::DeserializeRow;
use scylla::serialize::row::SerializeRow;

pub use crate::wait::until;

/// The driver's own 5 s can pass on a busy machine.
pub const CONNECTION_TIMEOUT: Duration = Duration::from_secs(30);

/// A running node with a session in keyspace `ks`.
pub struct Node {
    pub devdb: DevDb,
    pub session: Arc<Session>,
}

pub async fn connect(devdb: &DevDb, compression: Option<Compression>) -> Session {
    SessionBuilder::new()
        .known_node(devdb.contact_point())
        .compression(compression)
        .connection_timeout(CONNECTION_TIMEOUT)
        .build()
        .await
        .unwrap()
}

pub async fn start() -> Node {
    start_with(None).await
}

pub async fn start_with(compression: Option<Compression>) -> Node {
    start_from(DevDb::builder(), compression).await
}

pub async fn start_from(builder: Builder, compression: Option<Compression>) -> Node {
    let devdb = builder.start().await.unwrap();
    let session = connect(&devdb, compression).await;
    session
        .query_unpaged(
            "CREATE KEYSPACE ks WITH replication = \
             {'class': 'NetworkTopologyStrategy', 'replication_factor': 1}",
            &[],
        )
        .await
        .unwrap();
    session.use_keyspace("ks", false).await.unwrap();
    Node { devdb, session: Arc::new(session) }
}

impl Node {
    /// Executes a statement that must succeed.
    pub async fn run(&self, text: &str) {
        if let Err(error) = self.session.query_unpaged(text, &[]).await {
            panic!("{text}: {error}");
        }
    }

    /// All rows of a query.
    pub async fn rows<R>(&self, text: &str, values: impl SerializeRow) -> Vec<R>
    where
        R: for<'frame, 'metadata> DeserializeRow<'frame, 'metadata>,
    {
        let result = self.session.query_unpaged(text, values).await;
        let result = result.unwrap_or_else(|error| panic!("{text}: {error}"));
        let rows = result.into_rows_result().unwrap();
        rows.rows::<R>().unwrap().map(|row| row.unwrap()).collect()
    }
}

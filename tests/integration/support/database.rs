//! A database per test: the embedded node, or a keyspace of a real server.

use std::ops::Deref;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use messina::store::StoreSettings;
use messina::{EventStore, Migration, Schema};
use messina_devdb::DevDb;
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::value::CqlTimestamp;

/// A session, a keyspace of its own, and the node if it is embedded.
pub struct TestDb {
    pub session: Arc<Session>,
    pub keyspace: String,
    node: Option<DevDb>,
}

impl TestDb {
    /// `SCYLLA_URI` (host:port) if set, the embedded node otherwise; the keyspace is not
    /// created yet.
    pub async fn empty() -> Self {
        match std::env::var("SCYLLA_URI") {
            Ok(uri) => Self::connected(&uri, None).await,
            Err(_) => Self::embedded_empty().await,
        }
    }

    /// As [`TestDb::empty`], with the library's schema.
    pub async fn start() -> Self {
        Self::empty().await.with_schema(&[]).await
    }

    /// A node that is up already, in another process.
    pub async fn at(uri: &str) -> Self {
        Self::connected(uri, None).await
    }

    /// The embedded node in any case: for tests that inject faults.
    pub async fn embedded() -> Self {
        Self::embedded_empty().await.with_schema(&[]).await
    }

    async fn embedded_empty() -> Self {
        let node = DevDb::start().await.unwrap();
        let contact_point = node.contact_point();
        Self::connected(&contact_point, Some(node)).await
    }

    async fn connected(contact_point: &str, node: Option<DevDb>) -> Self {
        let session = SessionBuilder::new().known_node(contact_point).build().await.unwrap();
        let keyspace = format!("test_{}", uuid::Uuid::new_v4().simple());
        Self { session: Arc::new(session), keyspace, node }
    }

    /// Applies the library's schema and these migrations.
    pub async fn with_schema(self, migrations: &[Migration]) -> Self {
        self.schema(migrations).apply(&self.session).await.unwrap();
        self
    }

    pub fn schema(&self, migrations: &[Migration]) -> Schema {
        Schema::new(&self.keyspace).migrations("test", migrations)
    }

    /// A store that waits as long as a busy machine may take.
    pub async fn store(&self) -> EventStore {
        let settings = StoreSettings {
            request_timeout: Duration::from_secs(30),
            append_deadline: Duration::from_secs(60),
            ..StoreSettings::default()
        };
        self.store_with(settings).await
    }

    pub async fn store_with(&self, settings: StoreSettings) -> EventStore {
        EventStore::connect_with(Arc::clone(&self.session), &self.keyspace, settings).await.unwrap()
    }

    /// The embedded node.
    pub fn node(&self) -> &DevDb {
        self.node.as_ref().expect("this test needs the embedded node")
    }

    /// Takes the embedded node away.
    pub async fn shut_down(&mut self) {
        self.node.take().expect("this test needs the embedded node").shutdown().await;
    }

    /// Where the database is.
    pub fn node_address(&self) -> String {
        match &self.node {
            Some(node) => node.contact_point(),
            None => std::env::var("SCYLLA_URI").unwrap(),
        }
    }

    /// Sets what a group has stored of its first slice so far back.
    pub async fn set_back(&self, group: &str, by: Duration) {
        let of = format!("WHERE group_name = '{group}' AND slice = 0");
        let table = format!("{}.consumer_checkpoints", self.keyspace);
        let cql = format!("SELECT stream_id FROM {table} {of}");
        let rows = self.query_unpaged(cql, ()).await.unwrap().into_rows_result().unwrap();
        let then = (SystemTime::now() - by).duration_since(UNIX_EPOCH).unwrap();
        let then = CqlTimestamp(then.as_millis() as i64);
        let cql = format!("UPDATE {table} SET position = ? {of} AND stream_id = ?");
        for row in rows.rows::<(Vec<u8>,)>().unwrap() {
            let (stream,) = row.unwrap();
            self.query_unpaged(cql.as_str(), (then, stream)).await.unwrap();
        }
    }

    /// How many rows `select` returns; `{}` stands for the keyspace.
    pub async fn count(&self, select: &str) -> usize {
        let cql = select.replace("{}", &self.keyspace);
        let result = self.session.query_unpaged(cql, ()).await.unwrap();
        result.into_rows_result().unwrap().rows_num()
    }
}

impl Deref for TestDb {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.session
    }
}

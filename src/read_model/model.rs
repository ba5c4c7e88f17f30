//! Querying a read model wherever it stands.

use std::fmt;
use std::sync::Arc;

use parking_lot::RwLock;
use scylla::statement::Consistency;
use scylla::statement::prepared::PreparedStatement;

use crate::read_model::{VersionCache, table_name};
use crate::store::{DatabaseError, EventStore};

/// The current tables of one projection, for code that queries them.
///
/// Which version is current is remembered for at most a second, and a version that readers
/// have left is kept up to date until all can have noticed. Ask for the table, or for the
/// statement, with each query; do not keep the answer.
///
/// ```no_run
/// # use messina::read_model::ReadModel;
/// # async fn example(store: messina::EventStore, id: uuid::Uuid)
/// # -> Result<(), Box<dyn std::error::Error>> {
/// let orders = ReadModel::new(store.clone(), "order_read_model");
/// // Names of tables in braces are replaced by those of the current version.
/// let statement = orders
///     .prepared("SELECT status FROM {order_read_model} WHERE order_id = ?")
///     .await?;
/// let rows = store.session().execute_unpaged(&statement, (id,)).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ReadModel {
    inner: Arc<Inner>,
}

struct Inner {
    store: EventStore,
    projection: String,
    cache: VersionCache,
    /// By query; a handful per process. Those of versions that are no longer current go.
    prepared: RwLock<Vec<(i32, String, PreparedStatement)>>,
}

/// Why a read model cannot be queried.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadModelError {
    /// The database did not answer, or refused the statement.
    #[error("read model {projection}: {source}")]
    Database {
        /// Whose tables.
        projection: String,
        /// What it said.
        source: DatabaseError,
    },
    /// The text of the query has an opening brace without a closing one.
    #[error("read model {projection}: a brace is not closed in: {cql}")]
    Template {
        /// Whose tables.
        projection: String,
        /// The query as given.
        cql: String,
    },
}

impl fmt::Debug for ReadModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ReadModel").field(&self.inner.projection).finish()
    }
}

impl ReadModel {
    /// The read model of the projection of this name, in the store's keyspace. Asks the
    /// database nothing yet.
    pub fn new(store: EventStore, projection: impl Into<String>) -> Self {
        let projection = projection.into();
        let cache = VersionCache::new(store.clone(), projection.clone());
        Self { inner: Arc::new(Inner { store, projection, cache, prepared: RwLock::default() }) }
    }

    /// The projection's name.
    pub fn projection(&self) -> &str {
        &self.inner.projection
    }

    fn database(&self, source: impl Into<DatabaseError>) -> ReadModelError {
        ReadModelError::Database {
            projection: self.inner.projection.clone(),
            source: source.into(),
        }
    }

    /// The version that queries read.
    ///
    /// # Errors
    /// [`ReadModelError::Database`].
    pub async fn version(&self) -> Result<i32, ReadModelError> {
        Ok(self.inner.cache.get().await.map_err(|e| self.database(e))?.current)
    }

    /// The table that holds `table` (its name in the migrations) now, with the keyspace.
    ///
    /// # Errors
    /// [`ReadModelError::Database`].
    pub async fn table(&self, table: &str) -> Result<String, ReadModelError> {
        let version = self.version().await?;
        Ok(format!("{}.{}", self.inner.store.keyspace(), table_name(table, version)))
    }

    /// The text of a query on the current tables, whose names stand in braces.
    ///
    /// # Errors
    /// [`ReadModelError::Template`], [`ReadModelError::Database`].
    pub async fn cql(&self, template: &str) -> Result<String, ReadModelError> {
        let version = self.version().await?;
        self.filled(template, version)
    }

    fn filled(&self, template: &str, version: i32) -> Result<String, ReadModelError> {
        filled(template, self.inner.store.keyspace(), version).ok_or_else(|| {
            ReadModelError::Template {
                projection: self.inner.projection.clone(),
                cql: template.to_owned(),
            }
        })
    }

    /// A query on the current tables, prepared once per version: idempotent, read at
    /// `LOCAL_QUORUM`.
    ///
    /// # Errors
    /// As [`ReadModel::cql`].
    pub async fn prepared(&self, template: &str) -> Result<PreparedStatement, ReadModelError> {
        let version = self.version().await?;
        let known = |list: &[(i32, String, PreparedStatement)]| {
            let found = list.iter().find(|(v, text, _)| *v == version && text == template);
            found.map(|(_, _, statement)| statement.clone())
        };
        if let Some(statement) = known(&self.inner.prepared.read()) {
            return Ok(statement);
        }
        let cql = self.filled(template, version)?;
        let mut statement =
            self.inner.store.session().prepare(cql).await.map_err(|e| self.database(e))?;
        statement.set_is_idempotent(true);
        statement.set_consistency(Consistency::LocalQuorum);
        let mut prepared = self.inner.prepared.write();
        prepared.retain(|(v, _, _)| *v == version);
        if known(&prepared).is_none() {
            prepared.push((version, template.to_owned(), statement.clone()));
        }
        Ok(statement)
    }
}

/// The template with tables of this version; `None` if a brace stays open.
fn filled(template: &str, keyspace: &str, version: i32) -> Option<String> {
    let mut text = String::with_capacity(template.len() + keyspace.len() + 8);
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let (table, after) = after.split_once('}')?;
        text.push_str(before);
        text.push_str(keyspace);
        text.push('.');
        text.push_str(&table_name(table, version));
        rest = after;
    }
    text.push_str(rest);
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_in_braces_are_those_of_the_version() {
        let template = "SELECT a FROM {orders} WHERE b = ?";
        assert_eq!(filled(template, "k", 1).unwrap(), "SELECT a FROM k.orders WHERE b = ?");
        assert_eq!(filled(template, "k", 3).unwrap(), "SELECT a FROM k.orders__v3 WHERE b = ?");
        assert_eq!(filled("SELECT a FROM {orders", "k", 1), None);
    }
}

//! The statements of a projection's writes, prepared once per kind of write and version.

use std::sync::Arc;

use parking_lot::RwLock;
use scylla::serialize::value::SerializeValue;
use scylla::statement::Consistency;
use scylla::statement::prepared::PreparedStatement;

use crate::projection::writes::{Write, WriteKind};
use crate::read_model::table_name;
use crate::store::{DatabaseError, EventStore};

/// What a statement writes, without the values.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Shape {
    version: i32,
    table: &'static str,
    kind: WriteKind,
    keys: Vec<&'static str>,
    columns: Vec<&'static str>,
}

impl Shape {
    fn of(write: &Write, version: i32) -> Self {
        Self {
            version,
            table: write.table,
            kind: write.kind,
            keys: write.keys.iter().map(|(name, _)| *name).collect(),
            columns: write.columns.iter().map(|(name, _)| *name).collect(),
        }
    }

    fn fits(&self, write: &Write, version: i32) -> bool {
        self.version == version
            && self.table == write.table
            && self.kind == write.kind
            && self.keys.iter().eq(write.keys.iter().map(|(name, _)| name))
            && self.columns.iter().eq(write.columns.iter().map(|(name, _)| name))
    }

    /// Its text; values are bound as [`values`] orders them.
    fn cql(&self, keyspace: &str) -> String {
        let table = table_name(self.table, self.version);
        match self.kind {
            WriteKind::Put => {
                let names: Vec<&str> = self.keys.iter().chain(&self.columns).copied().collect();
                let markers = vec!["?"; names.len()].join(", ");
                format!(
                    "INSERT INTO {keyspace}.{table} ({}) VALUES ({markers}) USING TIMESTAMP ?",
                    names.join(", ")
                )
            }
            WriteKind::Delete => {
                let keys: Vec<String> =
                    self.keys.iter().map(|name| format!("{name} = ?")).collect();
                format!(
                    "DELETE FROM {keyspace}.{table} USING TIMESTAMP ? WHERE {}",
                    keys.join(" AND ")
                )
            }
        }
    }
}

/// Values to bind.
pub(crate) type Values<'w> = Vec<&'w (dyn SerializeValue + Send + Sync)>;

/// The write's values in its statement's order.
pub(crate) fn values<'w>(write: &'w Write, timestamp: &'w i64) -> Values<'w> {
    let named = write.keys.iter().chain(&write.columns).map(|(_, value)| &**value as _);
    let timestamp: &(dyn SerializeValue + Send + Sync) = timestamp;
    match write.kind {
        WriteKind::Put => named.chain([timestamp]).collect(),
        WriteKind::Delete => [timestamp].into_iter().chain(named).collect(),
    }
}

/// A prepared statement, and which of its values are the partition key, in the key's order.
#[derive(Debug)]
pub(crate) struct WriteStatement {
    pub(crate) prepared: PreparedStatement,
    /// Empty if it does not name one partition.
    pub(crate) partition: Vec<usize>,
}

impl WriteStatement {
    fn new(prepared: PreparedStatement) -> Self {
        let mut places: Vec<_> = prepared
            .get_variable_pk_indexes()
            .iter()
            .map(|place| (place.sequence, usize::from(place.index)))
            .collect();
        places.sort_unstable();
        Self { prepared, partition: places.into_iter().map(|(_, index)| index).collect() }
    }
}

/// Prepared statements by what they write: as many as the projection has kinds of writes,
/// so a walk over them is faster than a hash of their names.
#[derive(Debug)]
pub(crate) struct WriteStatements {
    store: EventStore,
    prepared: RwLock<Vec<(Shape, Arc<WriteStatement>)>>,
}

impl WriteStatements {
    pub(crate) fn new(store: EventStore) -> Self {
        Self { store, prepared: RwLock::default() }
    }

    /// The statement of this write into this version of its table.
    pub(crate) async fn get(
        &self,
        write: &Write,
        version: i32,
    ) -> Result<Arc<WriteStatement>, DatabaseError> {
        let known = |list: &[(Shape, Arc<WriteStatement>)]| {
            list.iter().find(|(shape, _)| shape.fits(write, version)).map(|(_, s)| Arc::clone(s))
        };
        if let Some(statement) = known(&self.prepared.read()) {
            return Ok(statement);
        }
        let shape = Shape::of(write, version);
        let mut statement = self.store.session().prepare(shape.cql(self.store.keyspace())).await?;
        statement.set_consistency(Consistency::LocalQuorum);
        statement.set_is_idempotent(true);
        let statement = Arc::new(WriteStatement::new(statement));
        let mut prepared = self.prepared.write();
        if known(&prepared).is_none() {
            prepared.push((shape, Arc::clone(&statement)));
        }
        Ok(statement)
    }

    /// Forgets the statements of versions that are no longer written.
    pub(crate) fn keep_only(&self, versions: &[i32]) {
        self.prepared.write().retain(|(shape, _)| versions.contains(&shape.version));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::projection::Writes;

    #[test]
    fn statements_carry_their_timestamp_and_name_the_versions_table() {
        let mut writes = Writes::default();
        writes.put("orders").key("id", 1_i32).set("status", "new").set("total", 5_i64);
        writes.delete("by_status").key("status", "new").key("id", 1_i32);
        let cql = |version| -> Vec<String> {
            writes.list.iter().map(|write| Shape::of(write, version).cql("k")).collect()
        };
        assert_eq!(
            cql(1),
            [
                "INSERT INTO k.orders (id, status, total) VALUES (?, ?, ?) USING TIMESTAMP ?",
                "DELETE FROM k.by_status USING TIMESTAMP ? WHERE status = ? AND id = ?",
            ]
        );
        assert!(cql(2)[0].starts_with("INSERT INTO k.orders__v2 ("));
        assert!(cql(2)[1].starts_with("DELETE FROM k.by_status__v2 "));
        assert_eq!(values(&writes.list[0], &7).len(), 4);
        let shape = Shape::of(&writes.list[0], 1);
        assert!(shape.fits(&writes.list[0], 1));
        assert!(!shape.fits(&writes.list[0], 2));
        assert!(!shape.fits(&writes.list[1], 1));
    }
}

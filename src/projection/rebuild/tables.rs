//! The tables of a version: made, emptied, dropped.

use std::collections::BTreeSet;

use crate::projection::Projection;
use crate::projection::rebuild::RebuildError;
use crate::read_model::{Versions, table_name};
use crate::schema::create_table;
use crate::store::{DatabaseError, EventStore};

/// A projection's tables.
pub(super) struct Tables<'t> {
    pub(super) store: &'t EventStore,
    pub(super) projection: &'t dyn Projection,
}

impl Tables<'_> {
    async fn run(&self, what: String, cql: String) -> Result<(), RebuildError> {
        let session = self.store.session();
        session.query_unpaged(cql, ()).await.map_err(RebuildError::database(what))?;
        Ok(())
    }

    /// The statements that make the tables of `version` as those of the migrations are
    /// deployed now.
    pub(super) async fn definitions(
        &self,
        version: i32,
        scratch: bool,
    ) -> Result<Vec<String>, RebuildError> {
        let (session, keyspace) = (self.store.session(), self.store.keyspace());
        let mut statements = Vec::new();
        for table in self.projection.tables() {
            let target = table_name(table, version);
            let cql = create_table(session, keyspace, table, &target, scratch).await?;
            statements.push(cql);
        }
        Ok(statements)
    }

    /// Makes the tables of `version`.
    pub(super) async fn create(&self, version: i32, scratch: bool) -> Result<(), RebuildError> {
        for cql in self.definitions(version, scratch).await? {
            self.run(format!("creating the tables of version {version}"), cql).await?;
        }
        Ok(())
    }

    /// Refuses tables whose rows expire: when they do depends on when they were written, so
    /// a replay's are there longer.
    pub(super) async fn refuse_expiring(&self) -> Result<(), RebuildError> {
        for table in self.projection.tables() {
            let ttl = self.default_ttl(table).await;
            let seconds = ttl.map_err(RebuildError::database("reading a table's options"))?;
            if seconds > 0 {
                return Err(RebuildError::Definition(format!(
                    "rows of {table} expire ({seconds} s after they are written), so it cannot \
                     be compared with a replay: rebuild it without verification"
                )));
            }
        }
        Ok(())
    }

    async fn default_ttl(&self, table: &str) -> Result<i32, DatabaseError> {
        let row = self
            .store
            .session()
            .query_unpaged(
                "SELECT default_time_to_live FROM system_schema.tables \
                 WHERE keyspace_name = ? AND table_name = ?",
                (self.store.keyspace(), table),
            )
            .await?
            .into_rows_result()?
            .maybe_first_row::<(Option<i32>,)>()?;
        Ok(row.and_then(|(seconds,)| seconds).unwrap_or(0))
    }

    /// Empties the tables of `version`.
    pub(super) async fn truncate(&self, version: i32) -> Result<(), RebuildError> {
        for table in self.projection.tables() {
            let table = table_name(table, version);
            let cql = format!("TRUNCATE {}.{table}", self.store.keyspace());
            self.run(format!("emptying {table}"), cql).await?;
        }
        Ok(())
    }

    /// Drops the tables of `version`. Those of the first stay, empty: the migrations define
    /// them, and new versions are made like them.
    pub(super) async fn drop(&self, version: i32) -> Result<(), RebuildError> {
        if version <= 1 {
            return self.truncate(version).await;
        }
        for table in self.projection.tables() {
            let table = table_name(table, version);
            let cql = format!("DROP TABLE IF EXISTS {}.{table}", self.store.keyspace());
            self.run(format!("dropping {table}"), cql).await?;
        }
        Ok(())
    }

    /// Versions whose tables are there and that nothing needs: neither queries nor the live
    /// group. The first counts as long as it holds rows.
    pub(super) async fn unused(&self, versions: &Versions) -> Result<Vec<i32>, RebuildError> {
        let in_use: BTreeSet<i32> = versions.written().collect();
        let listing = || RebuildError::database("listing the tables of old versions");
        let mut unused = self.existing().await.map_err(listing())?;
        unused.retain(|version| !in_use.contains(version));
        if !in_use.contains(&1) && self.holds_rows().await.map_err(listing())? {
            unused.insert(1);
        }
        Ok(unused.into_iter().collect())
    }

    /// Later versions of which at least one table exists.
    async fn existing(&self) -> Result<BTreeSet<i32>, DatabaseError> {
        let rows = self
            .store
            .session()
            .query_unpaged(
                "SELECT table_name FROM system_schema.tables WHERE keyspace_name = ?",
                (self.store.keyspace(),),
            )
            .await?
            .into_rows_result()?;
        let mut versions = BTreeSet::new();
        for row in rows.rows::<(String,)>()? {
            let (name,) = row?;
            let version = self.projection.tables().iter().find_map(|table| {
                let number = name.strip_prefix(table)?.strip_prefix("__v")?;
                number.parse::<i32>().ok().filter(|v| table_name(table, *v) == name)
            });
            versions.extend(version);
        }
        Ok(versions)
    }

    async fn holds_rows(&self) -> Result<bool, DatabaseError> {
        for table in self.projection.tables() {
            let cql = format!("SELECT * FROM {}.{table} LIMIT 1", self.store.keyspace());
            let result = self.store.session().query_unpaged(cql, ()).await?;
            if result.into_rows_result()?.rows_num() > 0 {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

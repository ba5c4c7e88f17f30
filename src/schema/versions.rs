//! Versions of read models: `orders__v2` was made like `orders`, and has to follow when a
//! later migration changes that.

use std::collections::{BTreeSet, HashSet};

use scylla::client::session::Session;

use super::definition::{Column, DefinitionError, columns, create_table, versioned};
use super::{Difference, SchemaError};

/// A projection and its tables, as the migrations define them.
#[derive(Debug, Clone)]
pub(super) struct ReadModelTables {
    pub(super) projection: String,
    pub(super) tables: Vec<String>,
}

/// A table of a version that queries read or the live group writes.
struct Versioned<'t> {
    projection: &'t str,
    table: &'t str,
    target: String,
    /// Of the table that the migrations define.
    base: Vec<Column>,
    /// Of this version's; none: it does not exist.
    found: Vec<Column>,
}

/// What versions in use lack, or have otherwise, than the tables they were made like.
pub(super) async fn differences(
    session: &Session,
    keyspace: &str,
    read_models: &[ReadModelTables],
) -> Result<Vec<Difference>, SchemaError> {
    let mut differences = Vec::new();
    for table in in_use(session, keyspace, read_models).await? {
        table.compare(&mut differences);
    }
    Ok(differences)
}

/// Adds what versions in use lack: columns, and tables that the projection did not have when
/// they were made. What was added, for people.
pub(super) async fn level(
    session: &Session,
    keyspace: &str,
    read_models: &[ReadModelTables],
) -> Result<Vec<String>, SchemaError> {
    let mut added = Vec::new();
    for table in in_use(session, keyspace, read_models).await? {
        table.complete(session, keyspace, &mut added).await?;
    }
    Ok(added)
}

async fn in_use<'t>(
    session: &Session,
    keyspace: &str,
    read_models: &'t [ReadModelTables],
) -> Result<Vec<Versioned<'t>>, SchemaError> {
    let mut all = Vec::new();
    if read_models.is_empty() {
        return Ok(all);
    }
    let existing = existing(session, keyspace).await?;
    if !existing.contains("read_models") {
        return Ok(all);
    }
    for ReadModelTables { projection, tables } in read_models {
        for version in versions(session, keyspace, projection).await? {
            // A table that is missing itself is told of elsewhere.
            for table in tables.iter().filter(|table| existing.contains(*table)) {
                let target = versioned(table, version).into_owned();
                let base = columns(session, keyspace, table).await?;
                let found = columns(session, keyspace, &target).await?;
                all.push(Versioned { projection, table, target, base, found });
            }
        }
    }
    Ok(all)
}

async fn existing(session: &Session, keyspace: &str) -> Result<HashSet<String>, SchemaError> {
    let cql = "SELECT table_name FROM system_schema.tables WHERE keyspace_name = ?";
    let rows = session.query_unpaged(cql, (keyspace,)).await?.into_rows_result()?;
    let names = rows.rows::<(String,)>()?.map(|row| row.map(|(name,)| name));
    Ok(names.collect::<Result<_, _>>()?)
}

/// The projection's versions that somebody reads or writes, but for the first.
async fn versions(
    session: &Session,
    keyspace: &str,
    projection: &str,
) -> Result<BTreeSet<i32>, SchemaError> {
    let cql = format!(
        "SELECT current_version, also_written FROM {keyspace}.read_models WHERE projection = ?"
    );
    let rows = session.query_unpaged(cql, (projection,)).await?.into_rows_result()?;
    let row = rows.maybe_first_row::<(Option<i32>, Option<BTreeSet<i32>>)>()?;
    let (current, also_written) = row.unwrap_or_default();
    let all = also_written.unwrap_or_default().into_iter().chain(current);
    Ok(all.filter(|version| *version > 1).collect())
}

impl Versioned<'_> {
    fn found(&self, name: &str) -> Option<&Column> {
        self.found.iter().find(|column| column.name == name)
    }

    fn lacking(&self) -> impl Iterator<Item = &Column> {
        self.base.iter().filter(|column| !column.is_key() && self.found(&column.name).is_none())
    }

    fn compare(&self, differences: &mut Vec<Difference>) {
        if self.found.is_empty() {
            differences.push(Difference::TableMissing { table: self.target.clone() });
            return;
        }
        let mut outdated = |what: String, expected: String, deployed: String| {
            if expected != deployed {
                differences.push(Difference::VersionOutdated {
                    projection: self.projection.to_owned(),
                    table: self.target.clone(),
                    what,
                    expected,
                    deployed,
                });
            }
        };
        outdated("primary key".to_owned(), key(&self.base), key(&self.found));
        for column in self.base.iter().filter(|column| !column.is_key()) {
            if let Some(found) = self.found(&column.name)
                && !found.is_key()
            {
                outdated(format!("column {}", column.name), column.nature(), found.nature());
            }
        }
        differences.extend(self.lacking().map(|column| Difference::ColumnMissing {
            table: self.target.clone(),
            column: column.name.clone(),
        }));
    }

    async fn complete(
        &self,
        session: &Session,
        keyspace: &str,
        added: &mut Vec<String>,
    ) -> Result<(), SchemaError> {
        if self.found.is_empty() {
            let cql = create_table(session, keyspace, self.table, &self.target, false);
            let cql = cql.await.map_err(|error| match error {
                DefinitionError::Database(error) => error,
                error => {
                    SchemaError::Version { table: self.target.clone(), reason: error.to_string() }
                }
            })?;
            session.query_unpaged(cql, ()).await?;
            added.push(format!("table {} made like {}", self.target, self.table));
            return Ok(());
        }
        for column in self.lacking() {
            let cql = format!("ALTER TABLE {keyspace}.{} ADD {}", self.target, column.definition());
            if let Err(error) = session.query_unpaged(cql, ()).await {
                // Another process does the same, or the version was dropped meanwhile.
                let now = columns(session, keyspace, &self.target).await?;
                if !now.is_empty() && !now.iter().any(|found| found.name == column.name) {
                    return Err(error.into());
                }
            }
            added.push(format!("column {}.{} added", self.target, column.name));
        }
        Ok(())
    }
}

/// Columns and types of the key, as `((a uuid), b int DESC)`.
fn key(columns: &[Column]) -> String {
    let part = |rank: u8| {
        let of_rank = columns.iter().filter(|column| column.rank == rank);
        let all: Vec<_> = of_rank.map(|c| format!("{} {}", c.name, c.nature())).collect();
        all.join(", ")
    };
    let (partition, clustering) = (part(0), part(1));
    if clustering.is_empty() {
        return format!("(({partition}))");
    }
    format!("(({partition}), {clustering})")
}

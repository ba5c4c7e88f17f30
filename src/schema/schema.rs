//! A keyspace's schema, as migrations define it.

use std::collections::BTreeMap;

use scylla::client::session::Session;
use scylla::errors::{ExecutionError, IntoRowsResultError, MaybeFirstRowError, RowsError};
use scylla::value::CqlTimestamp;
use uuid::Uuid;

use super::deployed::{self, Difference};
use super::migration::{MESSINA, Migration, OWN};
use super::versions::{self, ReadModelTables};
use super::{cql, effect, expected};

const MIGRATIONS_TABLE: &str = "CREATE TABLE IF NOT EXISTS schema_migrations (\
    component text, version int, name text, checksum uuid, applied_at timestamp, \
    PRIMARY KEY (component, version)) WITH comment = 'Migrations applied to this keyspace'";

/// The schema of one keyspace: the library's own tables and those of the application.
///
/// Every migration runs on ScyllaDB 5.1 and later. From 6.0 on keyspaces use tablets
/// unless told otherwise; this one is created without them, since the CDC log of a table
/// in tablets is read in another way.
#[derive(Debug, Clone)]
pub struct Schema {
    keyspace: String,
    replication_factor: u32,
    components: Vec<(String, Vec<Migration>)>,
    read_models: Vec<ReadModelTables>,
}

/// What [`Schema::apply`] did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Applied {
    /// Component, version and name of each migration that was applied now.
    pub migrations: Vec<(String, i32, String)>,
    /// How many had been applied before.
    pub already: usize,
    /// What versions of read models got to be level with the tables they were made like.
    pub levelled: Vec<String>,
}

/// Why the schema could not be applied or looked at.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SchemaError {
    /// Not a name that works unquoted in every statement.
    #[error(
        "{0:?} cannot be a keyspace name here: use lower-case letters, digits and _, beginning \
         with a letter, at most 48 characters"
    )]
    InvalidKeyspace(String),
    /// A migration is not written so that it can be applied.
    #[error("migration {component} {version:04} is not valid: {reason}")]
    InvalidMigration {
        /// Whose migration.
        component: String,
        /// Its number.
        version: i32,
        /// What is wrong.
        reason: String,
    },
    /// What is deployed is not what the migrations define.
    #[error(
        "the schema of keyspace {keyspace} is not as expected:\n{}{}",
        .differences.iter().map(|d| format!("  - {d}\n")).collect::<String>(), advice(.differences)
    )]
    Different {
        /// The keyspace.
        keyspace: String,
        /// All differences.
        differences: Vec<Difference>,
    },
    /// A version of a read model's table cannot be made.
    #[error("{table}, a version of a read model's table that is in use, cannot be made: {reason}")]
    Version {
        /// Which.
        table: String,
        /// Why.
        reason: String,
    },
    /// A migration's text changed after it had been applied.
    #[error("{0}")]
    Edited(Difference),
    /// A statement failed.
    #[error("the database refused or did not answer: {0}")]
    Execution(Box<ExecutionError>),
    /// The database answered something else than rows.
    #[error("unexpected answer: {0}")]
    Answer(String),
}

impl From<ExecutionError> for SchemaError {
    fn from(e: ExecutionError) -> Self {
        Self::Execution(Box::new(e))
    }
}

impl From<IntoRowsResultError> for SchemaError {
    fn from(e: IntoRowsResultError) -> Self {
        Self::Answer(e.to_string())
    }
}

impl From<MaybeFirstRowError> for SchemaError {
    fn from(e: MaybeFirstRowError) -> Self {
        Self::Answer(e.to_string())
    }
}

impl From<RowsError> for SchemaError {
    fn from(e: RowsError) -> Self {
        Self::Answer(e.to_string())
    }
}

impl From<scylla::errors::DeserializationError> for SchemaError {
    fn from(e: scylla::errors::DeserializationError) -> Self {
        Self::Answer(e.to_string())
    }
}

impl Schema {
    /// The schema of `keyspace` with the library's own tables; replication factor 1.
    pub fn new(keyspace: impl Into<String>) -> Self {
        Self {
            keyspace: keyspace.into(),
            replication_factor: 1,
            components: vec![(MESSINA.to_owned(), OWN.to_vec())],
            read_models: Vec::new(),
        }
    }

    /// Copies of each row per data center, if the keyspace has to be created. 3 in production.
    pub fn replication_factor(mut self, factor: u32) -> Self {
        self.replication_factor = factor;
        self
    }

    /// Adds an application's own migrations under a name of its own.
    pub fn migrations(mut self, component: impl Into<String>, migrations: &[Migration]) -> Self {
        self.components.push((component.into(), migrations.to_vec()));
        self
    }

    /// Adds a projection's tables ([`Projection::name`], [`Projection::tables`]): versions of
    /// them that were built beside and are in use get the columns and tables that migrations
    /// add, and are compared with what the migrations define.
    ///
    /// [`Projection::name`]: crate::Projection::name
    /// [`Projection::tables`]: crate::Projection::tables
    pub fn read_model(mut self, projection: impl Into<String>, tables: &[&str]) -> Self {
        let tables = tables.iter().map(|table| (*table).to_owned()).collect();
        self.read_models.push(ReadModelTables { projection: projection.into(), tables });
        self
    }

    /// The keyspace's name.
    pub fn keyspace(&self) -> &str {
        &self.keyspace
    }

    /// Creates the keyspace if needed, applies the migrations that are missing, in order, and
    /// brings versions of [read models](Schema::read_model) level with them. Doing it twice, or
    /// from two processes at once, changes nothing. A migration that was cut short is carried
    /// out again from its beginning: what it made already is no error.
    ///
    /// # Errors
    /// [`SchemaError`]; what had been applied stays recorded, so a repeat goes on from there.
    pub async fn apply(&self, session: &Session) -> Result<Applied, SchemaError> {
        let expected = self.expected()?;
        if !self.keyspace_exists(session).await? {
            session.query_unpaged(self.create_keyspace(session).await?, ()).await?;
        }
        session.query_unpaged(self.qualified(MIGRATIONS_TABLE)?, ()).await?;
        let recorded = self.recorded(session).await?;
        let mut applied = Applied::default();
        for (component, migration) in self.all() {
            match recorded.get(&(component.to_owned(), migration.version)) {
                Some(checksum) if *checksum != migration.checksum() => {
                    return Err(SchemaError::Edited(edited(component, migration)));
                }
                Some(_) => {
                    applied.already += 1;
                    continue;
                }
                None => {}
            }
            for statement in cql::statements(migration.script) {
                let qualified = self.qualified(&statement)?;
                effect::execute(session, &self.keyspace, &statement, &qualified).await?;
            }
            session
                .query_unpaged(
                    format!(
                        "INSERT INTO {}.schema_migrations \
                         (component, version, name, checksum, applied_at) VALUES (?, ?, ?, ?, ?)",
                        self.keyspace
                    ),
                    (
                        component,
                        migration.version,
                        migration.name,
                        migration.checksum(),
                        CqlTimestamp(crate::time::now_micros() / 1000),
                    ),
                )
                .await?;
            applied.migrations.push((
                component.to_owned(),
                migration.version,
                migration.name.to_owned(),
            ));
        }
        applied.levelled = versions::level(session, &self.keyspace, &self.read_models).await?;
        self.refuse(self.compare(session, &expected).await?)?;
        Ok(applied)
    }

    /// What of the deployed schema is not as the migrations define it; empty: all is well.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn verify(&self, session: &Session) -> Result<Vec<Difference>, SchemaError> {
        let expected = self.expected()?;
        if !self.keyspace_exists(session).await? {
            let keyspace = self.keyspace.clone();
            return Ok(vec![Difference::KeyspaceMissing { keyspace }]);
        }
        let recorded = if self.table_exists(session, "schema_migrations").await? {
            self.recorded(session).await?
        } else {
            BTreeMap::new()
        };
        let mut differences = Vec::new();
        for (component, migration) in self.all() {
            match recorded.get(&(component.to_owned(), migration.version)) {
                None => differences.push(Difference::MigrationMissing {
                    component: component.to_owned(),
                    version: migration.version,
                    name: migration.name.to_owned(),
                }),
                Some(checksum) if *checksum != migration.checksum() => {
                    differences.push(edited(component, migration));
                }
                Some(_) => {}
            }
        }
        differences.extend(self.compare(session, &expected).await?);
        Ok(differences)
    }

    async fn compare(
        &self,
        session: &Session,
        expected: &BTreeMap<String, expected::ExpectedTable>,
    ) -> Result<Vec<Difference>, SchemaError> {
        let mut differences = deployed::differences(session, &self.keyspace, expected).await?;
        let of_versions = versions::differences(session, &self.keyspace, &self.read_models);
        differences.extend(of_versions.await?);
        Ok(differences)
    }

    /// As [`Schema::verify`], with differences as an error.
    ///
    /// # Errors
    /// [`SchemaError::Different`] lists all of them.
    pub async fn require(&self, session: &Session) -> Result<(), SchemaError> {
        self.refuse(self.verify(session).await?)
    }

    fn refuse(&self, differences: Vec<Difference>) -> Result<(), SchemaError> {
        if differences.is_empty() {
            return Ok(());
        }
        Err(SchemaError::Different { keyspace: self.keyspace.clone(), differences })
    }

    fn all(&self) -> impl Iterator<Item = (&str, &Migration)> {
        self.components.iter().flat_map(|(name, list)| list.iter().map(move |m| (name.as_str(), m)))
    }

    /// The tables that all migrations together define; checks their form on the way.
    fn expected(&self) -> Result<BTreeMap<String, expected::ExpectedTable>, SchemaError> {
        let valid_name = self.keyspace.len() <= 48
            && self.keyspace.starts_with(|c: char| c.is_ascii_lowercase())
            && self
                .keyspace
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        if !valid_name {
            return Err(SchemaError::InvalidKeyspace(self.keyspace.clone()));
        }
        let mut statements = Vec::new();
        for (component, list) in &self.components {
            for (migration, version) in list.iter().zip(1..) {
                let invalid = |reason: String| SchemaError::InvalidMigration {
                    component: component.clone(),
                    version: migration.version,
                    reason,
                };
                if migration.version != version {
                    return Err(invalid(format!("it stands where {version:04} is expected")));
                }
                let own = cql::statements(migration.script);
                for statement in &own {
                    if cql::qualified(statement, &self.keyspace).is_none() {
                        return Err(invalid(format!(
                            "only CREATE, ALTER and DROP of tables and types, not: {statement}"
                        )));
                    }
                }
                expected::tables(statements.iter().chain(&own).map(String::as_str))
                    .map_err(invalid)?;
                statements.extend(own);
            }
        }
        expected::tables(statements.iter().map(String::as_str)).map_err(SchemaError::Answer)
    }

    fn qualified(&self, statement: &str) -> Result<String, SchemaError> {
        cql::qualified(statement, &self.keyspace)
            .ok_or_else(|| SchemaError::Answer(format!("not a schema statement: {statement}")))
    }

    async fn keyspace_exists(&self, session: &Session) -> Result<bool, SchemaError> {
        let rows = session
            .query_unpaged(
                "SELECT keyspace_name FROM system_schema.keyspaces WHERE keyspace_name = ?",
                (&self.keyspace,),
            )
            .await?
            .into_rows_result()?;
        Ok(rows.rows_num() > 0)
    }

    async fn table_exists(&self, session: &Session, table: &str) -> Result<bool, SchemaError> {
        let rows = session
            .query_unpaged(
                "SELECT table_name FROM system_schema.tables \
                 WHERE keyspace_name = ? AND table_name = ?",
                (&self.keyspace, table),
            )
            .await?
            .into_rows_result()?;
        Ok(rows.rows_num() > 0)
    }

    async fn create_keyspace(&self, session: &Session) -> Result<String, SchemaError> {
        // A server that knows tablets keeps their number here; one that does not refuses
        // the clause. https://docs.scylladb.com/manual/stable/architecture/tablets.html
        let rows = session
            .query_unpaged(
                "SELECT column_name FROM system_schema.columns WHERE keyspace_name = 'system_schema' \
                 AND table_name = 'scylla_keyspaces' AND column_name = 'initial_tablets'",
                (),
            )
            .await?
            .into_rows_result()?;
        let tablets = if rows.rows_num() > 0 { " AND tablets = {'enabled': false}" } else { "" };
        Ok(format!(
            "CREATE KEYSPACE IF NOT EXISTS {} WITH replication = \
             {{'class': 'NetworkTopologyStrategy', 'replication_factor': {}}}{tablets}",
            self.keyspace, self.replication_factor
        ))
    }

    async fn recorded(
        &self,
        session: &Session,
    ) -> Result<BTreeMap<(String, i32), Uuid>, SchemaError> {
        let rows = session
            .query_unpaged(
                format!(
                    "SELECT component, version, checksum FROM {}.schema_migrations",
                    self.keyspace
                ),
                (),
            )
            .await?
            .into_rows_result()?;
        let mut recorded = BTreeMap::new();
        for row in rows.rows::<(String, i32, Uuid)>()? {
            let (component, version, checksum) = row?;
            recorded.insert((component, version), checksum);
        }
        Ok(recorded)
    }
}

/// What sets all of them right.
fn advice(differences: &[Difference]) -> String {
    let outdated = |d: &Difference| matches!(d, Difference::VersionOutdated { .. });
    if differences.iter().all(outdated) {
        return format!("rebuild: {}", Difference::remedies(differences).join(", "));
    }
    "apply the migrations (`Schema::apply`, or the command line's `schema apply`)".to_owned()
}

fn edited(component: &str, migration: &Migration) -> Difference {
    Difference::MigrationEdited {
        component: component.to_owned(),
        version: migration.version,
        name: migration.name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_keyspace_name_that_needs_quotes_is_refused() {
        assert!(Schema::new("orders_1").expected().is_ok());
        for name in ["", "Orders", "1st", "a-b", "a b"] {
            assert!(matches!(Schema::new(name).expected(), Err(SchemaError::InvalidKeyspace(_))));
        }
    }

    #[test]
    fn migrations_are_numbered_without_gaps_and_name_what_they_change() {
        let gap = Schema::new("k").migrations("app", &[Migration::new(2, "x", "")]);
        assert!(matches!(gap.expected(), Err(SchemaError::InvalidMigration { version: 2, .. })));
        let other = Schema::new("k")
            .migrations("app", &[Migration::new(1, "x", "INSERT INTO t (a) VALUES (1);")]);
        let error = other.expected().unwrap_err().to_string();
        assert!(error.contains("app 0001") && error.contains("INSERT INTO"), "{error}");
    }
}

//! The rows of `read_models`.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::time::Duration;

use scylla::client::session::Session;
use scylla::statement::prepared::PreparedStatement;
use scylla::statement::{Consistency, SerialConsistency};
use scylla::value::CqlTimestamp;

use crate::schema::versioned;
use crate::store::{Backoff, DatabaseError, EventStore, is_transient};
use crate::time::now_micros;

/// The table that holds `table` in this version: `table` itself in version 1, as the
/// migrations define it, `table__v2` and so on in later ones.
pub fn table_name(table: &str, version: i32) -> Cow<'_, str> {
    versioned(table, version)
}

/// A projection's versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Versions {
    /// Of the row; 0 without one.
    pub(crate) revision: i64,
    /// That queries read.
    pub(crate) current: i32,
    /// That the live group writes besides.
    pub(crate) also_written: BTreeSet<i32>,
    /// Highest number given.
    pub(crate) last: i32,
    /// When `current` last changed, ms since 1970.
    pub(crate) switched_at: Option<i64>,
}

impl Default for Versions {
    fn default() -> Self {
        Self { revision: 0, current: 1, also_written: BTreeSet::new(), last: 1, switched_at: None }
    }
}

impl Versions {
    /// All versions that the live group writes, the current one first.
    pub(crate) fn written(&self) -> impl Iterator<Item = i32> {
        let others = self.also_written.iter().copied().filter(|v| *v != self.current);
        std::iter::once(self.current).chain(others)
    }

    /// A number that was never given.
    pub(crate) fn next_number(&mut self) -> i32 {
        self.last += 1;
        self.last
    }

    /// Queries go to `version`. The one they leave is written until all have noticed.
    pub(crate) fn switch_to(&mut self, version: i32) {
        self.also_written.remove(&version);
        self.also_written.insert(self.current);
        self.current = version;
        self.switched_at = Some(now_micros() / 1000);
    }
}

type VersionRow =
    (Option<i64>, Option<i32>, Option<BTreeSet<i32>>, Option<i32>, Option<CqlTimestamp>);

/// Reads and changes a projection's row.
#[derive(Debug)]
pub(crate) struct VersionRows {
    read: PreparedStatement,
    read_serial: PreparedStatement,
    change: PreparedStatement,
}

impl VersionRows {
    pub(crate) async fn prepare(store: &EventStore) -> Result<Self, DatabaseError> {
        let (session, keyspace) = (store.session(), store.keyspace());
        let mut read = session
            .prepare(format!(
                "SELECT revision, current_version, also_written, last_version, switched_at \
                 FROM {keyspace}.read_models WHERE projection = ?"
            ))
            .await?;
        read.set_is_idempotent(true);
        read.set_request_timeout(Some(Duration::from_secs(2)));
        read.set_consistency(Consistency::LocalQuorum);
        let mut read_serial = read.clone();
        read_serial.set_consistency(Consistency::LocalSerial);
        let mut change = session
            .prepare(format!(
                "UPDATE {keyspace}.read_models SET revision = ?, current_version = ?, \
                 also_written = ?, last_version = ?, switched_at = ? \
                 WHERE projection = ? IF revision = ?"
            ))
            .await?;
        change.set_consistency(Consistency::LocalQuorum);
        change.set_serial_consistency(Some(SerialConsistency::LocalSerial));
        Ok(Self { read, read_serial, change })
    }

    /// The versions; what a finished change wrote is seen.
    pub(crate) async fn read(
        &self,
        session: &Session,
        projection: &str,
    ) -> Result<Versions, DatabaseError> {
        Self::read_by(session, &self.read, projection).await
    }

    async fn read_by(
        session: &Session,
        statement: &PreparedStatement,
        projection: &str,
    ) -> Result<Versions, DatabaseError> {
        let row = session
            .execute_unpaged(statement, (projection,))
            .await?
            .into_rows_result()?
            .maybe_first_row::<VersionRow>()?;
        let Some((revision, current, also_written, last, switched_at)) = row else {
            return Ok(Versions::default());
        };
        let current = current.unwrap_or(1);
        Ok(Versions {
            revision: revision.unwrap_or(0),
            current,
            also_written: also_written.unwrap_or_default(),
            last: last.unwrap_or(current),
            switched_at: switched_at.map(|at| at.0),
        })
    }

    /// Changes the row, again where another was faster; returns what stands there then and
    /// what `change` returned. A change that leaves everything as it is writes nothing.
    pub(crate) async fn change<T>(
        &self,
        session: &Session,
        projection: &str,
        change: impl Fn(&mut Versions) -> T,
    ) -> Result<(Versions, T), DatabaseError> {
        const ATTEMPTS: usize = 10;
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(2));
        let mut attempt = 0;
        loop {
            attempt += 1;
            let error = match self.try_change(session, projection, &change).await {
                Ok(Some(changed)) => return Ok(changed),
                // Another change came first: on top of it.
                Ok(None) if attempt < ATTEMPTS => continue,
                Ok(None) => DatabaseError::Answer(format!(
                    "the row of {projection} in read_models changes too often to be changed"
                )),
                Err(error) => error,
            };
            // Repeating a change whose answer was lost does no harm: a version begun twice
            // leaves a number unused, and the rest says what shall be.
            if attempt >= ATTEMPTS || !is_transient(&error) {
                return Err(error);
            }
            backoff.wait().await;
        }
    }

    async fn try_change<T>(
        &self,
        session: &Session,
        projection: &str,
        change: &impl Fn(&mut Versions) -> T,
    ) -> Result<Option<(Versions, T)>, DatabaseError> {
        let before = Self::read_by(session, &self.read_serial, projection).await?;
        let mut after = before.clone();
        let returned = change(&mut after);
        if after == before {
            return Ok(Some((after, returned)));
        }
        after.revision = before.revision + 1;
        let values = (
            after.revision,
            after.current,
            &after.also_written,
            after.last,
            after.switched_at.map(CqlTimestamp),
            projection,
            (before.revision > 0).then_some(before.revision),
        );
        let (applied, _) = session
            .execute_unpaged(&self.change, values)
            .await?
            .into_rows_result()?
            .single_row::<(bool, Option<i64>)>()?;
        Ok(applied.then_some((after, returned)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_version_has_the_name_of_the_migrations() {
        assert_eq!(table_name("orders", 1), "orders");
        assert_eq!(table_name("orders", 12), "orders__v12");
    }

    #[test]
    fn a_version_is_written_from_its_beginning_and_read_from_the_switch() {
        let mut versions = Versions::default();
        assert_eq!(versions.written().collect::<Vec<_>>(), [1]);
        assert_eq!(versions.next_number(), 2);
        versions.also_written.insert(2);
        assert_eq!(versions.written().collect::<Vec<_>>(), [1, 2]);
        versions.switch_to(2);
        assert_eq!(versions.written().collect::<Vec<_>>(), [2, 1]);
        versions.also_written.clear();
        assert_eq!(versions.next_number(), 3);
    }
}

//! What is wanted of a group: its row in `consumer_groups`.

use std::time::Duration;

use scylla::statement::prepared::PreparedStatement;
use scylla::value::CqlTimestamp;
use uuid::Uuid;

use crate::consumer::progress::Millis;
use crate::store::{
    DatabaseError, EventStore, prepare_conditional, prepare_repeatable, was_applied,
};
use crate::time::now_micros;

/// A group's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GroupRow {
    /// `None`: the group never ran.
    pub(crate) slices: Option<u16>,
    pub(crate) slicing: i32,
    pub(crate) paused: bool,
    pub(crate) stop_request: Option<Uuid>,
    pub(crate) started_from: Option<Millis>,
}

/// The statements on the row.
#[derive(Debug, Clone)]
pub(crate) struct GroupTable {
    store: EventStore,
    read: PreparedStatement,
    create: PreparedStatement,
    desire: PreparedStatement,
    stop: PreparedStatement,
    slice: PreparedStatement,
}

impl GroupTable {
    pub(crate) async fn prepare(store: EventStore) -> Result<Self, DatabaseError> {
        let table = format!("{}.consumer_groups", store.keyspace());
        let session = store.session();
        let timeout = Duration::from_secs(5);
        let prepare = async |cql| prepare_repeatable(session, cql, Some(timeout)).await;
        let read = prepare(format!(
            "SELECT slices, slicing, desired_state, stop_request, started_from FROM {table} \
             WHERE group_name = ?"
        ))
        .await?;
        let desire = prepare(format!(
            "UPDATE {table} SET desired_state = ?, desired_at = ? WHERE group_name = ?"
        ))
        .await?;
        let stop =
            prepare(format!("UPDATE {table} SET stop_request = ? WHERE group_name = ?")).await?;
        let conditional = async |cql| prepare_conditional(session, cql, Some(timeout)).await;
        let create = conditional(format!(
            "UPDATE {table} SET slices = ?, slicing = 0 WHERE group_name = ? IF slices = null"
        ))
        .await?;
        let slice = conditional(format!(
            "UPDATE {table} SET slices = ?, slicing = ?, started_from = ? \
             WHERE group_name = ? IF slicing = ? AND desired_state = 'paused'"
        ))
        .await?;
        Ok(Self { store, read, create, desire, stop, slice })
    }

    pub(crate) fn store(&self) -> &EventStore {
        &self.store
    }

    pub(crate) async fn read(&self, group: &str) -> Result<GroupRow, DatabaseError> {
        type Columns =
            (Option<i32>, Option<i32>, Option<String>, Option<Uuid>, Option<CqlTimestamp>);
        let result = self.store.session().execute_unpaged(&self.read, (group,)).await?;
        let row = result.into_rows_result()?.maybe_first_row::<Columns>()?;
        let (slices, slicing, desired, stop_request, started_from) =
            row.unwrap_or((None, None, None, None, None));
        let slices = slices
            .map(|n| {
                u16::try_from(n).ok().filter(|n| *n > 0).ok_or_else(|| {
                    DatabaseError::Answer(format!("consumer_groups.slices of {group} is {n}"))
                })
            })
            .transpose()?;
        Ok(GroupRow {
            slices,
            slicing: slicing.unwrap_or(0),
            paused: desired.as_deref() == Some("paused"),
            stop_request,
            started_from: started_from.map(|at| at.0),
        })
    }

    /// A group that is new gets so many slices.
    pub(crate) async fn create(&self, group: &str, slices: u16) -> Result<(), DatabaseError> {
        let values = (i32::from(slices), group);
        self.store.session().execute_unpaged(&self.create, values).await?;
        Ok(())
    }

    pub(super) async fn pause(&self, group: &str, paused: bool) -> Result<(), DatabaseError> {
        let state = if paused { "paused" } else { "running" };
        let values = (state, CqlTimestamp(now_micros() / 1000), group);
        self.store.session().execute_unpaged(&self.desire, values).await?;
        Ok(())
    }

    pub(super) async fn stop(&self, group: &str) -> Result<(), DatabaseError> {
        let values = (Uuid::now_v7(), group);
        self.store.session().execute_unpaged(&self.stop, values).await?;
        Ok(())
    }

    /// Divides a paused group anew; it begins at `from`. Whether it was still as `seen`.
    pub(super) async fn divide(
        &self,
        group: &str,
        seen: &GroupRow,
        slices: u16,
        from: Millis,
    ) -> Result<bool, DatabaseError> {
        let values = (i32::from(slices), seen.slicing + 1, CqlTimestamp(from), group, seen.slicing);
        was_applied(self.store.session().execute_unpaged(&self.slice, values).await?)
    }
}

//! Answers to commands with an idempotency key, as stored.

use scylla::DeserializeRow;
use uuid::Uuid;

use super::store::unavailable;
use crate::ids::AggregateId;
use crate::store::{EventStore, StoreError};

/// A row of `command_outcomes`.
#[derive(Debug, Clone, DeserializeRow)]
pub(crate) struct StoredOutcome {
    pub(crate) command_id: Uuid,
    pub(crate) idempotency_key: Option<String>,
    pub(crate) fingerprint: Option<Uuid>,
    pub(crate) version: Option<i64>,
    pub(crate) events: Option<i32>,
    pub(crate) response: Option<String>,
    pub(crate) impact: Option<String>,
    pub(crate) rejection: Option<String>,
}

impl EventStore {
    /// Those of these commands' answers that are stored.
    pub(crate) async fn outcomes(
        &self,
        id: AggregateId,
        commands: &[Uuid],
    ) -> Result<Vec<StoredOutcome>, StoreError> {
        let operation = "reading command_outcomes";
        let rows = self
            .inner
            .session
            .execute_unpaged(&self.inner.statements.read_outcomes, (id.0, commands))
            .await
            .map_err(unavailable(operation))?
            .into_rows_result()
            .map_err(unavailable(operation))?;
        rows.rows::<StoredOutcome>()
            .map_err(unavailable(operation))?
            .map(|row| row.map_err(unavailable(operation)))
            .collect()
    }
}

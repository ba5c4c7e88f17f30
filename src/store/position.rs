//! Where an aggregate stands.

use std::sync::Arc;

use crate::ids::{AggregateId, CommitId};
use crate::store::{EventStore, StoreError};

/// What an append builds on.
#[derive(Debug, Clone)]
pub(crate) struct Position {
    /// 0: it is new.
    pub(crate) version: i64,
    /// `None`: it is new.
    pub(crate) aggregate_type: Option<Arc<str>>,
    /// Of its last event, µs.
    pub(crate) last_committed_at: i64,
    /// Of its last event, µs.
    pub(crate) last_write_time: i64,
    pub(crate) last_commit: Option<CommitId>,
}

impl EventStore {
    /// Where the aggregate stands, after what was left pending has been finished.
    pub(crate) async fn position(&self, id: AggregateId) -> Result<Position, StoreError> {
        let head = self.settle_head(id).await?;
        let mut position = Position {
            version: 0,
            aggregate_type: None,
            last_committed_at: 0,
            last_write_time: 0,
            last_commit: head.map(|head| head.commit_id),
        };
        let Some(version) = head.map(|head| head.sequence_number).filter(|v| *v > 0) else {
            return Ok(position);
        };
        let last = self.written_events(id, version - 1, version).await?;
        let Some((event, write_time)) = last.into_iter().next() else {
            return Err(StoreError::Corrupt {
                aggregate_id: id,
                sequence_number: version,
                reason: "the event is missing".to_owned(),
            });
        };
        position.version = version;
        position.aggregate_type = Some(event.aggregate_type);
        position.last_committed_at = event.committed_at;
        position.last_write_time = write_time;
        Ok(position)
    }
}

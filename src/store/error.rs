//! What can go wrong on the write side, by what the caller can do about it.

use crate::event::{CorruptEvent, PayloadError};
use crate::ids::{AggregateId, CommitId};
use crate::schema::SchemaError;
use crate::store::DatabaseError;

/// An error of the event store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Another writer was faster. Load again and decide again.
    #[error("aggregate {aggregate_id} is at version {actual}, not at {expected}")]
    Conflict {
        /// Which aggregate.
        aggregate_id: AggregateId,
        /// The version that the decision was made on.
        expected: i64,
        /// The version that is reserved now.
        actual: i64,
    },
    /// The deadline passed before the outcome was known. The commit is whole or absent:
    /// after [`EventStore::complete_pending`](crate::EventStore::complete_pending) its
    /// events are in the store, or never will be.
    #[error(
        "whether commit {commit_id} of aggregate {aggregate_id} was made is not known yet \
         (`complete_pending` settles it): {source}"
    )]
    Indeterminate {
        /// Which aggregate.
        aggregate_id: AggregateId,
        /// Its id, which its events carry if it was made.
        commit_id: CommitId,
        /// The last answer.
        source: DatabaseError,
    },
    /// The database did not answer in time or refused; nothing was written.
    #[error("{operation} failed: {source}")]
    Unavailable {
        /// What was tried.
        operation: &'static str,
        /// The last answer.
        source: DatabaseError,
    },
    /// The commit would be refused as a batch; nothing was written. Split the command.
    #[error(
        "a commit of {events} events for aggregate {aggregate_id} takes about {size} bytes, \
         the limit is {limit}"
    )]
    TooLarge {
        /// Which aggregate.
        aggregate_id: AggregateId,
        /// How many events.
        events: usize,
        /// Estimated size of the batch in bytes.
        size: usize,
        /// What is allowed.
        limit: usize,
    },
    /// A stored event cannot be read.
    #[error(transparent)]
    CorruptEvent(Box<CorruptEvent>),
    /// The rows of an aggregate contradict each other, or cannot be decoded.
    #[error("aggregate {aggregate_id} is corrupt at sequence number {sequence_number}: {reason}")]
    Corrupt {
        /// Which aggregate.
        aggregate_id: AggregateId,
        /// Where.
        sequence_number: i64,
        /// What was found.
        reason: String,
    },
    /// An event does not turn into JSON; nothing was written.
    #[error(transparent)]
    Payload(#[from] PayloadError),
    /// An append that makes no sense: no events, or a negative version.
    #[error("invalid append: {0}")]
    Invalid(String),
    /// The keyspace's schema is not as this build needs it.
    #[error(transparent)]
    Schema(#[from] SchemaError),
}

impl From<CorruptEvent> for StoreError {
    fn from(e: CorruptEvent) -> Self {
        Self::CorruptEvent(Box::new(e))
    }
}

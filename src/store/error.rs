//! What can go wrong on the write side, by what the caller can do about it.

use std::fmt;

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
    /// The database takes no write whose timestamp is more than 5 s ahead of its clock, so
    /// this process's clock is wrong. The commit is reserved and nothing of it is written:
    /// set the clock right, then the next command on the aggregate, or
    /// [`EventStore::complete_pending`](crate::EventStore::complete_pending), writes it. So can
    /// any other process whose clock is right.
    #[error(
        "the clock of this process is more than 5 s ahead of the database's: commit {commit_id} \
         of aggregate {aggregate_id} is reserved but not written (set the clock right; \
         `complete_pending`, or the aggregate's next command, writes it): {source}"
    )]
    ClockSkew {
        /// Which aggregate.
        aggregate_id: AggregateId,
        /// Its id, which its events will carry.
        commit_id: CommitId,
        /// The refusal, with both times.
        source: DatabaseError,
    },
    /// Something about the commit is larger than a setting allows; nothing was written.
    #[error("{part} for aggregate {aggregate_id} takes {size} bytes, the limit is {limit}")]
    TooLarge {
        /// Which aggregate.
        aggregate_id: AggregateId,
        /// What is too large.
        part: Oversized,
        /// Its size in bytes; of a commit, as ScyllaDB will count it.
        size: usize,
        /// What is allowed, by [`StoreSettings`](crate::store::StoreSettings).
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
    /// An append or a setting that makes no sense.
    #[error("invalid: {0}")]
    Invalid(String),
    /// The keyspace's schema is not as this build needs it.
    #[error(transparent)]
    Schema(#[from] SchemaError),
}

/// What about a commit is too large.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Oversized {
    /// All of it: it would be refused as a batch. Split the command.
    Commit {
        /// How many events.
        events: usize,
    },
    /// An event's payload. Store what is large elsewhere and name it in the event.
    Payload {
        /// Its type.
        event_type: String,
    },
    /// The metadata.
    Metadata,
}

impl fmt::Display for Oversized {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Oversized::Commit { events } => write!(f, "a commit of {events} events"),
            Oversized::Payload { event_type } => write!(f, "the payload of {event_type:?}"),
            Oversized::Metadata => f.write_str("the metadata"),
        }
    }
}

impl From<CorruptEvent> for StoreError {
    fn from(e: CorruptEvent) -> Self {
        Self::CorruptEvent(Box::new(e))
    }
}

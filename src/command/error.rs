//! Why commands fail.

use crate::ids::{AggregateId, CommitId};
use crate::store::{DatabaseError, Oversized, StoreError};

/// Why a command was not carried out, by what the caller can do about it.
///
/// | | written | what to do |
/// |---|---|---|
/// | [`Rejected`](Self::Rejected), [`RejectedBefore`](Self::RejectedBefore) | nothing | tell the client |
/// | [`Conflict`](Self::Conflict) | nothing | look at the aggregate and decide again, or try later |
/// | [`KeyReused`](Self::KeyReused) | nothing | tell the client: a new command needs a new key |
/// | [`Unavailable`](Self::Unavailable) | nothing | try again later |
/// | [`TooLarge`](Self::TooLarge), [`Invalid`](Self::Invalid) | nothing | correct the command or the settings |
/// | [`Indeterminate`](Self::Indeterminate) | all or nothing | repeat it with its idempotency key, or settle it by [`complete_pending`](crate::EventStore::complete_pending) |
/// | [`ClockSkew`](Self::ClockSkew) | nothing yet; it will be | set the clock right |
/// | [`Corrupt`](Self::Corrupt) | nothing | an operator has to look |
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommandError<E: std::error::Error + 'static> {
    /// The domain refused. Nothing was written.
    #[error("rejected: {0}")]
    Rejected(#[source] E),
    /// The command was refused before under its idempotency key, and that was recorded
    /// ([`HandlerBuilder::record_rejections`](crate::command::HandlerBuilder::record_rejections)).
    #[error("rejected: {message}")]
    RejectedBefore {
        /// Which aggregate.
        aggregate_id: AggregateId,
        /// What the domain said then.
        message: String,
    },
    /// The aggregate was not at the expected version, or others were faster in every
    /// attempt. Nothing was written.
    #[error(
        "conflict on aggregate {aggregate_id}: expected version {expected}, found {actual} \
         (attempts: {attempts})"
    )]
    Conflict {
        /// Which aggregate.
        aggregate_id: AggregateId,
        /// The version asked for, or decided on last.
        expected: i64,
        /// The version found.
        actual: i64,
        /// How often it was tried.
        attempts: u32,
    },
    /// The idempotency key was used for another command on this aggregate. Nothing was
    /// written.
    #[error(
        "idempotency key {key:?} was used for another command on aggregate {aggregate_id}: \
         a new command needs a new key"
    )]
    KeyReused {
        /// Which aggregate.
        aggregate_id: AggregateId,
        /// The key.
        key: String,
    },
    /// The deadline passed before the outcome was known: the commit is whole or absent.
    /// Repeat the command with its idempotency key, or settle the commit with
    /// [`complete_pending`](crate::EventStore::complete_pending) and look for its events.
    #[error(
        "whether commit {commit_id} of aggregate {aggregate_id} was made is not known yet \
         (repeat the command with its idempotency key, or call `complete_pending`): {source}"
    )]
    Indeterminate {
        /// Which aggregate.
        aggregate_id: AggregateId,
        /// Its id, which its events carry if it was made.
        commit_id: CommitId,
        /// The last answer.
        source: DatabaseError,
    },
    /// The database did not answer in time or refused. Nothing was written; try again later.
    #[error("{operation} failed: {source}")]
    Unavailable {
        /// What was tried.
        operation: &'static str,
        /// The last answer.
        source: DatabaseError,
    },
    /// Something about the commit is larger than a setting allows. Nothing was written.
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
    /// This process's clock is more than 5 s ahead of the database's. The commit is reserved
    /// and not written; see [`StoreError::ClockSkew`].
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
    /// What is stored cannot be read or contradicts itself. The source says where.
    #[error(transparent)]
    Corrupt(StoreError),
    /// The command cannot be carried out as asked: its key, its events or its response do not
    /// serialize or are not allowed. Nothing was written.
    #[error("{0}")]
    Invalid(String),
}

impl<E: std::error::Error + 'static> From<StoreError> for CommandError<E> {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Conflict { aggregate_id, expected, actual } => {
                Self::Conflict { aggregate_id, expected, actual, attempts: 1 }
            }
            StoreError::Indeterminate { aggregate_id, commit_id, source } => {
                Self::Indeterminate { aggregate_id, commit_id, source }
            }
            StoreError::ClockSkew { aggregate_id, commit_id, source } => {
                Self::ClockSkew { aggregate_id, commit_id, source }
            }
            StoreError::Unavailable { operation, source } => {
                Self::Unavailable { operation, source }
            }
            StoreError::TooLarge { aggregate_id, part, size, limit } => {
                Self::TooLarge { aggregate_id, part, size, limit }
            }
            error @ (StoreError::Corrupt { .. }
            | StoreError::CorruptEvent(_)
            | StoreError::Schema(_)) => Self::Corrupt(error),
            StoreError::Payload(error) => Self::Invalid(error.to_string()),
            StoreError::Invalid(reason) => Self::Invalid(reason),
        }
    }
}

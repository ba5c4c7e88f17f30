//! Why commands fail.

use crate::ids::AggregateId;
use crate::store::StoreError;

/// Why a command was not carried out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommandError<E: std::error::Error + 'static> {
    /// The domain refused. Nothing was written.
    #[error("rejected: {0}")]
    Rejected(#[source] E),
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
    /// The store's other errors; [`StoreError::Indeterminate`] alone leaves open whether the
    /// command was carried out.
    #[error(transparent)]
    Store(#[from] StoreError),
}

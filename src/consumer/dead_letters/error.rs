//! What can go wrong with dead letters.

use crate::ids::AggregateId;
use crate::store::DatabaseError;

/// An error of [`DeadLetters`](crate::consumer::DeadLetters).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeadLetterError {
    /// There is no such letter: it was retried or discarded meanwhile, or never was.
    #[error("group {group} has no dead letter for event {sequence_number} of {aggregate_id}")]
    NotFound {
        /// The group.
        group: String,
        /// Whose event.
        aggregate_id: AggregateId,
        /// Which event.
        sequence_number: i64,
    },
    /// The aggregate has no letters in this group.
    #[error("group {group} has no dead letters of {aggregate_id}")]
    NotParked {
        /// The group.
        group: String,
        /// Which aggregate.
        aggregate_id: AggregateId,
    },
    /// Earlier events of the aggregate wait as well, and the order would be lost: retry or
    /// discard those first, or retry the aggregate.
    #[error(
        "event {sequence_number} of {aggregate_id} waits behind event {first}: retry or discard \
         that one first, or retry the aggregate as a whole"
    )]
    NotFirst {
        /// Whose event.
        aggregate_id: AggregateId,
        /// Which event was meant.
        sequence_number: i64,
        /// The one that is first.
        first: i64,
    },
    /// No runner of the group has carried out the request in time. It stays requested.
    #[error(
        "group {group} has not carried out the request within {waited:?}: see whether a runner \
         is up and the group is not paused; the request stays"
    )]
    NotCarriedOut {
        /// The group.
        group: String,
        /// How long was waited.
        waited: std::time::Duration,
    },
    /// A page token that is not one of this group's lists.
    #[error("the page token is not valid: {0}")]
    PageToken(String),
    /// A stored letter cannot be read.
    #[error("the dead letter of event {sequence_number} of {aggregate_id} is corrupt: {reason}")]
    Corrupt {
        /// Whose event.
        aggregate_id: AggregateId,
        /// Which event.
        sequence_number: i64,
        /// What was found.
        reason: String,
    },
    /// The database did not answer, or refused.
    #[error("{operation} failed: {source}")]
    Database {
        /// What was tried.
        operation: &'static str,
        /// What it said.
        source: DatabaseError,
    },
}

/// Marks a failed request to the database.
pub(super) fn failed<E: Into<DatabaseError>>(
    operation: &'static str,
) -> impl FnOnce(E) -> DeadLetterError {
    move |source| DeadLetterError::Database { operation, source: source.into() }
}

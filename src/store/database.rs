//! The driver's errors, and which of them a repeat may cure.

use scylla::errors::{
    DbError, ExecutionError, IntoRowsResultError, MaybeFirstRowError, PrepareError,
    RequestAttemptError, RowsError, SingleRowError,
};

/// What the driver reported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatabaseError {
    /// A request failed.
    #[error(transparent)]
    Execution(#[from] ExecutionError),
    /// A statement could not be prepared.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    /// The answer was not of the expected form.
    #[error("unexpected answer: {0}")]
    Answer(String),
}

macro_rules! answer {
    ($($error:ty),*) => {
        $(impl From<$error> for DatabaseError {
            fn from(e: $error) -> Self {
                Self::Answer(e.to_string())
            }
        })*
    };
}

answer!(
    IntoRowsResultError,
    RowsError,
    MaybeFirstRowError,
    SingleRowError,
    scylla::errors::DeserializationError
);

/// Whether the same request may succeed a moment later: the server is busy, a replica or a
/// connection is away. Everything else would fail again.
pub(crate) fn is_transient(error: &DatabaseError) -> bool {
    match error {
        DatabaseError::Execution(e) => is_transient_execution(e),
        DatabaseError::Prepare(PrepareError::ConnectionPoolError(_)) => true,
        DatabaseError::Prepare(PrepareError::AllAttemptsFailed { first_attempt }) => {
            is_transient_attempt(first_attempt)
        }
        DatabaseError::Prepare(_) | DatabaseError::Answer(_) => false,
    }
}

fn is_transient_execution(error: &ExecutionError) -> bool {
    match error {
        ExecutionError::RequestTimeout(_)
        | ExecutionError::ConnectionPoolError(_)
        | ExecutionError::EmptyPlan => true,
        ExecutionError::LastAttemptError(attempt) => is_transient_attempt(attempt),
        ExecutionError::PrepareError(PrepareError::ConnectionPoolError(_)) => true,
        ExecutionError::PrepareError(PrepareError::AllAttemptsFailed { first_attempt }) => {
            is_transient_attempt(first_attempt)
        }
        _ => false,
    }
}

fn is_transient_attempt(error: &RequestAttemptError) -> bool {
    match error {
        RequestAttemptError::BrokenConnectionError(_)
        | RequestAttemptError::UnableToAllocStreamId => true,
        RequestAttemptError::DbError(db, _) => matches!(
            db,
            DbError::Unavailable { .. }
                | DbError::Overloaded
                | DbError::IsBootstrapping
                | DbError::ReadTimeout { .. }
                | DbError::WriteTimeout { .. }
                | DbError::ReadFailure { .. }
                | DbError::WriteFailure { .. }
                | DbError::RateLimitReached { .. }
                | DbError::ServerError
        ),
        _ => false,
    }
}

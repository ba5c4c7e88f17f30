//! The driver's errors, and which of them a repeat may cure.

use scylla::errors::{
    DbError, ExecutionError, IntoRowsResultError, MaybeFirstRowError, PrepareError,
    RequestAttemptError, RowsError, SingleRowError,
};

use crate::schema::SchemaError;

/// What the driver reported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatabaseError {
    /// A request failed.
    #[error(transparent)]
    Execution(Box<ExecutionError>),
    /// A statement could not be prepared.
    #[error(transparent)]
    Prepare(Box<PrepareError>),
    /// The answer was not of the expected form.
    #[error("unexpected answer: {0}")]
    Answer(String),
}

impl From<ExecutionError> for DatabaseError {
    fn from(e: ExecutionError) -> Self {
        Self::Execution(Box::new(e))
    }
}

impl From<PrepareError> for DatabaseError {
    fn from(e: PrepareError) -> Self {
        Self::Prepare(Box::new(e))
    }
}

impl From<SchemaError> for DatabaseError {
    fn from(error: SchemaError) -> Self {
        match error {
            SchemaError::Execution(e) => Self::Execution(e),
            other => Self::Answer(other.to_string()),
        }
    }
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
        DatabaseError::Prepare(e) => is_transient_prepare(e),
        DatabaseError::Answer(_) => false,
    }
}

fn is_transient_prepare(error: &PrepareError) -> bool {
    match error {
        PrepareError::ConnectionPoolError(_) => true,
        PrepareError::AllAttemptsFailed { first_attempt } => is_transient_attempt(first_attempt),
        _ => false,
    }
}

fn is_transient_execution(error: &ExecutionError) -> bool {
    match error {
        ExecutionError::RequestTimeout(_)
        | ExecutionError::ConnectionPoolError(_)
        | ExecutionError::EmptyPlan => true,
        ExecutionError::LastAttemptError(attempt) => is_transient_attempt(attempt),
        ExecutionError::PrepareError(e) => is_transient_prepare(e),
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

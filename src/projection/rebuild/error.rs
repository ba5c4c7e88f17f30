//! Why a rebuild stops.

use std::fmt;

use serde::Serialize;

use crate::AggregateId;
use crate::consumer::{ControlError, GroupError};
use crate::projection::ProjectionError;
use crate::schema::DefinitionError;
use crate::store::{DatabaseError, StoreError};

/// Where an event stands, and why it could not be handled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SkippedEvent {
    /// Whose event.
    pub aggregate_id: AggregateId,
    /// The aggregate's type.
    pub aggregate_type: String,
    /// Which event.
    pub sequence_number: i64,
    /// Its type.
    pub event_type: String,
    /// Why.
    pub reason: String,
}

impl fmt::Display for SkippedEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "event {} of {} {} ({}): {}",
            self.sequence_number,
            self.aggregate_type,
            self.aggregate_id,
            self.event_type,
            self.reason
        )
    }
}

/// Why a rebuild or a verification stopped. What it has done is kept: run it again, and it
/// goes on from there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RebuildError {
    /// Settings that make no sense, or not together.
    #[error("{0}")]
    Settings(String),
    /// Somebody else works on this projection's tables.
    #[error(
        "{projection} is being worked on by {holder} ({task}, for {seconds} s); \
         try again when it has ended"
    )]
    Busy {
        /// Whose tables.
        projection: String,
        /// Host and process.
        holder: String,
        /// What it does.
        task: String,
        /// Since when.
        seconds: u64,
    },
    /// The lease could not be renewed in time: somebody else may have it now.
    #[error("the lease on {projection} was lost: the database did not answer in time")]
    LeaseLost {
        /// Whose tables.
        projection: String,
    },
    /// It was asked to stop.
    #[error("stopped on request; what is done is kept: the same command goes on from there")]
    Cancelled,
    /// `event_store` cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A new version of a table cannot be made.
    #[error("{0}")]
    Definition(String),
    /// A statement about tables or progress failed.
    #[error("{what}: {source}")]
    Database {
        /// What was tried.
        what: String,
        /// What the database said.
        source: DatabaseError,
    },
    /// The projection cannot handle an event, and is not to skip it.
    #[error("event {sequence_number} of {aggregate_type} {aggregate_id}: {source}")]
    Projection {
        /// Whose event.
        aggregate_id: AggregateId,
        /// The aggregate's type.
        aggregate_type: String,
        /// Which event.
        sequence_number: i64,
        /// What it said.
        source: Box<ProjectionError>,
    },
    /// A write failed, again and again.
    #[error("writing the read model: {0}")]
    Write(DatabaseError),
    /// The live group could not be paused or resumed.
    #[error("pausing the group: {0}")]
    Pause(#[source] Box<ControlError>),
    /// The group that follows the log for the new version failed.
    #[error("following the log: {0}")]
    Follow(#[source] Box<GroupError>),
    /// The new version is not what a second replay makes: the projection may look at more
    /// than the event, or something else writes to its tables. Nothing was switched.
    #[error(
        "the new version of {projection} differs from a second replay in {rows} rows \
         (the first: {first}); queries still read the old one"
    )]
    Unverified {
        /// Whose tables.
        projection: String,
        /// How many rows.
        rows: u64,
        /// One of them.
        first: String,
    },
}

impl RebuildError {
    pub(super) fn database<E: Into<DatabaseError>>(
        what: impl Into<String>,
    ) -> impl FnOnce(E) -> Self {
        let what = what.into();
        move |source| Self::Database { what, source: source.into() }
    }
}

impl From<DefinitionError> for RebuildError {
    fn from(error: DefinitionError) -> Self {
        match error {
            DefinitionError::Database(source) => {
                let what = "reading a table's definition".to_owned();
                Self::Database { what, source: source.into() }
            }
            error => Self::Definition(error.to_string()),
        }
    }
}

//! Why a group stops.

use crate::consumer::dead_letters::DeadLetterError;
use crate::ids::AggregateId;
use crate::store::{DatabaseError, StoreError};

/// An error that ends a group, or a run of it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GroupError {
    /// A setting that cannot work.
    #[error("invalid group setting: {0}")]
    Settings(String),
    /// The group met an event that it cannot handle. It stands before this event: nothing
    /// is lost, and it goes on from there when started with what can handle it.
    #[error(
        "group {group} halted at event {sequence_number} of {aggregate_type} {aggregate_id} \
         (type {event_type:?}, version {event_version}): {reason}"
    )]
    Poison {
        /// The group.
        group: String,
        /// Whose event.
        aggregate_id: AggregateId,
        /// The aggregate's type.
        aggregate_type: String,
        /// Which event.
        sequence_number: i64,
        /// Its type.
        event_type: String,
        /// Its version.
        event_version: i32,
        /// What the handler said.
        reason: String,
    },
    /// A row of the outbox's log is not as the append protocol writes it.
    #[error("group {group} halted at a row of outbox_messages that is not an event: {reason}")]
    Row {
        /// The group.
        group: String,
        /// What was found.
        reason: String,
    },
    /// The event store, on which gaps are closed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The group's progress cannot be read or stored.
    #[error("checkpoints of group {group}: {source}")]
    Checkpoints {
        /// The group.
        group: String,
        /// What the database said.
        source: DatabaseError,
    },
    /// The CDC log cannot be read.
    #[error("reading the CDC log for group {group}: {reason}")]
    Reader {
        /// The group.
        group: String,
        /// What scylla-cdc said.
        reason: String,
    },
    /// An event that was on its way did not arrive; the group begins again at its checkpoint.
    #[error("delivery in group {group} failed: {reason}")]
    Delivery {
        /// The group.
        group: String,
        /// What the handler said.
        reason: String,
    },
    /// More aggregates are parked than the settings allow: the handler fails for too many
    /// events to put them aside. Mend it, and start again.
    #[error("group {group} halted: more than {limit} of its aggregates are parked")]
    TooManyParked {
        /// The group.
        group: String,
        /// How many may be.
        limit: usize,
    },
    /// The dead letters cannot be read or written.
    #[error("dead letters of group {group}: {source}")]
    DeadLetters {
        /// The group.
        group: String,
        /// Why.
        source: DeadLetterError,
    },
    /// The lease could not be renewed in time, or another runner has taken it. What was
    /// being handled is broken off, and comes again.
    #[error("group {group} lost its lease")]
    LeaseLost {
        /// The group.
        group: String,
    },
    /// The drain timeout passed with events unfinished. They are handled again after the
    /// next start.
    #[error("group {group} stopped with {in_flight} events unfinished")]
    Drain {
        /// The group.
        group: String,
        /// How many.
        in_flight: usize,
    },
}

impl GroupError {
    /// Whether beginning again at the checkpoint would meet the same error.
    pub(crate) fn is_final(&self) -> bool {
        matches!(
            self,
            GroupError::Poison { .. }
                | GroupError::TooManyParked { .. }
                | GroupError::DeadLetters { source: DeadLetterError::Corrupt { .. }, .. }
                | GroupError::Row { .. }
                | GroupError::Settings(_)
                | GroupError::Store(
                    StoreError::Corrupt { .. }
                        | StoreError::CorruptEvent(_)
                        | StoreError::Schema(_)
                )
        )
    }
}

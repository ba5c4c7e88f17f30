//! Why a subscription stops.

use std::time::{Duration, SystemTime};

use crate::store::{DatabaseError, is_transient};

/// An error that ends a subscription, or a run of it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChangeError {
    /// A setting that cannot work.
    #[error("invalid subscription setting: {0}")]
    Settings(String),
    /// A table is not as the subscription needs it.
    #[error("table {table} cannot be subscribed to: {reason}")]
    Table {
        /// As the subscription names it.
        table: String,
        /// What is wrong, and which statement mends it.
        reason: String,
    },
    /// The log no longer has what came after the checkpoint.
    #[error(
        "subscription {subscription} has missed changes of {table}: it stands at {since:?}, and \
         the log keeps {ttl:?}; make what it feeds anew, then let it go on (`OnLoss::GoOn`)"
    )]
    Lost {
        /// The subscription.
        subscription: String,
        /// The table.
        table: String,
        /// Where it stands.
        since: SystemTime,
        /// How long the log keeps a change.
        ttl: Duration,
    },
    /// The subscription met a change that its handler cannot handle, and stands before it:
    /// nothing is lost, and it goes on from there when started with what can.
    #[error("subscription {subscription} halted at the {change}: {reason}")]
    Poison {
        /// The subscription.
        subscription: String,
        /// Operation, table, key and time.
        change: String,
        /// What the handler said.
        reason: String,
    },
    /// A log's row is not as ScyllaDB's documentation says.
    #[error("subscription {subscription} halted at a row of {table}'s log: {reason}")]
    Row {
        /// The subscription.
        subscription: String,
        /// The table.
        table: String,
        /// What was found.
        reason: String,
    },
    /// Progress or a table's description cannot be read or stored.
    #[error("subscription {subscription}: {source}")]
    Database {
        /// The subscription.
        subscription: String,
        /// What the database said.
        source: DatabaseError,
    },
    /// A log cannot be read.
    #[error("reading the CDC log of {table} for subscription {subscription}: {reason}")]
    Reader {
        /// The subscription.
        subscription: String,
        /// The table.
        table: String,
        /// What scylla-cdc said.
        reason: String,
    },
    /// The lease could not be renewed in time, or another process has taken it. What was
    /// being handled is broken off, and comes again.
    #[error("subscription {subscription} lost its lease")]
    LeaseLost {
        /// The subscription.
        subscription: String,
    },
    /// The drain timeout passed with changes unfinished. They are handled again after the
    /// next start.
    #[error("subscription {subscription} stopped with {in_flight} changes unfinished")]
    Drain {
        /// The subscription.
        subscription: String,
        /// How many.
        in_flight: usize,
    },
}

impl ChangeError {
    /// Whether beginning again at the checkpoint would meet the same error.
    pub(crate) fn is_final(&self) -> bool {
        match self {
            Self::Settings(_)
            | Self::Table { .. }
            | Self::Lost { .. }
            | Self::Poison { .. }
            | Self::Row { .. } => true,
            Self::Database { source, .. } => !is_transient(source),
            Self::Reader { .. } | Self::LeaseLost { .. } | Self::Drain { .. } => false,
        }
    }
}

//! Event sourcing on ScyllaDB.
#![deny(missing_docs)]

pub mod aggregate;
pub mod command;
pub mod consumer;
pub mod event;
pub mod ids;
pub mod projection;
pub mod publisher;
pub mod schema;
pub mod store;
pub mod testing;
mod time;

pub use aggregate::{Aggregate, Loaded};
pub use command::{CommandError, CommandHandler, ConflictRetry, Reply};
pub use event::{CorruptEvent, DomainEvent, EventEnvelope, Metadata, Payload, PayloadError};
pub use ids::{AggregateId, CausationId, CommitId, CorrelationId, EventId};
pub use messina_macros::DomainEvent;
pub use projection::{Projection, ProjectionError};
pub use schema::{Migration, Schema};
pub use store::{EventStore, StoreError};

/// What `#[derive(DomainEvent)]` expands to needs these; not for use by hand.
#[doc(hidden)]
pub mod __private {
    pub use serde;
    pub use serde_json;
}

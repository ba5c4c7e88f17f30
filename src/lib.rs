//! Event sourcing on ScyllaDB.
#![deny(missing_docs)]

pub mod aggregate;
pub mod event;
pub mod ids;
pub mod projection;

pub use aggregate::{Aggregate, Loaded};
pub use event::{CorruptEvent, DomainEvent, EventEnvelope, Metadata, Payload, PayloadError};
pub use ids::{AggregateId, CausationId, CommitId, CorrelationId, EventId};
//pub use messina_macros::DomainEvent;
pub use projection::{Projection, ProjectionError};

/// What `#[derive(DomainEvent)]` expands to needs these; not for use by hand.
#[doc(hidden)]
pub mod __private {
    pub use serde;
    pub use serde_json;
}

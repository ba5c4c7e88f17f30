//! Envelopes: what an event looks like outside.

mod cloud_events;
mod debezium_change;
mod debezium_outbox;
mod headers;
mod kind;
mod payload_only;
mod wrap;

pub use cloud_events::{CloudEvents, Mode};
pub use debezium_change::DebeziumChange;
pub use debezium_outbox::DebeziumOutbox;
pub use kind::EnvelopeKind;
pub use payload_only::PayloadOnly;
pub use wrap::{Envelope, EnvelopeError, Wrapped};

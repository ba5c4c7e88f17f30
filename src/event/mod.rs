//! Events: what happened, as the domain says it, and the envelope it travels in.

mod domain_event;
mod envelope;
mod error;
mod metadata;
mod payload;
mod upcast;

pub use domain_event::DomainEvent;
pub use envelope::EventEnvelope;
pub use error::{CorruptEvent, PayloadError};
pub use metadata::Metadata;
pub use payload::Payload;
pub use upcast::{
    EventSteps, UpcastResult, Upcasted, Upcasters, UpcastersBuilder, UpcastersError,
    UpcastersProblem,
};

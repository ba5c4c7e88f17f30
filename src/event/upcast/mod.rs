//! Upcasting: events of the past as the events of today.

mod builder;
mod check;
mod error;
mod upcasters;

pub use builder::{EventSteps, UpcastResult, Upcasted, UpcastersBuilder};
pub use error::{UpcastersError, UpcastersProblem};
pub use upcasters::Upcasters;

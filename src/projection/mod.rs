//! Projections: events in, rows of read models out.

#[allow(clippy::module_inception)]
mod projection;
mod writes;

pub use projection::{Projection, ProjectionError};
pub use writes::{Delete, MAX_WRITES_PER_EVENT, Put, Writes};

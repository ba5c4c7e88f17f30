//! Aggregates: the unit of consistency. Decisions are pure functions of state and command.

#[allow(clippy::module_inception)]
mod aggregate;
mod capture;
mod impact;
mod loaded;
mod snapshot;

pub use aggregate::Aggregate;
pub use capture::CaptureState;
pub use impact::{Impact, Touched};
pub use loaded::Loaded;
pub use snapshot::SnapshotPolicy;

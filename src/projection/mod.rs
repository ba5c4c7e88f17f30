//! Projections: events in, rows of read models out.

mod collect;
mod executor;
mod handler;
#[allow(clippy::module_inception)]
mod projection;
mod rebuild;
mod statements;
mod writes;

pub use handler::ProjectionHandler;
pub use projection::{Projection, ProjectionError};
pub use rebuild::{
    DifferenceKind, OnError, Rebuild, RebuildError, RebuildMode, RebuildPhase, RebuildPlan,
    RebuildProgress, RebuildReport, RowDifference, SkippedEvent, TableComparison, Verify,
    VerifyReport,
};
pub use writes::{Bindable, Delete, MAX_WRITES_PER_EVENT, Put, WriteDescription, Writes};

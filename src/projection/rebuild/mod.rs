//! Rebuilding a read model from `event_store`, and comparing one with it.
//!
//! ```text
//! beside      new tables ── scan of event_store ──┐
//!                 ▲                               ├─ level ─ compare ─ switch
//!                 ├── the live group, from the mark on
//!                 └── a group of its own, from a minute before the mark ┘
//! in-place    the tables in use ── scan
//! truncate    the tables in use, emptied, their group paused ── scan
//! ```
//!
//! There is no gap: an event that the live group handles after it has noticed the new
//! version is written to both by it, one that it handled before is found by the scan or in
//! the log. All writes carry the event's time, so being written twice changes nothing.

mod batches;
mod beside;
mod compare;
mod encode;
mod error;
mod follow;
mod in_place;
mod job;
mod lease;
mod pace;
mod progress;
#[allow(clippy::module_inception)]
mod rebuild;
mod report;
mod rows;
mod scan;
mod settings;
mod stored;
mod tables;
mod tally;
mod verify;

pub use error::{RebuildError, SkippedEvent};
pub use progress::{RebuildPhase, RebuildProgress};
pub use rebuild::Rebuild;
pub use report::{
    DifferenceKind, RebuildPlan, RebuildReport, RowDifference, TableComparison, VerifyReport,
};
pub use settings::{OnError, RebuildMode};
pub use verify::Verify;

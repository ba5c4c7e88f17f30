//! The write side: reserve, then one batch.

mod append;
mod apply;
mod commit;
mod complete;
mod database;
mod error;
mod history;
mod load;
mod outcomes;
mod position;
mod prepare;
mod reserve;
mod retry;
mod rows;
mod scan;
mod snapshots;
mod statements;
#[allow(clippy::module_inception)]
mod store;

pub(crate) use append::NewOutcome;
pub use append::{Append, Committed, NewEvent};
pub(crate) use commit::{Commit, event_batch_size};
pub use error::{Oversized, StoreError};
pub(crate) use outcomes::StoredOutcome;
pub(crate) use position::Position;
pub(crate) use prepare::{prepare_conditional, prepare_repeatable, was_applied};
pub use scan::TokenRange;
pub(crate) use snapshots::{NewSnapshot, StoredSnapshot};
pub use store::{EventStore, StoreSettings};

pub use database::DatabaseError;
pub(crate) use database::is_transient;
pub(crate) use retry::Backoff;
pub(crate) use rows::parse_metadata;
pub(crate) use scan::{ScanPage, ScanPosition};

//! Commands: load, decide, append, and again when another writer was faster.

mod cache;
mod error;
mod execute;
mod handler;
mod key;
mod keyed_lock;
mod known;
mod meters;
mod reply;
mod retry;
mod run;
mod snapshots;

pub use error::CommandError;
pub use execute::Execute;
pub use handler::{CommandHandler, HandlerBuilder};
pub use reply::Reply;
pub use retry::{ConflictDecision, ConflictPolicy, ConflictRetry, Conflicted};

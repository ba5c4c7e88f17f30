//! Commands: load, decide, append, and again when another writer was faster.

mod cache;
mod error;
mod handler;
mod keyed_lock;
mod retry;

pub use error::CommandError;
pub use handler::{CommandHandler, Execute, HandlerBuilder, Reply};
pub use retry::ConflictRetry;

//! An embedded, ScyllaDB-compatible CQL node for development and tests.
#![cfg_attr(not(test), deny(clippy::unwrap_used))]
pub mod cdc;
pub mod engine;
pub mod error;
pub mod execute;
pub mod faults;
pub mod journal;
mod node;
pub mod parse;
pub mod plan;
pub mod request;
pub mod schema;
pub mod store;
pub mod system;
#[cfg(test)]
mod testing;
pub mod types;
mod wire;

pub use journal::Fsync;
pub use node::{Builder, DevDb, StartError};

//! Keyspaces and tables.
mod model;
pub use model::*;

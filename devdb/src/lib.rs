//! An embedded, ScyllaDB-compatible CQL node for development and tests.
pub mod engine;
pub mod cdc;
pub mod error;
pub mod faults;
pub mod parse;
pub mod request;
pub mod schema;
pub mod store;
pub mod types;

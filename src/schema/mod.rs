//! The database schema: numbered migrations, their application, and verification of what
//! is deployed.

mod cql;
mod deployed;
mod expected;
mod migration;
#[allow(clippy::module_inception)]
mod schema;

pub use deployed::Difference;
pub(crate) use deployed::decode_map;
pub use migration::Migration;
pub use schema::{Applied, Schema, SchemaError};

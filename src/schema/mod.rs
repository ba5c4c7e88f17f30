//! The database schema: numbered migrations, their application, and verification of what
//! is deployed.

mod cql;
mod definition;
mod deployed;
mod effect;
mod expected;
mod migration;
#[allow(clippy::module_inception)]
mod schema;
mod versions;

pub(crate) use definition::{Column, DefinitionError, columns, create_table, quoted, versioned};
pub use deployed::Difference;
pub(crate) use deployed::decode_map;
pub use migration::Migration;
pub use schema::{Applied, Schema, SchemaError};

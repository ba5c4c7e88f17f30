//! Types and the values of them.
mod cql_type;
pub use cql_type::{CqlType, UdtDefinition};

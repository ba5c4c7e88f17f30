//! Types and the values of them.
mod cql_type;
pub mod collection;
pub mod order;
pub mod partition_key;
mod signatures;
pub use cql_type::{CqlType, UdtDefinition};
pub use signatures::*;

//! Types and the values of them.
pub mod collection;
mod compare;
mod cql_type;
mod datetime;
mod display;
mod json;
mod like;
mod number;
pub mod order;
pub mod partition_key;
mod value;
pub use compare::compare;
pub use cql_type::{CqlType, UdtDefinition};
pub(crate) use datetime::civil;
pub use display::class_name;
pub use json::{from_json, to_json};
pub use like::like;
pub use value::{from_text, literal_to_bytes, to_text, validate};

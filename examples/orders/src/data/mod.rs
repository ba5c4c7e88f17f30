//! Orders to be handled: read from a file, or made up.

mod amounts;
mod assortment;
mod file;
mod generated;
mod source_order;

pub use file::{BadLine, FileError, OrderFile};
pub use generated::{GENERATED_BY_DEFAULT, generate};
pub use source_order::SourceOrder;

//! Rows in memory and the rules by which writes meet.
mod clock;
mod database;
pub mod mutation;
mod packed;
mod partition;
mod range;
pub mod read;
mod reconcile;
mod rows;
mod token;
pub use clock::Clock;
pub use database::{Database, PartitionLock, TableSize};
pub(crate) use database::{ExportPosition, PartitionRanges};
pub(crate) use range::ByteRange;
pub use reconcile::{compare_cells, element_key_type, merge_columns};
pub use token::token;
#[cfg(test)]
mod tests;

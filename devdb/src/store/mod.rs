//! Rows in memory and the rules by which writes meet.
mod clock;
mod database;
pub mod mutation;
pub mod read;
mod token;
pub use clock::Clock;
pub use database::{Database, PartitionLock};
pub use token::token;

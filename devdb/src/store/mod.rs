//! Rows in memory and the rules by which writes meet.
pub mod mutation;

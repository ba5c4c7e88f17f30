//! An order domain on messina, as a user would write it.
#![deny(missing_docs)]

pub mod data;
pub mod domain;
pub mod projections;

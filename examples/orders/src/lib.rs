//! An order domain on messina, as a user would write it.
#![deny(missing_docs)]
#![cfg_attr(not(test), deny(clippy::unwrap_used))]

pub mod data;
pub mod demo;
pub mod domain;
pub mod import;
pub mod load;
pub mod processes;
pub mod projections;
pub mod service;

//! An order domain on messina, as a user would write it.
#![deny(missing_docs)]

pub mod data;
pub mod demo;
pub mod domain;
pub mod projections;
pub mod service;

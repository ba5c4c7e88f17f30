//! The node through real clients: the `scylla` driver, `scylla-cdc`, and raw frames.
// What tests share is part of tests, which the lint knows of functions with `#[test]` only.
#![allow(clippy::unwrap_used)]

mod cdc;
mod clock;
mod common;
mod describe;
mod expiry;
mod faults;
mod generations;
mod journal;
mod process;
mod program;
mod protocol;
mod raw;
mod replication;
mod robustness;
mod schema;
mod statements;
mod wait;

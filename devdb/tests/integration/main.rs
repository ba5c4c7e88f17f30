//! The node through real clients: the `scylla` driver, `scylla-cdc`, and raw frames.
mod cdc;
mod common;
mod describe;
mod faults;
mod generations;
mod journal;
mod program;
mod protocol;
mod schema;
mod statements;

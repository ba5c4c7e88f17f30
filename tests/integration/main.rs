//! One binary for all integration tests: a folder per topic.
//!
//! They run against an embedded node and an embedded broker. With `SCYLLA_URI` or
//! `KAFKA_BROKERS` set, those that need no injected faults run against real servers.

mod change;
mod chaos;
mod consumer;
mod evolution;
mod model;
mod process;
mod projection;
mod publisher;
mod schema;
mod store;
mod support;

//! The append protocol and command handling.

mod commands;
mod crashes;
mod idempotency;
mod idempotency_crashes;
mod importing;
mod limits;
mod loading;
mod races;
mod snapshots;
mod states;
mod steps;
mod tables;

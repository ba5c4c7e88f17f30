//! `projection-runner`: runs the groups, and everything an operator does with them.

mod arguments;
mod checkpoints;
mod command;
mod dead_letters;
mod doctor;
mod events;
mod run;
mod schema;

pub use command::projection_runner;

//! `projection-runner`: runs the groups, and everything an operator does with them.

mod arguments;
mod checkpoints;
mod command;
mod control;
mod dead_letters;
mod doctor;
mod events;
mod run;
mod schema;
mod status;

pub use command::projection_runner;

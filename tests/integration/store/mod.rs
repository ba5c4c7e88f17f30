//! The append protocol and command handling.

mod commands;
mod crashes;
mod loading;
mod races;
mod tables;

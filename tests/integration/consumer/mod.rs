//! Consumer groups.

mod dead_letters;
mod delivery;
mod once;
mod recorder;
mod restarts;
mod trouble;

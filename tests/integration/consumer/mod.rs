//! Consumer groups.

mod dead_letters;
mod delivery;
mod once;
mod recorder;
mod replay;
mod restarts;
mod tail;
mod trouble;

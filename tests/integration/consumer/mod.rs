//! Consumer groups.

mod delivery;
mod once;
mod recorder;
mod restarts;
mod trouble;

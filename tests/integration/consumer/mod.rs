//! Consumer groups.

mod delivery;
mod recorder;
mod restarts;
mod trouble;

//! Consumer groups.

mod control;
mod dead_letters;
mod delivery;
mod metrics;
mod once;
mod processes;
mod recorder;
mod replay;
mod restarts;
mod tail;
mod trouble;

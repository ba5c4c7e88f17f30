//! The demonstration: orders through their life, followed by all groups, and checked.

mod arguments;
mod place;
mod progress;
mod read_models;
mod report;
mod run;
mod servers;
mod topic;
mod tracker;
mod workload;

pub use arguments::DemoArguments;
pub use place::{PlaceArguments, place};
pub use run::run;
pub(crate) use tracker::{Tracker, microseconds, record};

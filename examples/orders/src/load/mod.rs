//! The load tool: how soon and how fast groups follow, in figures.

mod arguments;
mod catch_up;
mod figures;
mod follow;
mod node;
mod report;
mod run;
mod usage;
mod workload;

pub use arguments::{LoadArguments, NodeArguments};
pub use node::serve;
pub use run::run;

//! Moving orders in from another system.

mod arguments;
mod run;

pub use arguments::ImportArguments;
pub use run::run;

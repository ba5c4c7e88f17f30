//! Moving in: events of another system, from a file, through the append protocol.

mod error;
#[allow(clippy::module_inception)]
mod import;
mod line;
mod progress;
mod reading;
mod storing;

pub use error::{Difference, ImportError};
pub use import::Import;
pub use progress::ImportProgress;

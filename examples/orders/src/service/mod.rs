//! What the binaries share: connecting, the groups, flags, errors.

mod arguments;
mod connect;
mod error;
mod groups;
#[allow(clippy::module_inception)]
mod service;

pub use arguments::{DatabaseArguments, ReadingArguments, duration};
pub use connect::{connect, open, schema};
pub use error::{ServiceError, exit};
pub use groups::{Observer, RunningGroups, group_names, start};
pub use service::{PUBLISHER, orders};

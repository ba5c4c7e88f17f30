//! What the binaries share: connecting, the groups, flags, errors.

mod arguments;
mod connect;
mod error;
mod groups;

pub use arguments::{DatabaseArguments, ReadingArguments, duration};
pub use connect::{connect, open, schema};
pub use error::{ServiceError, exit};
pub use groups::{Observer, PUBLISHER, RunningGroups, group_names, projection, start};

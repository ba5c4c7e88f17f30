//! Read models: which version of a projection's tables queries read.
//!
//! A projection's tables can be rebuilt beside the ones in use: into `<table>__v2`, then
//! `__v3`, and so on. A row of `read_models` says which version queries read and which
//! the projection's live group writes. Everyone asks for that row at most a second before
//! acting on it, so that who changes it knows when all have noticed.

mod cache;
mod model;
mod versions;

pub use model::{ReadModel, ReadModelError};
pub use versions::table_name;

pub(crate) use cache::{NOTICED_AFTER, VersionCache};
pub(crate) use versions::{VersionRows, Versions};

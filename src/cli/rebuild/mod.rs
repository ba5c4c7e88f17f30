//! `rebuild-projection`: rebuilds one read model from `event_store`, or compares it with a
//! replay.

mod arguments;
mod command;
mod report;
mod shown;

pub use command::rebuild_projection;

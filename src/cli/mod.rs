//! The command lines that a service's own binaries reuse: `projection-runner` and
//! `rebuild-projection` for its own projections, publishers and other groups.
//!
//! A binary is a dozen lines: describe the [`Service`], hand it to [`projection_runner`] or to
//! [`rebuild_projection`].

mod connect;
mod error;
mod front;
mod logging;
mod output;
mod pages;
mod rebuild;
mod runner;
mod service;
mod settings;
mod time;

pub use error::CommandLineError;
pub use rebuild::rebuild_projection;
pub use runner::projection_runner;
pub use service::{HandlerContext, HandlerFailure, Service, UnknownName};
pub use settings::SettingsError;

//! Configuration: a TOML file, the environment, flags, in that order of increasing strength.

mod file;
mod known;
mod print;
mod resolve;
mod setting;

pub(crate) use known::{REBUILD, RUNNER};
pub(crate) use print::print;
pub use resolve::SettingsError;
pub(crate) use resolve::{Settings, add_to};
pub(crate) use setting::Setting;

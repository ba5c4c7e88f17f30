//! Helpers for tests of what is built with this library.

mod diff;
mod envelope;
mod given;
mod golden;

pub use envelope::envelope;
pub use given::{Accepted, Given, Outcome, given};
pub use golden::Golden;

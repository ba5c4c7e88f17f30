//! Helpers for tests of what is built with this library.

mod envelope;

pub use envelope::envelope;

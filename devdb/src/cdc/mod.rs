//! Change data capture: streams, generations and the rows of a log.
mod signatures;
pub use signatures::*;

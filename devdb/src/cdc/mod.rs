//! Change data capture: streams, generations and the rows of a log.
mod augment;
mod generation;
mod images;
mod log_table;
mod split;
mod streams;
pub use augment::Cdc;
pub use generation::{GenerationInfo, MAX_TABLETS};
pub use log_table::{LOG_SUFFIX, log_columns, log_name};
pub use streams::{Streams, StreamsState};
#[cfg(test)]
mod tests;

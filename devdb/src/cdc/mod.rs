//! Change data capture: streams, generations and the rows of a log.
mod augment;
mod faults;
mod generation;
mod images;
mod log_table;
mod split;
pub use augment::Cdc;
pub use faults::LogFaults;
pub use generation::GenerationInfo;
pub use log_table::{LOG_SUFFIX, log_columns, log_name};
#[cfg(test)]
mod tests;

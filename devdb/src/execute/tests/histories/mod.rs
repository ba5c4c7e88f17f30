//! Random histories against an independent model: whatever the order, whatever the batches.
mod content;
mod log;
mod model;
mod transactions;
mod write;

//! Faults on demand: what a test asks of the node so that its own code meets them.
//!
//! A [`Fault`] says which requests it is for (table, [`Operation`], text), which of these
//! it hits (the n-th, every n-th, with a probability), and what happens to them (a
//! [`FaultAction`]). The node's [`Faults`] are asked for each request, in the order in
//! which they were added; the first that hits decides. Another process asks for faults by
//! CQL, in the tables of the keyspace `devdb`.
//!
//! ```
//! # use std::time::Duration;
//! # use messina_devdb::faults::{errors, Fault, FaultAction, Faults, Operation};
//! # let faults = Faults::default();
//! // The third append's batch is applied, but its client is told of a timeout.
//! let timeout = FaultAction::FailAfter(errors::write_timeout("BATCH"));
//! let third = faults.add(Fault::new(timeout).operation(Operation::Batch).nth(3));
//! // One read of ten is slow.
//! let slow = FaultAction::Delay(Duration::from_millis(50));
//! faults.add(Fault::new(slow).operation(Operation::Read).probability(0.1).seed(7));
//! assert_eq!(third.hits(), 0);
//! ```
mod action;
mod columns;
mod console;
pub mod errors;
mod fault;
mod rules;
mod target;

pub use action::{BatchPart, Effects, FaultAction};
pub(crate) use console::{Console, KEYSPACE, definitions, owns};
pub use fault::{Fault, Operation};
pub use rules::{FaultHandle, FaultStatus, Faults};
pub(crate) use target::Target;

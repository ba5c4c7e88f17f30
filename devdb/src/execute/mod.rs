//! Plans are carried out: reads page by page, writes as mutations.
mod aggregate;
mod bindings;
mod conditional;
mod describe;
mod executor;
mod functions;
mod modify;
mod mutations;
mod numbers;
mod paging;
mod range_deletes;
mod ranges;
mod rows;
mod select;
mod timeuuid;

pub use bindings::Bindings;
pub use conditional::Item;
pub use describe::{Described, describe};
pub use executor::{Executor, WriteParameters};
pub(crate) use mutations::WriteSet;
pub use timeuuid::{ListSequence, TimeUuids};

#[cfg(test)]
mod tests;

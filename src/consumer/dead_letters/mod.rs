//! Events that a group could not handle, and those that wait behind them.

mod api;
mod error;
mod letter;
mod parked;
mod request;
mod rows;
mod table;

pub use api::{DeadLetterPage, DeadLetters, PageToken};
pub use error::DeadLetterError;
pub use letter::{DeadLetter, RequestId};

pub(crate) use letter::Failure;
pub(crate) use parked::Parked;
pub(crate) use request::{Action, Request, Requests};
pub(crate) use table::LetterTable;

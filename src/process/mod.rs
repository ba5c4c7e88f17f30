//! Process managers: events in, commands out.
//!
//! What happens to one aggregate may call for a command to another: an order is shipped when
//! its payment has come. A process manager says which; a consumer group runs it
//! ([`ProcessHandler`]). Each command carries an idempotency key made of the process, the
//! event and the command's place, so an event that is delivered again does not act twice.

mod commands;
mod handler;
#[allow(clippy::module_inception)]
mod process;

pub use commands::Commands;
pub use handler::ProcessHandler;
pub use process::{ProcessError, ProcessManager, Rejection};

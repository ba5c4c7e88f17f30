//! The domain: what an order is, what may happen to it, and what may not.
//!
//! Pure code. It knows messina's traits and nothing of databases.

mod command;
mod error;
mod event;
mod item;
mod order;
mod payment;
mod status;

pub use command::OrderCommand;
pub use error::OrderError;
pub use event::{OrderEvent, Summary};
pub use item::{Item, MAX_ITEMS, MAX_QUANTITY, MAX_UNIT_PRICE_CENTS};
pub use order::{Order, Placed};
pub use payment::{Payment, PaymentCommand, PaymentError, PaymentEvent};
pub use status::Status;

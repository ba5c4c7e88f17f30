//! Process managers: what happens to one aggregate calls for something of another.

mod ship_when_paid;

pub use ship_when_paid::{SHIP_WHEN_PAID, ShipWhenPaid};

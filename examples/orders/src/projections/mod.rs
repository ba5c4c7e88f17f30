//! The read models: what each event writes into them.
//!
//! Each write follows from its event alone, so events can be handled again, late, or all
//! over in a rebuild, and the rows come out the same.

mod order_read_model;
mod orders_by_customer;
mod orders_by_status;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use messina::{Aggregate, EventEnvelope, Projection, ProjectionError};
use scylla::value::CqlTimestamp;

use crate::domain::{Order, OrderEvent};

pub use order_read_model::OrderReadModel;
pub use orders_by_customer::OrdersByCustomer;
pub use orders_by_status::OrdersByStatus;

/// All projections, in the order they are listed to people.
pub fn all() -> Vec<Arc<dyn Projection>> {
    vec![Arc::new(OrderReadModel), Arc::new(OrdersByCustomer), Arc::new(OrdersByStatus)]
}

/// The aggregate types that all of them follow.
const ORDERS: &[&str] = &[Order::TYPE];

fn order_event(event: &EventEnvelope) -> Result<OrderEvent, ProjectionError> {
    Ok(event.decode_event()?)
}

fn timestamp(time: DateTime<Utc>) -> CqlTimestamp {
    CqlTimestamp(time.timestamp_millis())
}

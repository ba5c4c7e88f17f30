//! A customer's orders, newest first.

use messina::projection::Writes;
use messina::{EventEnvelope, Projection, ProjectionError};

use super::{ORDERS, order_event, timestamp};

/// Writes `orders_by_customer`: every event puts the order's row as it is now.
#[derive(Debug)]
pub struct OrdersByCustomer;

const TABLE: &str = "orders_by_customer";

impl Projection for OrdersByCustomer {
    fn name(&self) -> &'static str {
        TABLE
    }

    fn aggregate_types(&self) -> &'static [&'static str] {
        ORDERS
    }

    fn tables(&self) -> &'static [&'static str] {
        &[TABLE]
    }

    fn handle_event(
        &self,
        envelope: &EventEnvelope,
        writes: &mut Writes,
    ) -> Result<(), ProjectionError> {
        let event = order_event(envelope)?;
        let order = event.order();
        writes
            .put(TABLE)
            .key("customer_id", order.customer_id.clone())
            .key("placed_at", timestamp(order.placed_at))
            .key("order_id", envelope.aggregate_id.0)
            .set("status", order.status.as_str())
            .set("item_count", order.item_count)
            .set("total_cents", order.total_cents);
        Ok(())
    }
}

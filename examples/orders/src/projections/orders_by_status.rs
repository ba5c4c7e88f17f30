//! The orders that stand at a status, newest first.

use messina::projection::Writes;
use messina::{EventEnvelope, Projection, ProjectionError};

use super::{ORDERS, order_event, timestamp};

/// Writes `orders_by_status`: a change of status deletes the row where it was and puts it
/// where it is now, every other event puts it again.
///
/// A late event cannot bring a row back that a later one deleted: its writes are older.
#[derive(Debug)]
pub struct OrdersByStatus;

const TABLE: &str = "orders_by_status";

impl Projection for OrdersByStatus {
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
        if let Some(previous) = event.previous_status() {
            writes
                .delete(TABLE)
                .key("status", previous.as_str())
                .key("placed_at", timestamp(order.placed_at))
                .key("order_id", envelope.aggregate_id.0);
        }
        writes
            .put(TABLE)
            .key("status", order.status.as_str())
            .key("placed_at", timestamp(order.placed_at))
            .key("order_id", envelope.aggregate_id.0)
            .set("customer_id", order.customer_id.clone())
            .set("item_count", order.item_count)
            .set("total_cents", order.total_cents);
        Ok(())
    }
}

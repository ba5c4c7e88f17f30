//! An order as its own page shows it.

use chrono::NaiveDate;
use messina::projection::{Put, Writes};
use messina::{EventEnvelope, Projection, ProjectionError};
use scylla::value::{CqlDate, CqlTimestamp};

use super::{ORDERS, order_event, timestamp};
use crate::domain::{Item, OrderEvent};

/// Writes `order_read_model`, a row per order, and `order_items`, a row per item.
#[derive(Debug)]
pub struct OrderReadModel;

const TABLE: &str = "order_read_model";
const ITEMS: &str = "order_items";

impl Projection for OrderReadModel {
    fn name(&self) -> &'static str {
        TABLE
    }

    fn aggregate_types(&self) -> &'static [&'static str] {
        ORDERS
    }

    fn tables(&self) -> &'static [&'static str] {
        &[TABLE, ITEMS]
    }

    fn handle_event(
        &self,
        envelope: &EventEnvelope,
        writes: &mut Writes,
    ) -> Result<(), ProjectionError> {
        let event = order_event(envelope)?;
        put_order(envelope, &event, writes);
        match &event {
            OrderEvent::ItemAdded { item, .. } | OrderEvent::ItemQuantityChanged { item, .. } => {
                put_item(envelope, item, writes);
            }
            OrderEvent::ItemRemoved { product_id, .. } => {
                writes
                    .delete(ITEMS)
                    .key("order_id", envelope.aggregate_id.0)
                    .key("product_id", product_id.clone());
            }
            OrderEvent::Created { .. }
            | OrderEvent::Confirmed { .. }
            | OrderEvent::Shipped { .. }
            | OrderEvent::Delivered { .. }
            | OrderEvent::Cancelled { .. } => {}
        }
        Ok(())
    }
}

/// What every event says of the order, and what only this kind of event knows. A column
/// that an event does not name keeps what another event wrote.
fn put_order(envelope: &EventEnvelope, event: &OrderEvent, writes: &mut Writes) {
    let order = event.order();
    let row = writes
        .put(TABLE)
        .key("order_id", envelope.aggregate_id.0)
        .set("customer_id", order.customer_id.clone())
        .set("status", order.status.as_str())
        .set("item_count", order.item_count)
        .set("total_cents", order.total_cents)
        .set("placed_at", timestamp(order.placed_at))
        .set("version", envelope.sequence_number)
        .set("updated_at", CqlTimestamp(envelope.committed_at / 1000));
    put_own_columns(event, row);
}

fn put_own_columns(event: &OrderEvent, row: Put<'_>) {
    match event {
        OrderEvent::Created { currency, ship_country, required_by, .. } => {
            row.set("currency", currency.clone())
                .set("ship_country", ship_country.clone())
                .set("required_by", required_by.map(date));
        }
        OrderEvent::Confirmed { confirmed_at, .. } => {
            row.set("confirmed_at", timestamp(*confirmed_at));
        }
        OrderEvent::Shipped { shipper, freight_cents, shipped_at, .. } => {
            row.set("shipper", shipper.clone())
                .set("freight_cents", *freight_cents)
                .set("shipped_at", timestamp(*shipped_at));
        }
        OrderEvent::Delivered { delivered_at, .. } => {
            row.set("delivered_at", timestamp(*delivered_at));
        }
        OrderEvent::Cancelled { reason, cancelled_at, .. } => {
            row.set("cancel_reason", reason.clone()).set("cancelled_at", timestamp(*cancelled_at));
        }
        OrderEvent::ItemAdded { .. }
        | OrderEvent::ItemQuantityChanged { .. }
        | OrderEvent::ItemRemoved { .. } => {}
    }
}

fn put_item(envelope: &EventEnvelope, item: &Item, writes: &mut Writes) {
    writes
        .put(ITEMS)
        .key("order_id", envelope.aggregate_id.0)
        .key("product_id", item.product_id.clone())
        .set("product_name", item.product_name.clone())
        .set("quantity", item.quantity)
        .set("unit_price_cents", item.unit_price_cents)
        .set("discount_percent", i32::from(item.discount_percent))
        .set("total_cents", item.total_cents());
}

/// CQL counts days from -5877641-06-23, with 1970-01-01 in the middle at 2^31.
fn date(day: NaiveDate) -> CqlDate {
    let since_1970 = day.signed_duration_since(NaiveDate::default()).num_days();
    CqlDate(((1_i64 << 31) + since_1970) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_counted_from_the_middle() {
        let day = |y, m, d| date(NaiveDate::from_ymd_opt(y, m, d).unwrap()).0;
        assert_eq!(day(1970, 1, 1), 1 << 31);
        assert_eq!(day(1970, 1, 2), (1 << 31) + 1);
        assert_eq!(day(1969, 12, 31), (1 << 31) - 1);
        assert_eq!(day(2016, 8, 1), (1 << 31) + 17_014);
    }
}

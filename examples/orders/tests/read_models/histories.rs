//! Random histories of an order: what it accepts of random commands.

use std::sync::Arc;

use chrono::{DateTime, TimeZone, Utc};
use messina::testing::envelope;
use messina::{Aggregate, AggregateId, DomainEvent, EventEnvelope};
use orders::domain::{Item, Order, OrderCommand};
use proptest::prelude::*;

/// An order with the events that led to it.
#[derive(Debug, Clone)]
pub struct History {
    pub id: AggregateId,
    pub order: Order,
    pub events: Vec<EventEnvelope>,
}

/// Begins at this time, µs.
const START: i64 = 1_800_000_000_000_000;

pub fn history() -> impl Strategy<Value = History> {
    (prop::option::of(0_i64..40), prop::collection::vec(command(), 0..25)).prop_map(
        |(required_in, commands)| {
            let create = OrderCommand::Create {
                customer_id: "ALFKI".into(),
                currency: "EUR".into(),
                ship_country: "Germany".into(),
                required_by: required_in.map(|days| time(days).date_naive()),
                at: time(0),
            };
            let mut order = Order::default();
            let mut events = Vec::new();
            for command in [create].iter().chain(&commands) {
                for event in order.handle(command).unwrap_or_default() {
                    order.apply(&event);
                    events.push(event);
                }
            }
            let id = AggregateId::new();
            let events = (1..).zip(events).map(|(n, event)| stored(id, n, &event)).collect();
            History { id, order, events }
        },
    )
}

fn stored(id: AggregateId, sequence_number: i64, event: &impl DomainEvent) -> EventEnvelope {
    let mut stored = envelope(Order::TYPE, sequence_number);
    stored.aggregate_id = id;
    stored.event_type = Arc::from(event.event_type());
    stored.event_version = event.event_version();
    stored.event = event.to_payload().unwrap();
    // As close together as events of an aggregate can be.
    stored.committed_at = START + sequence_number * 10;
    stored
}

fn time(days: i64) -> DateTime<Utc> {
    Utc.timestamp_opt(1_800_000_000 + days * 86_400, 0).unwrap()
}

/// Few products, so that they are changed and removed; more items than last steps, so
/// that orders get some.
fn command() -> impl Strategy<Value = OrderCommand> {
    let product = || (0_u8..4).prop_map(|n| n.to_string());
    let at = || (0_i64..40).prop_map(time);
    let add = (product(), 1_i32..9, 0_i64..5000, 0_u8..30).prop_map(
        |(product_id, quantity, unit_price_cents, discount_percent)| {
            OrderCommand::AddItem(Item {
                product_name: format!("Product {product_id}"),
                product_id,
                quantity,
                unit_price_cents,
                discount_percent,
            })
        },
    );
    prop_oneof![
        6 => add,
        3 => (product(), 1_i32..9).prop_map(|(product_id, quantity)| {
            OrderCommand::ChangeItemQuantity { product_id, quantity }
        }),
        3 => product().prop_map(|product_id| OrderCommand::RemoveItem { product_id }),
        2 => at().prop_map(|at| OrderCommand::Confirm { at }),
        2 => (0_i64..900, at()).prop_map(|(freight_cents, at)| {
            OrderCommand::Ship { shipper: "Speedy".into(), freight_cents, at }
        }),
        2 => at().prop_map(|at| OrderCommand::Deliver { at }),
        1 => at().prop_map(|at| OrderCommand::Cancel { reason: "sold out".into(), at }),
    ]
}

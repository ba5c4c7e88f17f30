//! The laws of the read models, on a small model of ScyllaDB's tables.

mod histories;
mod tables;

use messina::EventEnvelope;
use messina::projection::{MAX_WRITES_PER_EVENT, Writes};
use orders::projections;
use proptest::prelude::*;

use histories::{History, history};
use tables::Tables;

/// Gives all projections this event.
fn handle(event: &EventEnvelope, tables: &mut Tables) {
    for projection in projections::all() {
        let mut writes = Writes::default();
        projection.handle_event(event, &mut writes).unwrap();
        assert!(writes.len() <= MAX_WRITES_PER_EVENT);
        let described = writes.describe();
        assert!(described.iter().all(|write| projection.tables().contains(&write.table)));
        tables.execute(described, event.committed_at);
    }
}

fn after<'e>(events: impl IntoIterator<Item = &'e EventEnvelope>) -> Tables {
    let mut tables = Tables::default();
    for event in events {
        handle(event, &mut tables);
    }
    tables
}

/// A history, and its events in some order, each at least once.
fn shuffled_history() -> impl Strategy<Value = (History, Vec<usize>)> {
    history().prop_flat_map(|history| {
        let count = history.events.len();
        let order = prop::collection::vec(0..count, 0..2 * count)
            .prop_map(move |again| (0..count).chain(again).collect::<Vec<_>>())
            .prop_shuffle();
        (Just(history), order)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_order_and_repetition_of_events_leaves_the_same_rows(
        (history, order) in shuffled_history()
    ) {
        let in_order = after(&history.events);
        let shuffled = after(order.iter().map(|i| &history.events[*i]));
        prop_assert_eq!(shuffled.rows(), in_order.rows());
    }

    #[test]
    fn the_rows_say_what_the_order_says(history in history()) {
        let placed = history.order.placed().unwrap();
        let tables = after(&history.events);
        let (status, total) = (format!("{:?}", placed.status.as_str()), placed.total_cents().to_string());

        let order = &tables.rows_of("order_read_model")[..];
        prop_assert_eq!(order.len(), 1);
        prop_assert_eq!(&order[0].0[0].1, &history.id.0.to_string());
        prop_assert_eq!(&order[0].1["status"], &status);
        prop_assert_eq!(&order[0].1["total_cents"], &total);
        prop_assert_eq!(&order[0].1["version"], &history.events.len().to_string());

        let items: Vec<_> = tables
            .rows_of("order_items")
            .into_iter()
            .map(|(key, cells)| (key[1].1.clone(), cells["quantity"].clone()))
            .collect();
        let expected: Vec<_> = placed
            .items
            .values()
            .map(|item| (format!("{:?}", item.product_id), item.quantity.to_string()))
            .collect();
        prop_assert_eq!(items, expected);

        let by_customer = tables.rows_of("orders_by_customer");
        prop_assert_eq!(by_customer.len(), 1);
        prop_assert_eq!(&by_customer[0].1["status"], &status);
        prop_assert_eq!(&by_customer[0].1["total_cents"], &total);

        let by_status = tables.rows_of("orders_by_status");
        prop_assert_eq!(by_status.len(), 1, "an order stands at one status");
        prop_assert_eq!(&by_status[0].0[0].1, &status);
        prop_assert_eq!(&by_status[0].1["total_cents"], &total);
    }
}

#[test]
fn an_event_that_cannot_be_read_is_refused_by_name() {
    let event = messina::testing::envelope("Order", 3);
    for projection in projections::all() {
        let mut writes = Writes::default();
        let error = projection.handle_event(&event, &mut writes).unwrap_err().to_string();
        assert!(error.contains("event 3 of Order"), "{error}");
        assert!(writes.is_empty());
    }
}

//! What an order does, and what it refuses.

use chrono::{DateTime, TimeZone, Utc};
use messina::Aggregate;
use messina::testing::{Given, given};
use orders::domain::{Item, Order, OrderCommand, OrderError, OrderEvent, Status};

fn day(day: u32) -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 5, day, 0, 0, 0).unwrap()
}

fn create() -> OrderCommand {
    OrderCommand::Create {
        customer_id: "ALFKI".into(),
        currency: "EUR".into(),
        ship_country: "Germany".into(),
        required_by: day(20).date_naive().into(),
        at: day(1),
    }
}

fn item(product_id: &str, quantity: i32) -> Item {
    Item {
        product_id: product_id.into(),
        product_name: format!("Product {product_id}"),
        quantity,
        unit_price_cents: 1000,
        discount_percent: 10,
    }
}

fn add(product_id: &str, quantity: i32) -> OrderCommand {
    OrderCommand::AddItem(item(product_id, quantity))
}

fn confirm() -> OrderCommand {
    OrderCommand::Confirm { at: day(2) }
}

fn ship() -> OrderCommand {
    OrderCommand::Ship { shipper: "Speedy".into(), freight_cents: 500, at: day(3) }
}

fn deliver() -> OrderCommand {
    OrderCommand::Deliver { at: day(4) }
}

fn cancel() -> OrderCommand {
    OrderCommand::Cancel { reason: "sold out".into(), at: day(4) }
}

/// An order after these commands, all of which it has to accept.
#[track_caller]
fn after(commands: impl IntoIterator<Item = OrderCommand>) -> Given<Order> {
    let mut order = Order::default();
    let mut history = Vec::new();
    for command in commands {
        let events = order.handle(&command).expect("the command is accepted");
        for event in &events {
            order.apply(event);
            let placed = order.placed().expect("an order with an event exists");
            assert_eq!(event.order(), &placed.summary(), "what {command:?} says of the order");
        }
        history.extend(events);
    }
    given(history)
}

#[track_caller]
fn order_after(commands: impl IntoIterator<Item = OrderCommand>) -> Order {
    after(commands).state().clone()
}

#[track_caller]
fn refusal(order: &Order, command: OrderCommand) -> OrderError {
    order.handle(&command).expect_err("the command is refused")
}

fn status(order: &Order) -> Status {
    order.placed().unwrap().status
}

#[test]
fn an_order_goes_from_creation_to_delivery() {
    let order = order_after([create(), add("a", 2), add("b", 1), confirm(), ship(), deliver()]);
    let placed = order.placed().unwrap();
    assert_eq!(placed.status, Status::Delivered);
    assert_eq!(placed.total_cents(), 2700);
}

#[test]
fn items_can_be_changed_and_removed_until_the_order_is_confirmed() {
    let change = |quantity| OrderCommand::ChangeItemQuantity { product_id: "a".into(), quantity };
    let remove = || OrderCommand::RemoveItem { product_id: "b".into() };
    let order = order_after([create(), add("a", 2), add("b", 1), change(5), remove()]);
    assert_eq!(order.placed().unwrap().items.values().collect::<Vec<_>>(), [&item("a", 5)]);

    let confirmed = order_after([create(), add("a", 2), add("b", 1), confirm()]);
    for command in [change(5), remove(), add("c", 1)] {
        assert!(matches!(
            refusal(&confirmed, command),
            OrderError::WrongStatus { status: Status::Confirmed, .. }
        ));
    }
}

#[test]
fn a_quantity_that_is_already_so_changes_nothing() {
    let same = OrderCommand::ChangeItemQuantity { product_id: "a".into(), quantity: 2 };
    after([create(), add("a", 2)]).when(same).then_events([]);
}

#[test]
fn a_changed_quantity_tells_the_one_before() {
    let order = order_after([create(), add("a", 2)]);
    let change = OrderCommand::ChangeItemQuantity { product_id: "a".into(), quantity: 3 };
    let events = order.handle(&change).unwrap();
    assert!(matches!(
        &events[..],
        [OrderEvent::ItemQuantityChanged { previous_quantity: 2, order, .. }]
            if order.total_cents == 2700
    ));
}

#[test]
fn nothing_happens_to_an_order_that_was_not_created() {
    for command in [add("a", 1), confirm(), ship(), deliver(), cancel()] {
        assert_eq!(refusal(&Order::default(), command), OrderError::NotFound);
    }
}

#[test]
fn an_order_is_created_once() {
    after([create()]).when(create()).then_rejected(OrderError::AlreadyExists);
}

#[test]
fn steps_come_in_their_order() {
    let created = order_after([create(), add("a", 1)]);
    let confirmed = order_after([create(), add("a", 1), confirm()]);
    let shipped = order_after([create(), add("a", 1), confirm(), ship()]);
    for (order, command) in [
        (&created, ship()),
        (&created, deliver()),
        (&confirmed, confirm()),
        (&confirmed, deliver()),
        (&shipped, ship()),
    ] {
        let status = status(order);
        assert!(
            matches!(refusal(order, command), OrderError::WrongStatus { status: s, .. } if s == status)
        );
    }
}

#[test]
fn an_order_is_cancelled_before_it_is_shipped_or_not_at_all() {
    for steps in [vec![create()], vec![create(), add("a", 1), confirm()]] {
        let mut order = order_after(steps);
        let before = status(&order);
        let events = order.handle(&cancel()).unwrap();
        assert_eq!(events[0].previous_status(), Some(before));
        order.apply(&events[0]);
        assert_eq!(status(&order), Status::Cancelled);
    }
    after([create(), add("a", 1), confirm(), ship()])
        .when(cancel())
        .then_rejected_saying("an order that is shipped cannot be cancelled");
}

#[test]
fn cancelling_needs_a_reason() {
    let silent = OrderCommand::Cancel { reason: " ".into(), at: day(2) };
    after([create()]).when(silent).then_rejected(OrderError::ReasonMissing);
}

#[test]
fn an_order_without_items_is_not_confirmed() {
    after([create()]).when(confirm()).then_rejected(OrderError::Empty);
}

#[test]
fn a_product_is_one_item() {
    let order = order_after([create(), add("a", 1)]);
    let expected = OrderError::DuplicateItem { product_id: "a".into() };
    assert_eq!(refusal(&order, add("a", 2)), expected);
    for command in [
        OrderCommand::RemoveItem { product_id: "b".into() },
        OrderCommand::ChangeItemQuantity { product_id: "b".into(), quantity: 1 },
    ] {
        assert_eq!(refusal(&order, command), OrderError::NoSuchItem { product_id: "b".into() });
    }
}

#[test]
fn quantities_prices_discounts_and_freight_have_limits() {
    let order = order_after([create()]);
    for quantity in [0, -1, i32::MAX] {
        assert_eq!(refusal(&order, add("a", quantity)), OrderError::InvalidQuantity { quantity });
    }
    let priced = |cents| OrderCommand::AddItem(Item { unit_price_cents: cents, ..item("a", 1) });
    for cents in [-1, i64::MAX] {
        assert_eq!(refusal(&order, priced(cents)), OrderError::InvalidPrice { cents });
    }
    let reduced = OrderCommand::AddItem(Item { discount_percent: 101, ..item("a", 1) });
    assert_eq!(refusal(&order, reduced), OrderError::InvalidDiscount { percent: 101 });
    let confirmed = order_after([create(), add("a", 1), confirm()]);
    let freight = OrderCommand::Ship { shipper: "Speedy".into(), freight_cents: -1, at: day(3) };
    assert_eq!(refusal(&confirmed, freight), OrderError::InvalidFreight { cents: -1 });
}

#[test]
fn an_order_has_a_customer_and_a_currency() {
    let OrderCommand::Create { currency, ship_country, required_by, at, .. } = create() else {
        unreachable!()
    };
    let nobody = OrderCommand::Create {
        customer_id: String::new(),
        currency,
        ship_country: ship_country.clone(),
        required_by,
        at,
    };
    assert_eq!(refusal(&Order::default(), nobody), OrderError::CustomerMissing);
    for currency in ["", "eur", "EURO", "E1R"] {
        let command = OrderCommand::Create {
            customer_id: "ALFKI".into(),
            currency: currency.into(),
            ship_country: ship_country.clone(),
            required_by,
            at,
        };
        assert_eq!(
            refusal(&Order::default(), command),
            OrderError::InvalidCurrency(currency.into())
        );
    }
}

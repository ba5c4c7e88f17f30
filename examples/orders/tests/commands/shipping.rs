//! `projection-runner` with the process that ships orders when they are paid.

use std::time::{Duration, Instant};

use chrono::Utc;
use messina::{Aggregate, AggregateId, CommandHandler, EventStore};
use orders::domain::{Item, Order, OrderCommand, Payment, PaymentCommand, PaymentError, Status};
use orders::service::{connect, open, schema};

use super::process::{RUNNER, ended, node, start, terminate};

/// Waits until an aggregate is as it should be.
async fn until<A: Aggregate>(store: &EventStore, id: AggregateId, expected: fn(&A) -> bool) {
    let began = Instant::now();
    while !expected(&store.load::<A>(id).await.unwrap().state) {
        assert!(began.elapsed() < Duration::from_secs(40), "{} {id} stays as it is", A::TYPE);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_shipped_when_it_is_paid_and_otherwise_the_money_goes_back() {
    let (_node, scylla) = node().await;
    let session = connect(&scylla).await.unwrap();
    schema("orders").apply(&session).await.unwrap();
    let store = open(session, "orders").await.unwrap();
    let quick = ["--safety-interval", "3s", "--sleep-interval", "20ms"];
    let group = ["--scylla", &scylla, "--group", "ship_when_paid"];
    let runner = start(RUNNER, &[&group, &quick[..]].concat());

    let at = Utc::now();
    let orders = CommandHandler::<Order>::new(store.clone());
    let (confirmed, open) = (AggregateId::new(), AggregateId::new());
    for id in [confirmed, open] {
        let create = OrderCommand::Create {
            customer_id: "ALFKI".into(),
            currency: "EUR".into(),
            ship_country: "Germany".into(),
            required_by: None,
            at,
        };
        orders.execute(id, create).await.unwrap();
    }
    let item = Item {
        product_id: "11".into(),
        product_name: "Queso Cabrales".into(),
        quantity: 1,
        unit_price_cents: 1400,
        discount_percent: 0,
    };
    orders.execute(confirmed, OrderCommand::AddItem(item)).await.unwrap();
    orders.execute(confirmed, OrderCommand::Confirm { at }).await.unwrap();

    let payments = CommandHandler::<Payment>::new(store.clone());
    let (good, early) = (AggregateId::new(), AggregateId::new());
    for (payment, order_id) in [(good, confirmed), (early, open)] {
        let receive = PaymentCommand::Receive { order_id, cents: 1400, at };
        payments.execute(payment, receive).await.unwrap();
    }
    until::<Order>(&store, confirmed, |order| {
        order.placed().is_some_and(|placed| placed.status == Status::Shipped)
    })
    .await;
    until::<Payment>(&store, early, Payment::is_refunded).await;
    assert!(!store.load::<Payment>(good).await.unwrap().state.is_refunded());
    terminate(&runner).await;
    assert_eq!(ended(runner).await.code, Some(0));
    let refund = PaymentCommand::Refund { reason: "again".into(), at };
    let refused = Payment::handle(&store.load::<Payment>(early).await.unwrap().state, &refund);
    assert_eq!(refused, Err(PaymentError::AlreadyRefunded));
}

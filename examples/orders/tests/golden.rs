//! What has been stored of orders stays readable.

use chrono::{DateTime, TimeZone, Utc};
use messina::Aggregate;
use messina::testing::Golden;
use orders::domain::{Item, Order, OrderEvent, Status, Summary};

fn day(day: u32) -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2016, 7, day, 0, 0, 0).unwrap()
}

fn order(status: Status) -> Summary {
    Summary {
        customer_id: "VINET".into(),
        placed_at: day(4),
        status,
        item_count: 1,
        total_cents: 16_800,
    }
}

fn item() -> Item {
    Item {
        product_id: "11".into(),
        product_name: "Queso Cabrales".into(),
        quantity: 12,
        unit_price_cents: 1400,
        discount_percent: 0,
    }
}

/// One of each type, and of each shape that a type has.
fn samples() -> Vec<OrderEvent> {
    let created = |required_by| OrderEvent::Created {
        order: Summary { item_count: 0, total_cents: 0, ..order(Status::Created) },
        currency: "USD".into(),
        ship_country: "France".into(),
        required_by,
    };
    vec![
        created(None),
        created(Some(day(20).date_naive())),
        OrderEvent::ItemAdded { order: order(Status::Created), item: item() },
        OrderEvent::ItemQuantityChanged {
            order: order(Status::Created),
            item: item(),
            previous_quantity: 3,
        },
        OrderEvent::ItemRemoved { order: order(Status::Created), product_id: "11".into() },
        OrderEvent::Confirmed {
            order: order(Status::Confirmed),
            previous_status: Status::Created,
            confirmed_at: day(5),
        },
        OrderEvent::Shipped {
            order: order(Status::Shipped),
            previous_status: Status::Confirmed,
            shipper: "Federal Shipping".into(),
            freight_cents: 3238,
            shipped_at: day(16),
        },
        OrderEvent::Delivered {
            order: order(Status::Delivered),
            previous_status: Status::Shipped,
            delivered_at: day(18),
        },
        OrderEvent::Cancelled {
            order: order(Status::Cancelled),
            previous_status: Status::Confirmed,
            reason: "sold out".into(),
            cancelled_at: day(5),
        },
    ]
}

#[test]
fn stored_events_stay_readable() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden");
    Golden::<OrderEvent>::new(Order::TYPE, directory).check(samples());
}

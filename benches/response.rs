//! What it costs to render a reply's response, 1 KB of JSON:
//!
//!     cargo bench --bench response
//!
//! Half of the batches were at most as slow as the median; the fastest is what it costs when
//! nothing else runs.

use std::hint::black_box;
use std::time::{Duration, Instant};

use messina::Payload;
use messina::response::Responder;
use serde_json::json;

/// An order as services have them: snake_case, nested objects, a list, a map of data, texts.
fn order() -> Payload {
    let item = |n: usize| {
        json!({
            "sku": format!("SKU-{n:04}"),
            "unit_price_cents": 1999 + n,
            "quantity": n,
            "display_name": "A thing with a \"name\" of some length",
            "is_gift": n.is_multiple_of(2),
        })
    };
    let order = json!({
        "order_id": "0199a6b2-5c5e-7cc3-9c6e-5b8f0d6a7e11",
        "customer_id": "0199a6b2-5c5e-7cc3-9c6e-5b8f0d6a7e12",
        "order_status": "confirmed",
        "line_items": (1..=5).map(item).collect::<Vec<_>>(),
        "shipping_address": {
            "street_name": "Viale San Martino", "house_number": "12 b", "postal_code": "98122",
        },
        "tax_by_rate": { "rate_4": 16, "rate_22": 451 },
        "total_amount_cents": 10_010,
        "confirmed_at": null,
        "delivery_note": "Ring twice, please; the bell is slow.",
    });
    Payload::from_json_text(order.to_string())
}

const BATCHES: usize = 400;
const EACH: u32 = 500;

fn main() {
    let responder = Responder::new("Order")
        .nested("line_items", "OrderItem")
        .nested("shipping_address", "Address")
        .verbatim("tax_by_rate");
    let order = order();
    let bytes = order.as_str().len();
    assert!((1000..1100).contains(&bytes), "{bytes} bytes are not 1 KB");
    println!("{}", responder.render(&order).unwrap());
    let mut batches: Vec<Duration> = (0..BATCHES)
        .map(|_| {
            let began = Instant::now();
            for _ in 0..EACH {
                black_box(responder.render(black_box(&order))).unwrap();
            }
            began.elapsed() / EACH
        })
        .collect();
    batches.sort();
    println!(
        "rendering {bytes} bytes: median {:.2?}, fastest {:.2?}, slowest {:.2?}",
        batches[BATCHES / 2],
        batches[0],
        batches[BATCHES - 1],
    );
}

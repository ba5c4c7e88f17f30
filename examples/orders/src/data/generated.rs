//! Made-up orders, in the proportions of a wholesaler's real ones: two or three items,
//! half of them for less than 25 pieces, shipped within two weeks, a few never.

use chrono::{Days, NaiveDate};
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, index};
use rand::{Rng, SeedableRng};

use crate::data::SourceOrder;
use crate::data::assortment::{CUSTOMERS, PRODUCTS, SHIPPERS};
use crate::domain::{Item, OrderCommand};

/// As many orders as are made unless another number is asked for.
pub const GENERATED_BY_DEFAULT: usize = 1000;

/// How many orders of a hundred have so many items.
const ITEM_COUNTS: [(usize, u32); 6] = [(1, 16), (2, 34), (3, 30), (4, 15), (5, 4), (6, 1)];
/// How many items of a hundred have this discount.
const DISCOUNTS: [(u8, u32); 6] = [(0, 61), (5, 9), (10, 8), (15, 8), (20, 7), (25, 7)];
const ORDERS_PER_DAY: u64 = 3;
/// The first day; fixed, as everything here, so that each run makes the same orders.
const FIRST_DAY: NaiveDate = match NaiveDate::from_ymd_opt(2025, 1, 2) {
    Some(day) => day,
    None => NaiveDate::MIN,
};

/// Makes `count` orders; the same ones for the same seed.
pub fn generate(count: usize, seed: u64) -> Vec<SourceOrder> {
    let mut random = StdRng::seed_from_u64(seed);
    (0..count as u64).map(|number| order(number, &mut random)).collect()
}

fn order(number: u64, random: &mut StdRng) -> SourceOrder {
    let ordered_on = after(FIRST_DAY, number / ORDERS_PER_DAY);
    let (customer_id, country) = CUSTOMERS[random.random_range(0..CUSTOMERS.len())];
    let count = drawn(&ITEM_COUNTS, random);
    let items: Vec<Item> =
        index::sample(random, PRODUCTS.len(), count).iter().map(|at| item(at, random)).collect();
    let shipped = random.random_ratio(97, 100);
    let days = u64::from(random.random_range(1..15_u32).min(random.random_range(1..30)));
    SourceOrder {
        source_id: format!("G{}", 1000 + number),
        customer_id: customer_id.to_owned(),
        currency: "EUR".to_owned(),
        ship_country: country.to_owned(),
        ordered_on,
        required_on: after(ordered_on, 28),
        shipped_on: shipped.then(|| after(ordered_on, days)),
        shipper: SHIPPERS.choose(random).copied().unwrap_or_default().to_owned(),
        freight_cents: random.random_range(200..15_000),
        changes: changes(&items, random),
        items,
    }
}

fn item(product: usize, random: &mut StdRng) -> Item {
    let (name, unit_price_cents) = PRODUCTS[product];
    Item {
        product_id: (product + 1).to_string(),
        product_name: name.to_owned(),
        // Most are small: the smaller of two draws.
        quantity: random.random_range(1..80).min(random.random_range(1..80)),
        unit_price_cents,
        discount_percent: drawn(&DISCOUNTS, random),
    }
}

/// One customer in ten thinks again about the first item, one in twenty drops the last.
fn changes(items: &[Item], random: &mut StdRng) -> Vec<OrderCommand> {
    let mut changes = Vec::new();
    if let (true, Some(item)) = (random.random_ratio(1, 10), items.first()) {
        let quantity = item.quantity + random.random_range(1..10);
        let product_id = item.product_id.clone();
        changes.push(OrderCommand::ChangeItemQuantity { product_id, quantity });
    }
    if let (true, [_, .., last]) = (random.random_ratio(1, 20), items) {
        changes.push(OrderCommand::RemoveItem { product_id: last.product_id.clone() });
    }
    changes
}

fn drawn<T: Copy + Default>(weighted: &[(T, u32)], random: &mut StdRng) -> T {
    weighted
        .choose_weighted(random, |(_, weight)| *weight)
        .map(|(value, _)| *value)
        .unwrap_or_default()
}

fn after(day: NaiveDate, days: u64) -> NaiveDate {
    day.checked_add_days(Days::new(days)).unwrap_or(day)
}

#[cfg(test)]
mod tests {
    use messina::Aggregate;

    use super::*;
    use crate::domain::{Order, Status};

    #[test]
    fn the_same_seed_makes_the_same_orders() {
        assert_eq!(generate(50, 7), generate(50, 7));
        assert_ne!(generate(50, 7), generate(50, 8));
        assert_eq!(generate(50, 7)[..20], generate(20, 7)[..]);
    }

    #[test]
    fn orders_are_accepted_to_their_end() {
        let mut cancelled = 0;
        for source in generate(500, 1) {
            let mut order = Order::default();
            for command in source.commands() {
                for event in order.handle(&command).unwrap() {
                    order.apply(&event);
                }
            }
            match order.placed().unwrap().status {
                Status::Delivered => {}
                Status::Cancelled => cancelled += 1,
                status => panic!("{} ended as {status}", source.source_id),
            }
        }
        assert!((1..50).contains(&cancelled), "{cancelled}");
    }
}

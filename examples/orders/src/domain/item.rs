//! Items: what is ordered, and what it costs.

use serde::{Deserialize, Serialize};

use crate::domain::OrderError;

/// Most items of one order: its events stay small, and so do the sums.
pub const MAX_ITEMS: usize = 500;
/// Most pieces of one item.
pub const MAX_QUANTITY: i32 = 100_000;
/// Highest price of a piece, in cents.
pub const MAX_UNIT_PRICE_CENTS: i64 = 1_000_000_000;

/// A product, how many of it, and at what price.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// Names the product; an order has one item per product.
    pub product_id: String,
    /// As shown to people.
    pub product_name: String,
    /// Pieces, from 1.
    pub quantity: i32,
    /// Price of a piece before the discount.
    pub unit_price_cents: i64,
    /// Taken off the price, 0 to 100.
    pub discount_percent: u8,
}

impl Item {
    /// What the item costs, in cents: half a cent is rounded up. The limits above keep the
    /// sum of an order far from an overflow.
    pub fn total_cents(&self) -> i64 {
        let full = i64::from(self.quantity) * self.unit_price_cents;
        (full * i64::from(100 - self.discount_percent.min(100)) + 50) / 100
    }

    /// Whether it can be part of an order.
    ///
    /// # Errors
    /// What about it cannot be.
    pub fn check(&self) -> Result<(), OrderError> {
        check_quantity(self.quantity)?;
        if !(0..=MAX_UNIT_PRICE_CENTS).contains(&self.unit_price_cents) {
            return Err(OrderError::InvalidPrice { cents: self.unit_price_cents });
        }
        if self.discount_percent > 100 {
            return Err(OrderError::InvalidDiscount { percent: self.discount_percent });
        }
        Ok(())
    }
}

pub(super) fn check_quantity(quantity: i32) -> Result<(), OrderError> {
    if (1..=MAX_QUANTITY).contains(&quantity) {
        return Ok(());
    }
    Err(OrderError::InvalidQuantity { quantity })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(quantity: i32, unit_price_cents: i64, discount_percent: u8) -> Item {
        let product_id = "11".to_owned();
        let product_name = "Queso Cabrales".to_owned();
        Item { product_id, product_name, quantity, unit_price_cents, discount_percent }
    }

    #[test]
    fn a_total_is_rounded_to_the_cent() {
        assert_eq!(item(12, 1400, 0).total_cents(), 16_800);
        assert_eq!(item(35, 2120, 15).total_cents(), 63_070);
        // 0.99 off 5 %: 94.05; 0.90 off 5 %: 85.5.
        assert_eq!(item(1, 99, 5).total_cents(), 94);
        assert_eq!(item(1, 90, 5).total_cents(), 86);
        assert_eq!(item(3, 333, 100).total_cents(), 0);
    }

    #[test]
    fn the_dearest_order_has_a_total() {
        let dearest = item(MAX_QUANTITY, MAX_UNIT_PRICE_CENTS, 0).total_cents();
        assert_eq!(dearest, 100_000_000_000_000);
        assert!(dearest.checked_mul(MAX_ITEMS as i64).is_some());
    }
}

//! What an order can be asked to do.

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

use crate::domain::Item;

/// A request to an order. Times come with the request, since decisions ask no clock.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum OrderCommand {
    /// Begins an order.
    Create {
        /// Who orders.
        customer_id: String,
        /// ISO 4217 code of all its amounts.
        currency: String,
        /// Where to.
        ship_country: String,
        /// When the customer needs it, if that was said.
        required_by: Option<NaiveDate>,
        /// When it was placed.
        at: DateTime<Utc>,
    },
    /// Adds a product that the order does not have yet.
    AddItem(Item),
    /// Changes how many pieces of a product are ordered.
    ChangeItemQuantity {
        /// Which product.
        product_id: String,
        /// Pieces now.
        quantity: i32,
    },
    /// Takes a product off the order.
    RemoveItem {
        /// Which product.
        product_id: String,
    },
    /// Ends the changes.
    Confirm {
        /// When.
        at: DateTime<Utc>,
    },
    /// Hands the order to a shipper.
    Ship {
        /// Which.
        shipper: String,
        /// What shipping costs; not part of the order's total.
        freight_cents: i64,
        /// When.
        at: DateTime<Utc>,
    },
    /// The customer has it.
    Deliver {
        /// When.
        at: DateTime<Utc>,
    },
    /// Gives the order up.
    Cancel {
        /// Why.
        reason: String,
        /// When.
        at: DateTime<Utc>,
    },
}

//! What can happen to an order.

use chrono::{DateTime, NaiveDate, Utc};
use messina::DomainEvent;
use serde::{Deserialize, Serialize};

use crate::domain::{Item, Status};

/// What can happen to an order.
///
/// Each event carries, beside its own facts, what is true of the order after it: a read
/// model sees one event at a time and may ask nobody.
#[derive(Debug, Clone, PartialEq, DomainEvent)]
#[event(prefix = "Order")]
pub enum OrderEvent {
    /// It was placed.
    Created {
        /// The order now.
        order: Summary,
        /// ISO 4217 code of all its amounts.
        currency: String,
        /// Where to.
        ship_country: String,
        /// When the customer needs it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        required_by: Option<NaiveDate>,
    },
    /// A product was added.
    ItemAdded {
        /// The order now.
        order: Summary,
        /// What was added.
        item: Item,
    },
    /// More or fewer pieces of a product.
    ItemQuantityChanged {
        /// The order now.
        order: Summary,
        /// The item now.
        item: Item,
        /// Pieces before.
        previous_quantity: i32,
    },
    /// A product was taken off.
    ItemRemoved {
        /// The order now.
        order: Summary,
        /// Which product.
        product_id: String,
    },
    /// The customer decided.
    Confirmed {
        /// The order now.
        order: Summary,
        /// Where it stood.
        previous_status: Status,
        /// When.
        confirmed_at: DateTime<Utc>,
    },
    /// It is on its way.
    Shipped {
        /// The order now.
        order: Summary,
        /// Where it stood.
        previous_status: Status,
        /// With whom.
        shipper: String,
        /// At what cost.
        freight_cents: i64,
        /// When.
        shipped_at: DateTime<Utc>,
    },
    /// The customer has it.
    Delivered {
        /// The order now.
        order: Summary,
        /// Where it stood.
        previous_status: Status,
        /// When.
        delivered_at: DateTime<Utc>,
    },
    /// It was given up.
    Cancelled {
        /// The order now.
        order: Summary,
        /// Where it stood.
        previous_status: Status,
        /// Why.
        reason: String,
        /// When.
        cancelled_at: DateTime<Utc>,
    },
}

/// An order after an event, as far as every read model needs it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Who ordered.
    pub customer_id: String,
    /// When it was placed.
    pub placed_at: DateTime<Utc>,
    /// Where it stands.
    pub status: Status,
    /// How many products.
    pub item_count: i32,
    /// What they cost together.
    pub total_cents: i64,
}

impl OrderEvent {
    /// The order after this event.
    pub fn order(&self) -> &Summary {
        match self {
            Self::Created { order, .. }
            | Self::ItemAdded { order, .. }
            | Self::ItemQuantityChanged { order, .. }
            | Self::ItemRemoved { order, .. }
            | Self::Confirmed { order, .. }
            | Self::Shipped { order, .. }
            | Self::Delivered { order, .. }
            | Self::Cancelled { order, .. } => order,
        }
    }

    /// Where the order stood before, if this event changed that.
    pub fn previous_status(&self) -> Option<Status> {
        match self {
            Self::Confirmed { previous_status, .. }
            | Self::Shipped { previous_status, .. }
            | Self::Delivered { previous_status, .. }
            | Self::Cancelled { previous_status, .. } => Some(*previous_status),
            Self::Created { .. }
            | Self::ItemAdded { .. }
            | Self::ItemQuantityChanged { .. }
            | Self::ItemRemoved { .. } => None,
        }
    }
}

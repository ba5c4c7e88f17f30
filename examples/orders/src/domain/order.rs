//! The order: its rules.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};
use messina::Aggregate;
use serde::{Deserialize, Serialize};

use crate::domain::item::{MAX_ITEMS, check_quantity};
use crate::domain::{Item, OrderCommand, OrderError, OrderEvent, Status, Summary};

/// An order; before it is created there is nothing to it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Order {
    placed: Option<Placed>,
}

/// An order that has been created.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Placed {
    /// Who ordered.
    pub customer_id: String,
    /// When.
    pub placed_at: DateTime<Utc>,
    /// Where it stands.
    pub status: Status,
    /// By product.
    pub items: BTreeMap<String, Item>,
}

impl Order {
    /// The order, if it has been created.
    pub fn placed(&self) -> Option<&Placed> {
        self.placed.as_ref()
    }

    fn existing(&self) -> Result<&Placed, OrderError> {
        self.placed.as_ref().ok_or(OrderError::NotFound)
    }
}

impl Aggregate for Order {
    const TYPE: &'static str = "Order";
    type Command = OrderCommand;
    type Event = OrderEvent;
    type Error = OrderError;

    fn handle(&self, command: &OrderCommand) -> Result<Vec<OrderEvent>, OrderError> {
        use OrderCommand as C;
        let event = match command {
            C::Create { customer_id, currency, ship_country, required_by, at } => {
                self.create(customer_id, currency, ship_country, *required_by, *at)?
            }
            C::AddItem(item) => self.existing()?.add(item)?,
            C::ChangeItemQuantity { product_id, quantity } => {
                return self.existing()?.change_quantity(product_id, *quantity);
            }
            C::RemoveItem { product_id } => self.existing()?.remove(product_id)?,
            C::Confirm { at } => self.existing()?.confirm(*at)?,
            C::Ship { shipper, freight_cents, at } => {
                self.existing()?.ship(shipper, *freight_cents, *at)?
            }
            C::Deliver { at } => self.existing()?.deliver(*at)?,
            C::Cancel { reason, at } => self.existing()?.cancel(reason, *at)?,
        };
        Ok(vec![event])
    }

    fn apply(&mut self, event: &OrderEvent) {
        let order = event.order();
        let placed = self.placed.get_or_insert_with(|| Placed {
            customer_id: order.customer_id.clone(),
            placed_at: order.placed_at,
            status: order.status,
            items: BTreeMap::new(),
        });
        placed.status = order.status;
        match event {
            OrderEvent::ItemAdded { item, .. } | OrderEvent::ItemQuantityChanged { item, .. } => {
                placed.items.insert(item.product_id.clone(), item.clone());
            }
            OrderEvent::ItemRemoved { product_id, .. } => {
                placed.items.remove(product_id);
            }
            OrderEvent::Created { .. }
            | OrderEvent::Confirmed { .. }
            | OrderEvent::Shipped { .. }
            | OrderEvent::Delivered { .. }
            | OrderEvent::Cancelled { .. } => {}
        }
    }
}

impl Order {
    fn create(
        &self,
        customer_id: &str,
        currency: &str,
        ship_country: &str,
        required_by: Option<NaiveDate>,
        at: DateTime<Utc>,
    ) -> Result<OrderEvent, OrderError> {
        if self.placed.is_some() {
            return Err(OrderError::AlreadyExists);
        }
        if customer_id.trim().is_empty() {
            return Err(OrderError::CustomerMissing);
        }
        if currency.len() != 3 || !currency.chars().all(|c| c.is_ascii_uppercase()) {
            return Err(OrderError::InvalidCurrency(currency.to_owned()));
        }
        Ok(OrderEvent::Created {
            order: Summary {
                customer_id: customer_id.to_owned(),
                placed_at: at,
                status: Status::Created,
                item_count: 0,
                total_cents: 0,
            },
            currency: currency.to_owned(),
            ship_country: ship_country.to_owned(),
            required_by,
        })
    }
}

impl Placed {
    /// What its items cost together.
    pub fn total_cents(&self) -> i64 {
        self.items.values().map(Item::total_cents).sum()
    }

    /// What read models are told of it.
    pub fn summary(&self) -> Summary {
        Summary {
            customer_id: self.customer_id.clone(),
            placed_at: self.placed_at,
            status: self.status,
            // MAX_ITEMS is far below.
            item_count: self.items.len() as i32,
            total_cents: self.total_cents(),
        }
    }

    fn add(&self, item: &Item) -> Result<OrderEvent, OrderError> {
        self.is(Status::Created, "take more items")?;
        item.check()?;
        if self.items.contains_key(&item.product_id) {
            return Err(OrderError::DuplicateItem { product_id: item.product_id.clone() });
        }
        if self.items.len() >= MAX_ITEMS {
            return Err(OrderError::TooManyItems);
        }
        let order = self.summary_after(|items| {
            items.insert(item.product_id.clone(), item.clone());
        });
        Ok(OrderEvent::ItemAdded { order, item: item.clone() })
    }

    fn change_quantity(
        &self,
        product_id: &str,
        quantity: i32,
    ) -> Result<Vec<OrderEvent>, OrderError> {
        self.is(Status::Created, "change its items")?;
        check_quantity(quantity)?;
        let before = self.item(product_id)?;
        if before.quantity == quantity {
            return Ok(Vec::new());
        }
        let item = Item { quantity, ..before.clone() };
        let order = self.summary_after(|items| {
            items.insert(item.product_id.clone(), item.clone());
        });
        let previous_quantity = before.quantity;
        Ok(vec![OrderEvent::ItemQuantityChanged { order, item, previous_quantity }])
    }

    fn remove(&self, product_id: &str) -> Result<OrderEvent, OrderError> {
        self.is(Status::Created, "change its items")?;
        self.item(product_id)?;
        let order = self.summary_after(|items| {
            items.remove(product_id);
        });
        Ok(OrderEvent::ItemRemoved { order, product_id: product_id.to_owned() })
    }

    fn confirm(&self, at: DateTime<Utc>) -> Result<OrderEvent, OrderError> {
        self.is(Status::Created, "be confirmed")?;
        if self.items.is_empty() {
            return Err(OrderError::Empty);
        }
        Ok(OrderEvent::Confirmed {
            order: self.summary_as(Status::Confirmed),
            previous_status: self.status,
            confirmed_at: at,
        })
    }

    fn ship(
        &self,
        shipper: &str,
        freight_cents: i64,
        at: DateTime<Utc>,
    ) -> Result<OrderEvent, OrderError> {
        self.is(Status::Confirmed, "be shipped")?;
        if freight_cents < 0 {
            return Err(OrderError::InvalidFreight { cents: freight_cents });
        }
        Ok(OrderEvent::Shipped {
            order: self.summary_as(Status::Shipped),
            previous_status: self.status,
            shipper: shipper.to_owned(),
            freight_cents,
            shipped_at: at,
        })
    }

    fn deliver(&self, at: DateTime<Utc>) -> Result<OrderEvent, OrderError> {
        self.is(Status::Shipped, "be delivered")?;
        Ok(OrderEvent::Delivered {
            order: self.summary_as(Status::Delivered),
            previous_status: self.status,
            delivered_at: at,
        })
    }

    fn cancel(&self, reason: &str, at: DateTime<Utc>) -> Result<OrderEvent, OrderError> {
        if !matches!(self.status, Status::Created | Status::Confirmed) {
            return Err(OrderError::WrongStatus { status: self.status, wanted: "be cancelled" });
        }
        if reason.trim().is_empty() {
            return Err(OrderError::ReasonMissing);
        }
        Ok(OrderEvent::Cancelled {
            order: self.summary_as(Status::Cancelled),
            previous_status: self.status,
            reason: reason.to_owned(),
            cancelled_at: at,
        })
    }

    fn is(&self, status: Status, wanted: &'static str) -> Result<(), OrderError> {
        if self.status == status {
            return Ok(());
        }
        Err(OrderError::WrongStatus { status: self.status, wanted })
    }

    fn item(&self, product_id: &str) -> Result<&Item, OrderError> {
        self.items
            .get(product_id)
            .ok_or_else(|| OrderError::NoSuchItem { product_id: product_id.to_owned() })
    }

    fn summary_as(&self, status: Status) -> Summary {
        Summary { status, ..self.summary() }
    }

    fn summary_after(&self, change: impl FnOnce(&mut BTreeMap<String, Item>)) -> Summary {
        let mut after = self.clone();
        change(&mut after.items);
        after.summary()
    }
}

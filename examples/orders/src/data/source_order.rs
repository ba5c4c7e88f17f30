//! An order as it came about, and the commands that tell it.

use chrono::{DateTime, Days, NaiveDate, NaiveTime, Utc};
use messina::AggregateId;
use uuid::Uuid;

use crate::domain::{Item, OrderCommand};

/// Of the ids below: version 5 ids are hashes within a namespace.
const NAMESPACE: Uuid = Uuid::from_u128(0x6f72_6465_7273_4d65_a773_696e_6100_0001);

/// The data does not say when an order arrived; this long after it was shipped.
const DELIVERY: Days = Days::new(3);

/// An order as it came about.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceOrder {
    /// The order's number where it comes from.
    pub source_id: String,
    /// Who ordered.
    pub customer_id: String,
    /// ISO 4217 code of its amounts.
    pub currency: String,
    /// Where to.
    pub ship_country: String,
    /// The day it was placed.
    pub ordered_on: NaiveDate,
    /// The day the customer needs it.
    pub required_on: NaiveDate,
    /// The day it was shipped, if ever.
    pub shipped_on: Option<NaiveDate>,
    /// With whom.
    pub shipper: String,
    /// At what cost.
    pub freight_cents: i64,
    /// What was ordered.
    pub items: Vec<Item>,
    /// What the customer changed before confirming.
    pub changes: Vec<OrderCommand>,
}

impl SourceOrder {
    /// The order's aggregate: the same in the same run, another one in each run, so that
    /// one server sees new orders each time.
    pub fn aggregate_id(&self, run: Uuid) -> AggregateId {
        AggregateId(Uuid::new_v5(&NAMESPACE, format!("{run}/{}", self.source_id).as_bytes()))
    }

    /// The order's life, as its dates say. It is confirmed on the day it is placed. If it
    /// was shipped, it is delivered three days later; if not, it is cancelled on the day it
    /// was needed.
    pub fn commands(&self) -> Vec<OrderCommand> {
        let mut commands = vec![OrderCommand::Create {
            customer_id: self.customer_id.clone(),
            currency: self.currency.clone(),
            ship_country: self.ship_country.clone(),
            required_by: Some(self.required_on),
            at: midnight(self.ordered_on),
        }];
        commands.extend(self.items.iter().cloned().map(OrderCommand::AddItem));
        commands.extend(self.changes.iter().cloned());
        commands.push(OrderCommand::Confirm { at: midnight(self.ordered_on) });
        match self.shipped_on {
            Some(shipped_on) => {
                commands.push(OrderCommand::Ship {
                    shipper: self.shipper.clone(),
                    freight_cents: self.freight_cents,
                    at: midnight(shipped_on),
                });
                let delivered_on = shipped_on.checked_add_days(DELIVERY).unwrap_or(shipped_on);
                commands.push(OrderCommand::Deliver { at: midnight(delivered_on) });
            }
            None => commands.push(OrderCommand::Cancel {
                reason: format!("not shipped by {}", self.required_on),
                at: midnight(self.required_on.max(self.ordered_on)),
            }),
        }
        commands
    }
}

fn midnight(day: NaiveDate) -> DateTime<Utc> {
    day.and_time(NaiveTime::MIN).and_utc()
}

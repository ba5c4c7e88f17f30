//! Where an order stands.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where an order stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Its items can still be changed.
    Created,
    /// The customer has decided.
    Confirmed,
    /// On its way.
    Shipped,
    /// With the customer; the end.
    Delivered,
    /// Given up before it was shipped; the end.
    Cancelled,
}

impl Status {
    /// All of them, in the order an order goes through them.
    pub const ALL: [Self; 5] =
        [Self::Created, Self::Confirmed, Self::Shipped, Self::Delivered, Self::Cancelled];

    /// As events and read models store it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Confirmed => "confirmed",
            Self::Shipped => "shipped",
            Self::Delivered => "delivered",
            Self::Cancelled => "cancelled",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

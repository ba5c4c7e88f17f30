//! Why an order refuses a command.

use crate::domain::item::{MAX_ITEMS, MAX_QUANTITY, MAX_UNIT_PRICE_CENTS};
use crate::domain::status::Status;

/// Why an order refuses a command.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// The first command has to be `Create`.
    #[error("there is no such order")]
    NotFound,
    /// An order begins once.
    #[error("the order exists already")]
    AlreadyExists,
    /// An order is somebody's.
    #[error("an order needs a customer")]
    CustomerMissing,
    /// Not three capital letters.
    #[error("{0:?} is not a currency code like EUR")]
    InvalidCurrency(String),
    /// The step does not follow from where the order stands.
    #[error("an order that is {status} cannot {wanted}")]
    WrongStatus {
        /// Where it stands.
        status: Status,
        /// What was asked for.
        wanted: &'static str,
    },
    /// One item per product: change its quantity instead.
    #[error("product {product_id} is in the order already; its quantity can be changed")]
    DuplicateItem {
        /// Which product.
        product_id: String,
    },
    /// Nothing to change or remove.
    #[error("product {product_id} is not in the order")]
    NoSuchItem {
        /// Which product.
        product_id: String,
    },
    /// There is nothing to confirm.
    #[error("an order without items cannot be confirmed")]
    Empty,
    /// See [`MAX_ITEMS`].
    #[error("an order has at most {MAX_ITEMS} items")]
    TooManyItems,
    /// See [`MAX_QUANTITY`].
    #[error("{quantity} pieces cannot be ordered: 1 to {MAX_QUANTITY} can")]
    InvalidQuantity {
        /// As asked for.
        quantity: i32,
    },
    /// See [`MAX_UNIT_PRICE_CENTS`].
    #[error("{cents} cents is no price: 0 to {MAX_UNIT_PRICE_CENTS} is")]
    InvalidPrice {
        /// As asked for.
        cents: i64,
    },
    /// Not a percentage.
    #[error("a discount of {percent} % is not possible")]
    InvalidDiscount {
        /// As asked for.
        percent: u8,
    },
    /// Freight is never negative.
    #[error("freight of {cents} cents is not possible")]
    InvalidFreight {
        /// As asked for.
        cents: i64,
    },
    /// Whoever gives an order up says why.
    #[error("cancelling needs a reason")]
    ReasonMissing,
}

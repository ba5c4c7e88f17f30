//! What a reader of `order-events` does: join a consumer group, drop repetitions, fold the
//! rest into a view.
//!
//! Delivery is at least once, so that a reader must know what it has seen; an aggregate's events
//! are first seen in order, so that the last sequence number of each key says it.

mod feed;
mod record;
mod view;

pub use feed::{Feed, FeedError};
pub use record::{InvalidRecord, OrderRecord};
pub use view::{Counts, View};

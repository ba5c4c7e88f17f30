//! Subscriptions to the changes of any table that has CDC: for audit, caches, replicas.
//!
//! ```text
//! CDC logs ── a scylla-cdc reader per table, a safety interval behind
//!                ↓
//!             a write's log rows → changes: images joined, ranges whole
//!                ↓
//!             lanes      in order per partition key, parallel across; retry
//!                ↓
//!             progress   a checkpoint never passes a change that is not done
//! ```
//!
//! ```no_run
//! use messina::change::{ChangeEvent, ChangeHandler, ChangeSubscription, Operation};
//! use messina::consumer::HandlerError;
//!
//! struct Evict;
//!
//! #[async_trait::async_trait]
//! impl ChangeHandler for Evict {
//!     async fn handle(&self, change: &ChangeEvent) -> Result<(), HandlerError> {
//!         println!("{} of {}: {}", change.operation, change.table, change.key);
//!         Ok(())
//!     }
//! }
//!
//! # async fn example(store: messina::EventStore) -> Result<(), messina::change::ChangeError> {
//! let subscription = ChangeSubscription::builder(store, "cache", Evict)
//!     .tables(["customers", "products"])
//!     .operations([Operation::Update, Operation::RowDelete])
//!     .filter(|change| change.key.get("region").and_then(|r| r.as_text()) != Some(&"test".into()))
//!     .start()
//!     .await?;
//! # subscription.stop().await?;
//! # Ok(())
//! # }
//! ```

mod assemble;
mod error;
mod event;
mod handler;
mod lanes;
mod lease;
mod log_row;
mod metrics;
mod reader;
mod run;
mod settings;
mod status;
mod subscription;
mod supervise;
mod table;

pub use error::ChangeError;
pub use event::{ChangeEvent, ColumnChange, ElementChanges, Key, KeyRange, Operation, Row};
pub use handler::ChangeHandler;
pub use settings::{ChangeSettings, OnLoss, OnPoison};
pub use status::SubscriptionStatus;
pub use subscription::{ChangeSubscription, RunningSubscription, SubscriptionBuilder};

//! Event sourcing on ScyllaDB.
//!
//! An aggregate's events are stored in `event_store` and, in the same logged batch, in the
//! CDC-enabled `outbox_messages`. Consumer groups follow the outbox through its CDC log:
//! projections keep read models, publishers send events to Redpanda or Kafka. There is no
//! second database and no connector; everything is rows that CQL can query.
//!
//! What is promised: no acknowledged event is lost, and an aggregate's events are handled
//! in their order.
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use messina::consumer::ConsumerGroup;
//! use messina::projection::{ProjectionHandler, Writes};
//! use messina::{
//!     Aggregate, AggregateId, CommandHandler, DomainEvent, EventEnvelope, EventStore, Projection,
//!     ProjectionError, Schema,
//! };
//! use scylla::client::session_builder::SessionBuilder;
//! use serde::Serialize;
//!
//! #[derive(Debug, Clone, DomainEvent)]
//! enum CartEvent {
//!     #[event(name = "ItemAdded", version = 1)]
//!     ItemAdded { sku: String, items: i32 },
//! }
//!
//! enum CartCommand {
//!     Add { sku: String },
//! }
//!
//! #[derive(Debug, thiserror::Error)]
//! #[error("the cart is full")]
//! struct Full;
//!
//! #[derive(Default, Clone, Serialize)]
//! struct Cart {
//!     items: i32,
//! }
//!
//! // Decisions are pure: state and command in, events or a typed refusal out.
//! impl Aggregate for Cart {
//!     const TYPE: &'static str = "Cart";
//!     type Command = CartCommand;
//!     type Event = CartEvent;
//!     type Error = Full;
//!
//!     fn handle(&self, CartCommand::Add { sku }: &CartCommand) -> Result<Vec<CartEvent>, Full> {
//!         if self.items == 100 {
//!             return Err(Full);
//!         }
//!         Ok(vec![CartEvent::ItemAdded { sku: sku.clone(), items: self.items + 1 }])
//!     }
//!
//!     fn apply(&mut self, CartEvent::ItemAdded { items, .. }: &CartEvent) {
//!         self.items = *items;
//!     }
//! }
//!
//! // A read model: one event in, rows out.
//! struct CartSizes;
//!
//! impl Projection for CartSizes {
//!     fn name(&self) -> &'static str {
//!         "cart_sizes"
//!     }
//!     fn aggregate_types(&self) -> &'static [&'static str] {
//!         &["Cart"]
//!     }
//!     fn tables(&self) -> &'static [&'static str] {
//!         &["cart_sizes"]
//!     }
//!     fn handle_event(&self, event: &EventEnvelope, writes: &mut Writes) -> Result<(), ProjectionError> {
//!         let CartEvent::ItemAdded { items, .. } = event.decode_event()?;
//!         writes.put("cart_sizes").key("cart_id", event.aggregate_id.0).set("items", items);
//!         Ok(())
//!     }
//! }
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let session = Arc::new(SessionBuilder::new().known_node("127.0.0.1:9042").build().await?);
//!     Schema::new("shop").apply(&session).await?;
//!     let store = EventStore::connect(session, "shop").await?;
//!
//!     let handler = ProjectionHandler::new(&store, CartSizes);
//!     let group = ConsumerGroup::builder(store.clone(), "cart_sizes", handler).start().await?;
//!
//!     let carts = CommandHandler::<Cart>::new(store);
//!     let reply = carts.execute(AggregateId::new(), CartCommand::Add { sku: "tofu".into() }).await?;
//!     println!("the cart is at version {}", reply.version);
//!
//!     group.stop().await?;
//!     Ok(())
//! }
//! ```
//!
//! # Where to look
//!
//! | module | what it is about |
//! |---|---|
//! | [`event`], [`aggregate`] | what the domain implements |
//! | [`command`] | load, decide, append, and again after a conflict |
//! | [`store`] | the append protocol, loading, scanning |
//! | [`import`] | moving in: events of another system, from a file |
//! | [`consumer`] | consumer groups: reading the log, order, retries, checkpoints |
//! | [`change`] | subscriptions to the changes of any table |
//! | [`process`] | process managers: events in, commands out |
//! | [`projection`] | read models, and rebuilding them |
//! | [`read_model`] | which tables queries read, also while they are rebuilt |
//! | [`publisher`] | Redpanda and Kafka |
//! | [`schema`] | migrations, and verification of what is deployed |
//! | [`response`] | replies for GraphQL and JSON clients |
//! | [`telemetry`] | the names of metrics |
//! | `cli` | the command lines that a service's own binaries reuse (feature `cli`) |
//! | [`testing`] | helpers for tests |
#![deny(missing_docs)]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

// The derive's output names the crate, in the crate's own tests too.
#[cfg(test)]
extern crate self as messina;

pub mod aggregate;
pub mod change;
#[cfg(feature = "cli")]
pub mod cli;
pub mod command;
pub mod consumer;
pub mod event;
pub mod ids;
pub mod import;
pub mod process;
pub mod projection;
pub mod publisher;
pub mod read_model;
pub mod response;
pub mod schema;
pub mod store;
pub mod telemetry;
pub mod testing;
mod time;

/// What the README shows compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub use aggregate::{Aggregate, CaptureState, Impact, Loaded, SnapshotPolicy};
pub use command::{CommandError, CommandHandler, ConflictPolicy, ConflictRetry, Reply};
pub use event::{
    CorruptEvent, DomainEvent, EventEnvelope, Metadata, Payload, PayloadError, Upcasters,
};
pub use ids::{AggregateId, CausationId, CommitId, CorrelationId, EventId};
pub use messina_macros::DomainEvent;
pub use projection::{Projection, ProjectionError};
pub use schema::{Migration, Schema};
pub use store::{EventStore, StoreError};

/// What `#[derive(DomainEvent)]` expands to needs these; not for use by hand.
#[doc(hidden)]
pub mod __private {
    pub use serde;
    pub use serde_json;
}

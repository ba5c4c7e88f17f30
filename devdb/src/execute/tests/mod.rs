//! Statements against a node without a network: what they return and what they refuse.
mod batches;
mod cdc;
mod clustering;
mod collections;
mod conditions;
mod ddl;
mod node;
mod outbox;
mod paging;
mod prepared;
mod purge;
mod random;
mod system;
mod tablets;
mod timestamps;
mod tokens;

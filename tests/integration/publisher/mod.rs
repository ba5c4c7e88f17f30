//! Publishing to a broker.

mod delivery;
mod envelopes;
mod independent;
mod outage;
mod refusals;
mod slices;
mod transactions;
#[cfg(feature = "webhook")]
mod webhook;

//! The tail: one poller for all groups of a process, close to now. It gives hints and keeps
//! no promise; what it misses the sweep brings.

mod poller;
mod seen;
mod shared;
mod streams;
mod subscription;

pub(crate) use shared::Tail;
pub(crate) use subscription::Subscription;

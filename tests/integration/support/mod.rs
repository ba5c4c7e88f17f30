//! What the tests share.

mod account;
mod database;
mod kafka;
mod quick;
mod wait;

pub use account::{Account, AccountCommand, AccountEvent};
pub use database::TestDb;
pub use kafka::TestKafka;
pub use quick::quick;
pub use wait::until;

//! What the tests share.

mod account;
mod database;
mod faults;
mod feed;
mod kafka;
mod lines;
mod node;
mod proxy;
mod quick;
mod spread;
// As the node's own tests wait.
#[path = "../../../devdb/tests/integration/wait.rs"]
mod wait;

pub use account::{Account, AccountCommand, AccountEvent};
pub use database::TestDb;
pub use faults::{control, error_of, fault, make_trouble, peace, pick};
pub use feed::{feed, histories};
pub use kafka::{TestKafka, assert_in_order, independent_broker};
pub use lines::{micros_now, whole_lines};
pub use node::{again, start_node};
pub use proxy::KafkaProxy;
pub use quick::quick;
pub use spread::spread;
pub use wait::until;

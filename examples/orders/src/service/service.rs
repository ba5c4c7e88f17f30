//! The service as its commands see it: its tables, its groups.

use messina::Migration;
use messina::cli::Service;

use crate::domain::{Order, Payment};
use crate::processes::{SHIP_WHEN_PAID, ShipWhenPaid};
use crate::projections;

/// The read models' tables.
const MIGRATIONS: &[Migration] =
    &[Migration::new(1, "read_models", include_str!("../../cql/0001_read_models.cql"))];

/// The publisher's group.
pub const PUBLISHER: &str = "redpanda_publisher";

/// The orders: three read models, the publisher, and the process that ships what is paid.
pub fn orders() -> Service {
    let service = Service::new("orders")
        .version(env!("CARGO_PKG_VERSION"))
        .migrations(MIGRATIONS)
        .aggregate::<Order>()
        .aggregate::<Payment>();
    projections::all()
        .into_iter()
        .fold(service, |service, projection| service.shared_projection(projection))
        .kafka_publisher(PUBLISHER)
        .handler(SHIP_WHEN_PAID, |context| async move { Ok(ShipWhenPaid::handler(&context.store)) })
}

//! The service as its commands see it: its tables, its groups.

use messina::Migration;
use messina::cli::Service;

use crate::projections;

/// The read models' tables.
const MIGRATIONS: &[Migration] =
    &[Migration::new(1, "read_models", include_str!("../../cql/0001_read_models.cql"))];

/// The publisher's group.
pub const PUBLISHER: &str = "redpanda_publisher";

/// The orders: three read models and the publisher.
pub fn orders() -> Service {
    let service = Service::new("orders").version(env!("CARGO_PKG_VERSION")).migrations(MIGRATIONS);
    projections::all()
        .into_iter()
        .fold(service, |service, projection| service.shared_projection(projection))
        .kafka_publisher(PUBLISHER)
}

//! Group settings for tests.

use std::time::Duration;

use messina::consumer::{GroupSettings, TailSettings};

/// Intervals for tests: the embedded node's clock is ours. A process that gets nothing of a
/// busy machine for seconds neither loses a lease nor rows that are as late.
pub fn quick() -> GroupSettings {
    GroupSettings {
        safety_interval: Duration::from_millis(300),
        sweep_interval: Duration::from_millis(20),
        checkpoint_interval: Duration::from_millis(50),
        retry_delay: (Duration::from_millis(10), Duration::from_millis(100)),
        lease_ttl: Duration::from_secs(15),
        tail: Some(TailSettings {
            wide_overlap: Duration::from_secs(5),
            ..TailSettings::default()
        }),
        drain_timeout: Duration::from_secs(10),
        ..GroupSettings::default()
    }
}

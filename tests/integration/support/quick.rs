//! Group settings for tests.

use std::time::Duration;

use messina::consumer::GroupSettings;

/// Intervals for tests: the embedded node's clock is ours.
pub fn quick() -> GroupSettings {
    GroupSettings {
        safety_interval: Duration::from_millis(300),
        sweep_interval: Duration::from_millis(20),
        checkpoint_interval: Duration::from_millis(50),
        retry_delay: (Duration::from_millis(10), Duration::from_millis(100)),
        lease_ttl: Duration::from_secs(1),
        drain_timeout: Duration::from_secs(10),
        ..GroupSettings::default()
    }
}

//! A subscription's settings, each default with its reason.

use std::time::{Duration, SystemTime};

use crate::change::ChangeError;
use crate::consumer::check_ttl;

/// What becomes of a change that its handler calls poison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum OnPoison {
    /// The subscription stands before it, and goes on there when it is started with what can
    /// handle it. The default: nothing is passed over unseen.
    #[default]
    Halt,
    /// It is logged as an error, counted in
    /// [`SubscriptionStatus::skipped`](crate::change::SubscriptionStatus), and done.
    Skip,
}

/// What to do when the log no longer has what came after the checkpoint: the subscription
/// stood still for longer than the log's `ttl`. No other place has these changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum OnLoss {
    /// [`ChangeError::Lost`]; whoever reads it makes the copy anew. The default: a replica
    /// with a hole looks like a whole one.
    #[default]
    Halt,
    /// Go on with the oldest that is there, after a warning. For caches.
    GoOn,
}

/// How a subscription reads and works.
#[derive(Debug, Clone)]
pub struct ChangeSettings {
    /// How far behind now the log is read. A row of a log becomes visible later than its
    /// time says, by the write's latency and the clocks' difference, and no other table can
    /// tell that one is missing: **what is later than this is never delivered.** 30 s:
    /// scylla-cdc's own default, far above any write timeout. Less is quicker; a cache that
    /// also expires by itself may well take a second.
    pub safety_interval: Duration,
    /// Pause between two reads of a stream. 1 s: a read asks for a vnode's streams in one
    /// query.
    pub sleep_interval: Duration,
    /// Longest stretch of the log read in one go when catching up. 10 min: rows come page by
    /// page whatever it is; a pause follows each.
    pub window: Duration,
    /// How many partitions are worked on at once. 64: enough to hide a database's latency.
    pub lanes: usize,
    /// Changes waiting per lane before reading pauses. 64.
    pub queue: usize,
    /// How often progress is stored. 1 s: what a crash makes a subscription handle again.
    pub checkpoint_interval: Duration,
    /// How long the lease lives without being renewed, under which one process at a time runs
    /// the subscription. 6 s: when that process dies, another takes over a little later. A
    /// process that cannot renew it for two thirds of this breaks off its work, so it should
    /// outlast a database's hiccups.
    pub lease_ttl: Duration,
    /// First and longest delay between attempts of a change. 50 ms, 10 s.
    pub retry_delay: (Duration, Duration),
    /// How long a stopping subscription may take to finish what it has begun. 30 s.
    pub drain_timeout: Duration,
    /// Where a subscription that has no progress yet begins; `None`: with the oldest entries
    /// of each log, but for those that are gone within a 24th of its `ttl`.
    pub start_from: Option<SystemTime>,
    /// See [`OnPoison`].
    pub on_poison: OnPoison,
    /// See [`OnLoss`].
    pub on_loss: OnLoss,
}

impl Default for ChangeSettings {
    fn default() -> Self {
        Self {
            safety_interval: Duration::from_secs(30),
            sleep_interval: Duration::from_secs(1),
            window: Duration::from_secs(600),
            lanes: 64,
            queue: 64,
            checkpoint_interval: Duration::from_secs(1),
            lease_ttl: Duration::from_secs(6),
            retry_delay: (Duration::from_millis(50), Duration::from_secs(10)),
            drain_timeout: Duration::from_secs(30),
            start_from: None,
            on_poison: OnPoison::Halt,
            on_loss: OnLoss::Halt,
        }
    }
}

impl ChangeSettings {
    /// # Errors
    /// [`ChangeError::Settings`] names the first setting that cannot work.
    pub(crate) fn validate(&self) -> Result<(), ChangeError> {
        let positive = [
            ("lanes", self.lanes > 0),
            ("queue", self.queue > 0),
            ("sleep_interval", !self.sleep_interval.is_zero()),
            ("window", self.window >= Duration::from_millis(1)),
            ("checkpoint_interval", !self.checkpoint_interval.is_zero()),
            ("retry_delay", !self.retry_delay.0.is_zero()),
        ];
        check_ttl(self.lease_ttl).map_err(ChangeError::Settings)?;
        match positive.iter().find(|(_, valid)| !valid) {
            Some((name, _)) => Err(ChangeError::Settings(format!("{name} must be above 0"))),
            None => Ok(()),
        }
    }
}

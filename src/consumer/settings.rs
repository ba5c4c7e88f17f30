//! A group's settings, each default with its reason.

use std::time::{Duration, SystemTime};

use crate::consumer::GroupError;

/// How a group reads and works.
#[derive(Debug, Clone)]
pub struct GroupSettings {
    /// How far behind now the log is read. A row becomes visible later than its time says,
    /// by the write's latency and the clocks' difference; what is later than this is lost
    /// to the reader (and found only when the aggregate's next event shows the gap). 30 s:
    /// scylla-cdc's own default, far above any write timeout.
    pub safety_interval: Duration,
    /// Pause between two reads of a stream. 1 s; a tenth of scylla-cdc's default, since each
    /// group's readers ask for some hundred streams in one query.
    pub sleep_interval: Duration,
    /// Longest stretch of the log read in one go when catching up. 1 h: a pause follows
    /// each, so that a day's backlog costs 24 of them.
    pub window: Duration,
    /// How many aggregates are worked on at once. 64: enough to hide a database's latency.
    pub lanes: usize,
    /// Events waiting per lane before reading pauses. 64.
    pub queue: usize,
    /// Events per lane that may be on their way ([`Handled::Pending`](crate::consumer::Handled))
    /// before it waits. 1024: thousands in flight for a broker, bounded.
    pub pending: usize,
    /// How often progress is stored. 1 s: what a crash makes a group handle again.
    pub checkpoint_interval: Duration,
    /// First and longest delay between attempts of an event. 50 ms, 10 s.
    pub retry_delay: (Duration, Duration),
    /// How long a stopping group may take to finish what it has begun. 30 s.
    pub drain_timeout: Duration,
    /// Where a group that has no progress yet begins; `None`: with the oldest entry of the
    /// log, which is at most its TTL (24 h) old.
    pub start_from: Option<SystemTime>,
}

impl Default for GroupSettings {
    fn default() -> Self {
        Self {
            safety_interval: Duration::from_secs(30),
            sleep_interval: Duration::from_secs(1),
            window: Duration::from_secs(3600),
            lanes: 64,
            queue: 64,
            pending: 1024,
            checkpoint_interval: Duration::from_secs(1),
            retry_delay: (Duration::from_millis(50), Duration::from_secs(10)),
            drain_timeout: Duration::from_secs(30),
            start_from: None,
        }
    }
}

impl GroupSettings {
    /// # Errors
    /// [`GroupError::Settings`] names the first setting that cannot work.
    pub(crate) fn validate(&self) -> Result<(), GroupError> {
        let positive = [
            ("lanes", self.lanes > 0),
            ("queue", self.queue > 0),
            ("pending", self.pending > 0),
            ("sleep_interval", !self.sleep_interval.is_zero()),
            ("window", self.window >= Duration::from_millis(1)),
            ("checkpoint_interval", !self.checkpoint_interval.is_zero()),
            ("retry_delay", !self.retry_delay.0.is_zero()),
        ];
        match positive.iter().find(|(_, valid)| !valid) {
            Some((name, _)) => Err(GroupError::Settings(format!("{name} must be above 0"))),
            None => Ok(()),
        }
    }
}

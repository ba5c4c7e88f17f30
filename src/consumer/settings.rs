//! A group's settings, each default with its reason.

use std::time::{Duration, SystemTime};

use crate::consumer::GroupError;
use crate::consumer::lease::check_ttl;
use crate::consumer::progress::Millis;

/// How a group reads and works.
#[derive(Debug, Clone)]
pub struct GroupSettings {
    /// How far behind now the sweep reads the log, which alone moves the checkpoint. A row
    /// becomes visible later than its time says, by the write's latency and the clocks'
    /// difference; what is later than this is found only when the aggregate's next event
    /// shows the gap. 30 s: scylla-cdc's own default, far above any write timeout. It delays
    /// nothing but checkpoints and what the tail misses.
    pub safety_interval: Duration,
    /// Pause between two sweeps of a stream. 5 s: what the tail misses comes that much later
    /// at most, and a group costs one query per vnode each time; scylla-cdc's default of 10 s
    /// halves both the cost and the promptness.
    pub sweep_interval: Duration,
    /// How events get to the group within milliseconds; `None`: they come by the sweep
    /// alone, a safety interval late, and an idle group costs less.
    pub tail: Option<TailSettings>,
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
    /// Into how many slices a new group's aggregates are divided, so that several runners
    /// share it; `None`: as the group was divided, 1 if it is new. A group that was divided
    /// otherwise refuses to start; see
    /// [`GroupControl::set_slices`](crate::consumer::GroupControl::set_slices).
    pub slices: Option<u16>,
    /// How long a runner's lease lives without being renewed. 6 s: when a runner dies, another
    /// takes over a little later. A runner that cannot renew its lease for two thirds of this
    /// breaks off its work, so it should outlast a database's hiccups.
    pub lease_ttl: Duration,
    /// What becomes of an event that will not work ([`HandlerError::Poison`] or a panic).
    ///
    /// [`HandlerError::Poison`]: crate::consumer::HandlerError::Poison
    pub poison: PoisonPolicy,
    /// How often an event is tried before it counts as one that will not work. 3: what looks
    /// like the event's fault is now and then a race that the next attempt does not meet.
    pub poison_attempts: u32,
    /// Aggregates of a slice that may be parked at once; with one more the group halts.
    /// 10 000: when so many fail, it is the handler, and to put everything aside helps nobody.
    pub max_parked: usize,
    /// First and longest delay between attempts of an event. 50 ms, 10 s.
    pub retry_delay: (Duration, Duration),
    /// How long a stopping group may take to finish what it has begun. 30 s.
    pub drain_timeout: Duration,
    /// Where a group that has no progress yet begins. [`StartFrom::Beginning`].
    pub start_from: StartFrom,
}

/// What becomes of an event that was tried as often as the settings allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PoisonPolicy {
    /// It goes to the dead letters, and the aggregate's later events follow it there, in
    /// order, until the letters are retried or discarded. Other aggregates go on. The
    /// default: no order is broken, and nobody else waits.
    #[default]
    ParkAggregate,
    /// It goes to the dead letters, and the aggregate's later events are handled. For
    /// handlers to which an event more or less makes no difference to the next.
    SkipEvent,
    /// The group halts before it. For handlers that must not miss anything.
    HaltGroup,
}

impl Default for GroupSettings {
    fn default() -> Self {
        Self {
            safety_interval: Duration::from_secs(30),
            sweep_interval: Duration::from_secs(5),
            tail: Some(TailSettings::default()),
            window: Duration::from_secs(3600),
            lanes: 64,
            queue: 64,
            pending: 1024,
            checkpoint_interval: Duration::from_secs(1),
            slices: None,
            lease_ttl: Duration::from_secs(6),
            poison: PoisonPolicy::ParkAggregate,
            poison_attempts: 3,
            max_parked: 10_000,
            retry_delay: (Duration::from_millis(50), Duration::from_secs(10)),
            drain_timeout: Duration::from_secs(30),
            start_from: StartFrom::default(),
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
            ("sweep_interval", !self.sweep_interval.is_zero()),
            ("window", self.window >= Duration::from_millis(1)),
            ("checkpoint_interval", !self.checkpoint_interval.is_zero()),
            ("poison_attempts", self.poison_attempts > 0),
            ("slices", self.slices != Some(0)),
            ("retry_delay", !self.retry_delay.0.is_zero()),
        ];
        check_ttl(self.lease_ttl).map_err(GroupError::Settings)?;
        match positive.iter().find(|(_, valid)| !valid) {
            Some((name, _)) => Err(GroupError::Settings(format!("{name} must be above 0"))),
            None => self.tail.as_ref().map_or(Ok(()), TailSettings::validate),
        }
    }
}

/// How the end of the log is polled. The groups of a process that have the same session,
/// keyspace and settings share one poller, which costs *streams / 100 / sleep interval*
/// queries a second, whatever the number of groups: 40 for a hundred streams.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TailSettings {
    /// From one poll to the next. 25 ms: half of it is what an event waits on average; less
    /// costs more queries.
    pub sleep_interval: Duration,
    /// The same while nothing happens. 100 ms: the first event after a pause waits so long
    /// at most, and an idle log costs a quarter of the queries.
    pub idle_interval: Duration,
    /// How much of the log each poll reads again. 50 ms: rows become visible that late when
    /// writes are quick and clocks agree.
    pub overlap: Duration,
    /// The same for some polls, before the last such poll. 1 s: a slow write, clocks some
    /// hundred milliseconds apart. What is later still comes by the sweep.
    pub wide_overlap: Duration,
    /// Which polls read the wide overlap: every tenth, so that a row which is late by less
    /// comes ten polls later at most, and rows are read but twice or thrice. A poll after one
    /// that found nothing does in any case: there is little to read again.
    pub wide_every: u32,
}

impl Default for TailSettings {
    fn default() -> Self {
        Self {
            sleep_interval: Duration::from_millis(25),
            idle_interval: Duration::from_millis(100),
            overlap: Duration::from_millis(50),
            wide_overlap: Duration::from_secs(1),
            wide_every: 10,
        }
    }
}

impl TailSettings {
    fn validate(&self) -> Result<(), GroupError> {
        let invalid = |text: &str| Err(GroupError::Settings(text.to_owned()));
        if self.sleep_interval < Duration::from_millis(1) {
            return invalid("tail.sleep_interval must be at least 1 ms");
        }
        if self.idle_interval < self.sleep_interval {
            return invalid("tail.idle_interval must not be below tail.sleep_interval");
        }
        if self.wide_overlap < self.overlap || self.wide_overlap > Duration::from_secs(60) {
            return invalid("tail.wide_overlap must be between tail.overlap and 60 s");
        }
        if self.wide_every == 0 {
            return invalid("tail.wide_every must be above 0");
        }
        Ok(())
    }
}

/// Where a group that has no progress yet begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StartFrom {
    /// With the first event there is: `event_store` is replayed, then the log is followed.
    /// The default, since a read model without its past is wrong, and an event too many is
    /// seen at once.
    #[default]
    Beginning,
    /// With the events that are written from now on: those with this moment's time or a
    /// later one, by the writers' clocks.
    Now,
    /// With the events that were written at this time and later: from the log if it goes
    /// back so far (its TTL is 24 h), from `event_store` otherwise.
    Time(SystemTime),
}

/// In the log's unit.
pub(crate) fn millis(duration: Duration) -> Millis {
    Millis::try_from(duration.as_millis()).unwrap_or(Millis::MAX)
}

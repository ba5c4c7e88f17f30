//! What was measured.

use hdrhistogram::Histogram;
use serde::Serialize;

/// All figures of a run.
#[derive(Debug, Serialize)]
pub(super) struct Figures {
    pub(super) server: String,
    pub(super) groups: u8,
    pub(super) idle: Option<Idle>,
    pub(super) load: Load,
    pub(super) catching_up: Option<CaughtUp>,
    /// The same by replaying `event_store`.
    pub(super) replaying: Option<CaughtUp>,
}

/// Groups with nothing to do.
#[derive(Debug, Serialize)]
pub(super) struct Idle {
    pub(super) seconds: f64,
    /// Cores in use on average: 0.1 is a tenth of one.
    pub(super) cores: Option<f64>,
    pub(super) resident_mb: Option<f64>,
    pub(super) node_cores: Option<f64>,
}

/// Groups that follow appends.
#[derive(Debug, Serialize)]
pub(super) struct Load {
    pub(super) rate: u32,
    pub(super) appended: u64,
    pub(super) appended_per_second: f64,
    pub(super) append: Quantiles,
    pub(super) cores: Option<f64>,
    pub(super) resident_mb: Option<f64>,
    pub(super) node_cores: Option<f64>,
    pub(super) by_group: Vec<Group>,
}

/// One group.
#[derive(Debug, Serialize)]
pub(super) struct Group {
    pub(super) handled: u64,
    pub(super) lost: u64,
    /// Delivered by the sweep, having been missed by the tail.
    pub(super) late: u64,
    pub(super) repaired: u64,
    pub(super) hints_lost: u64,
    /// From the acknowledged append to the handler's call.
    pub(super) latency: Quantiles,
}

/// In milliseconds.
#[derive(Debug, Serialize)]
pub(super) struct Quantiles {
    pub(super) p50: f64,
    pub(super) p90: f64,
    pub(super) p99: f64,
    pub(super) p999: f64,
    pub(super) max: f64,
}

impl From<&Histogram<u64>> for Quantiles {
    fn from(micros: &Histogram<u64>) -> Self {
        let at = |quantile| micros.value_at_quantile(quantile) as f64 / 1000.0;
        Self {
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: micros.max() as f64 / 1000.0,
        }
    }
}

/// A group that began with a backlog.
#[derive(Debug, Serialize)]
pub(super) struct CaughtUp {
    pub(super) events: u64,
    pub(super) missing: u64,
    pub(super) seconds: f64,
    pub(super) events_per_second: f64,
    pub(super) repaired: u64,
}

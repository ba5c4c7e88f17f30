//! What benchmarks share: an aggregate, the processor's clock, settings.

use std::time::Duration;

use messina::{Aggregate, DomainEvent};
use serde::{Deserialize, Serialize};

pub const NOTE: &str = "a note of a length that notes have, for the sake of a payload of some size";

#[derive(Debug, Clone, DomainEvent)]
pub enum TallyEvent {
    #[event(name = "PointsAdded")]
    Added { points: i64, total: i64, note: String },
}

pub struct Add;

#[derive(Debug, thiserror::Error)]
#[error("never")]
pub struct Never;

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Tally {
    pub total: i64,
    pub additions: i64,
}

impl Aggregate for Tally {
    const TYPE: &'static str = "Tally";
    type Command = Add;
    type Event = TallyEvent;
    type Error = Never;

    fn handle(&self, _: &Add) -> Result<Vec<TallyEvent>, Never> {
        let total = self.total + 7;
        Ok(vec![TallyEvent::Added { points: 7, total, note: NOTE.to_owned() }])
    }

    fn apply(&mut self, TallyEvent::Added { total, .. }: &TallyEvent) {
        self.total = *total;
        self.additions += 1;
    }
}

/// Processor time of this process: hundredths of a second in fields 14 and 15 of
/// proc_pid_stat(5), counted behind the name.
pub fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let ticks = fields.split_whitespace().skip(11).take(2);
    Duration::from_millis(10 * ticks.filter_map(|field| field.parse::<u64>().ok()).sum::<u64>())
}

pub fn median(mut of: Vec<f64>) -> f64 {
    of.sort_by(f64::total_cmp);
    of[of.len() / 2]
}

pub fn setting(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

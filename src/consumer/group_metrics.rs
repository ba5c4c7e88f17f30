//! A group's metrics: what its status says, for the `metrics` facade.

use std::collections::BTreeMap;
use std::time::Duration;

use metrics::{counter, gauge};

use crate::consumer::slice::Slice;
use crate::consumer::status::{GroupState, GroupStatus};
use crate::telemetry;
use crate::time::now_micros;

/// What was published of a group. Figures of slices are added to the facade's counters as
/// differences, so that a group that is started again in its process, or twice in one, only
/// ever counts on.
#[derive(Debug, Default)]
pub(crate) struct GroupMetrics {
    slices: BTreeMap<Slice, Published>,
}

#[derive(Debug, Default)]
struct Published {
    counted: [u64; COUNTED],
    watermark: Option<i64>,
    /// Another runner has the slice, or it is no more: its lag is not ours to tell.
    elsewhere: bool,
}

const COUNTED: usize = 8;

/// The counters' names, each with its figure.
fn counted(status: &GroupStatus) -> [(&'static str, u64); COUNTED] {
    [
        (telemetry::GROUP_HANDLED, status.handled),
        (telemetry::GROUP_RETRIES, status.retries),
        (telemetry::GROUP_DEAD_LETTERS, status.dead_letters),
        (telemetry::GROUP_LETTERS_RETRIED, status.letters_retried),
        (telemetry::GROUP_REPAIRED, status.repaired),
        (telemetry::GROUP_LATE, status.late),
        (telemetry::GROUP_DUPLICATES, status.duplicates),
        (telemetry::GROUP_HINTS_LOST, status.hints_lost),
    ]
}

impl GroupMetrics {
    /// Another runner has been seen with the slice, or the group is divided otherwise now.
    pub(crate) fn is_elsewhere(&mut self, slice: Slice) {
        if let Some(published) = self.slices.get_mut(&slice) {
            published.elsewhere = true;
        }
    }

    /// Publishes how a slice is doing that runs here (`held`), or did. What nobody is seen to
    /// run falls further behind from where it stood.
    pub(crate) fn publish(&mut self, slice: Slice, status: &GroupStatus, held: bool) {
        let published = self.slices.entry(slice).or_default();
        let labels = [("group", status.name.clone()), ("slice", slice.to_string())];
        for ((name, now), before) in counted(status).into_iter().zip(&mut published.counted) {
            counter!(name, &labels).increment(now.saturating_sub(*before));
            *before = now.max(*before);
        }
        counter!(telemetry::GROUP_LEASES_LOST, &labels).increment(0);
        if held {
            published.elsewhere = false;
        }
        published.watermark = match published.elsewhere {
            true => None,
            false => status.watermark.or(published.watermark),
        };
        let behind = published.watermark.map(|watermark| now_micros().saturating_sub(watermark));
        let lag = Duration::from_micros(behind.unwrap_or(0).max(0).unsigned_abs());
        let parked = if published.elsewhere { 0 } else { status.parked };
        let in_flight = if held { status.in_flight } else { 0 };
        let replaying = held && status.state == GroupState::Replaying;
        let truth = |is: bool| if is { 1.0 } else { 0.0 };
        for (name, value) in [
            (telemetry::GROUP_LAG_SECONDS, lag.as_secs_f64()),
            (telemetry::GROUP_IN_FLIGHT, in_flight as f64),
            (telemetry::GROUP_PARKED, parked as f64),
            (telemetry::GROUP_LEASE_HELD, truth(held)),
            (telemetry::GROUP_REPLAYING, truth(replaying)),
            (telemetry::GROUP_FOLLOWING, truth(held && status.following)),
        ] {
            gauge!(name, &labels).set(value);
        }
    }
}

/// Publishes whether the group stands before something that a new beginning would meet again.
pub(crate) fn publish_halted(group: &str, halted: bool) {
    let value = if halted { 1.0 } else { 0.0 };
    gauge!(telemetry::GROUP_HALTED, "group" => group.to_owned()).set(value);
}

/// Counts a lease that was lost, and not given back.
pub(crate) fn count_lost_lease(group: &str, slice: Slice) {
    let labels = [("group", group.to_owned()), ("slice", slice.to_string())];
    counter!(telemetry::GROUP_LEASES_LOST, &labels).increment(1);
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use metrics_util::debugging::{DebugValue, DebuggingRecorder};

    use super::*;
    use crate::consumer::status::Counters;

    /// The metrics of the slice 0/1. A snapshot takes the values away: each tells what came
    /// since the last.
    fn published(recorder: &DebuggingRecorder) -> HashMap<String, f64> {
        let metrics = recorder.snapshotter().snapshot().into_vec();
        let of_slice = metrics.into_iter().filter(|(key, ..)| {
            let labels: Vec<_> = key.key().labels().map(|l| (l.key(), l.value())).collect();
            labels == [("group", "g"), ("slice", "0/1")]
        });
        of_slice
            .map(|(key, .., value)| match value {
                DebugValue::Gauge(value) => (key.key().name().to_owned(), value.into_inner()),
                DebugValue::Counter(value) => (key.key().name().to_owned(), value as f64),
                other => panic!("{key:?}: {other:?}"),
            })
            .collect()
    }

    #[test]
    fn counters_go_on_when_a_group_begins_anew() {
        let recorder = DebuggingRecorder::new();
        metrics::with_local_recorder(&recorder, || {
            for total in [3, 5] {
                let counters = Counters::default();
                let mut metrics = GroupMetrics::default();
                Counters::add(&counters.handled, total);
                metrics.publish(Slice::WHOLE, &counters.status("g", 0, None), true);
                assert_eq!(published(&recorder)[telemetry::GROUP_HANDLED], total as f64);
                Counters::add(&counters.handled, 2);
                metrics.publish(Slice::WHOLE, &counters.status("g", 0, None), true);
                assert_eq!(published(&recorder)[telemetry::GROUP_HANDLED], 2.0);
            }
        });
    }

    #[test]
    fn the_lag_of_a_slice_that_nobody_runs_grows_and_that_of_one_that_moved_is_not_ours() {
        let recorder = DebuggingRecorder::new();
        let counters = Counters::default();
        let mut metrics = GroupMetrics::default();
        let watermark = Some(now_micros() - 60_000_000);
        metrics::with_local_recorder(&recorder, || {
            metrics.publish(Slice::WHOLE, &counters.status("g", 7, watermark), true);
            let ours = published(&recorder);
            assert!(ours[telemetry::GROUP_LAG_SECONDS] >= 60.0);
            assert_eq!(ours[telemetry::GROUP_IN_FLIGHT], 7.0);
            assert_eq!(ours[telemetry::GROUP_LEASE_HELD], 1.0);
            metrics.publish(Slice::WHOLE, &counters.status("g", 0, None), false);
            let nobodys = published(&recorder);
            assert!(nobodys[telemetry::GROUP_LAG_SECONDS] >= 60.0);
            assert_eq!(nobodys[telemetry::GROUP_LEASE_HELD], 0.0);
            metrics.is_elsewhere(Slice::WHOLE);
            for _ in 0..2 {
                metrics.publish(Slice::WHOLE, &counters.status("g", 0, None), false);
                assert_eq!(published(&recorder)[telemetry::GROUP_LAG_SECONDS], 0.0);
            }
            metrics.publish(Slice::WHOLE, &counters.status("g", 0, watermark), true);
            assert!(published(&recorder)[telemetry::GROUP_LAG_SECONDS] >= 60.0);
        });
    }
}

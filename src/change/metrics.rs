//! A subscription's metrics: what its status says, for the `metrics` facade.

use metrics::{counter, gauge};

use crate::change::status::SubscriptionStatus;
use crate::consumer::GroupState;
use crate::telemetry;
use crate::time::now_micros;

/// What was published of a subscription. A process that only ever stood by publishes nothing:
/// whoever runs it does.
#[derive(Debug, Default)]
pub(crate) struct SubscriptionMetrics {
    ran: bool,
    counted: [u64; COUNTED],
    watermark: Option<i64>,
}

const COUNTED: usize = 4;

impl SubscriptionMetrics {
    /// Publishes how the subscription is doing. Figures are added to the facade's counters as
    /// differences, so that one that is started again in its process only ever counts on.
    pub(crate) fn publish(&mut self, status: &SubscriptionStatus) {
        let held = status.state == GroupState::Running;
        self.ran |= held;
        if !self.ran {
            return;
        }
        let labels = [("subscription", status.name.clone())];
        let figures = [
            (telemetry::SUBSCRIPTION_HANDLED, status.handled),
            (telemetry::SUBSCRIPTION_FILTERED, status.filtered),
            (telemetry::SUBSCRIPTION_RETRIES, status.retries),
            (telemetry::SUBSCRIPTION_SKIPPED, status.skipped),
        ];
        for ((name, now), before) in figures.into_iter().zip(&mut self.counted) {
            counter!(name, &labels).increment(now.saturating_sub(*before));
            *before = now;
        }
        counter!(telemetry::SUBSCRIPTION_LEASES_LOST, &labels).increment(0);
        // What runs elsewhere is behind by what its process says.
        self.watermark = match status.state {
            GroupState::Standby => None,
            _ => status.watermark.or(self.watermark),
        };
        let behind = self.watermark.map_or(0, |watermark| now_micros() - watermark).max(0);
        let truth = |is: bool| if is { 1.0 } else { 0.0 };
        let halted = matches!(status.state, GroupState::Halted { .. });
        for (name, value) in [
            (telemetry::SUBSCRIPTION_LAG_SECONDS, behind as f64 / 1e6),
            (telemetry::SUBSCRIPTION_IN_FLIGHT, if held { status.in_flight as f64 } else { 0.0 }),
            (telemetry::SUBSCRIPTION_LEASE_HELD, truth(held)),
            (telemetry::SUBSCRIPTION_HALTED, truth(halted)),
        ] {
            gauge!(name, &labels).set(value);
        }
    }
}

/// Counts a lease that was lost, and not given back.
pub(crate) fn count_lost_lease(subscription: &str) {
    let labels = [("subscription", subscription.to_owned())];
    counter!(telemetry::SUBSCRIPTION_LEASES_LOST, &labels).increment(1);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use metrics_util::debugging::{DebugValue, DebuggingRecorder};

    use super::*;
    use crate::change::status::Counters;

    /// Counters since the last call, gauges as they are.
    fn published(recorder: &DebuggingRecorder) -> BTreeMap<String, f64> {
        let metrics = recorder.snapshotter().snapshot().into_vec();
        let value = |value| match value {
            DebugValue::Gauge(value) => value.into_inner(),
            DebugValue::Counter(value) => value as f64,
            other => panic!("{other:?}"),
        };
        metrics.into_iter().map(|(key, .., v)| (key.key().name().to_owned(), value(v))).collect()
    }

    #[test]
    fn who_runs_a_subscription_says_how_it_is_doing_and_who_stands_by_says_nothing() {
        let recorder = DebuggingRecorder::new();
        let (counters, mut metrics) = (Counters::default(), SubscriptionMetrics::default());
        let watermark = Some(now_micros() - 60_000_000);
        metrics::with_local_recorder(&recorder, || {
            counters.set_state(GroupState::Standby);
            metrics.publish(&counters.status("s", 0, None));
            assert_eq!(published(&recorder), BTreeMap::new());
            counters.set_state(GroupState::Running);
            Counters::add(&counters.handled);
            metrics.publish(&counters.status("s", 7, watermark));
            let ours = published(&recorder);
            assert_eq!(ours[telemetry::SUBSCRIPTION_HANDLED], 1.0);
            assert_eq!(ours[telemetry::SUBSCRIPTION_IN_FLIGHT], 7.0);
            assert_eq!(ours[telemetry::SUBSCRIPTION_LEASE_HELD], 1.0);
            assert!(ours[telemetry::SUBSCRIPTION_LAG_SECONDS] >= 60.0);
            // It begins again: what was done before does not count twice, and it is as late.
            counters.set_state(GroupState::Restarting { reason: "away".to_owned() });
            metrics.publish(&counters.status("s", 7, None));
            let nobodys = published(&recorder);
            assert_eq!(nobodys[telemetry::SUBSCRIPTION_HANDLED], 0.0);
            assert_eq!(nobodys[telemetry::SUBSCRIPTION_LEASE_HELD], 0.0);
            assert!(nobodys[telemetry::SUBSCRIPTION_LAG_SECONDS] >= 60.0);
            count_lost_lease("s");
            counters.set_state(GroupState::Standby);
            metrics.publish(&counters.status("s", 0, None));
            let anothers = published(&recorder);
            assert_eq!(anothers[telemetry::SUBSCRIPTION_LEASES_LOST], 1.0);
            assert_eq!(anothers[telemetry::SUBSCRIPTION_LAG_SECONDS], 0.0);
            counters.set_state(GroupState::Halted { reason: "poison".to_owned() });
            metrics.publish(&counters.status("s", 0, None));
            assert_eq!(published(&recorder)[telemetry::SUBSCRIPTION_HALTED], 1.0);
        });
    }
}

//! Metrics of groups, as the table in operations lists them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use messina::consumer::GroupState;
use messina::telemetry;
use metrics_util::debugging::{DebugValue, DebuggingRecorder};

use super::recorder::{Recorder, Seen, events, fill, group};
use crate::support::{TestDb, until};

const OPERATIONS: &str = include_str!("../../../docs/operations.md");

/// The metrics that the table lists.
fn documented() -> BTreeSet<&'static str> {
    let rows = OPERATIONS.lines().filter_map(|line| line.strip_prefix("| `messina_"));
    rows.filter_map(|row| row.split('`').next()).collect()
}

/// Values by name without the prefix, of what has the group's label: counters since the
/// last call, gauges as they are.
fn values(recorder: &DebuggingRecorder, group: &str) -> BTreeMap<String, f64> {
    let metrics = recorder.snapshotter().snapshot().into_vec();
    let labelled = metrics.into_iter().filter(|(key, ..)| {
        key.key().labels().any(|label| label.key() == "group" && label.value() == group)
    });
    labelled
        .map(|(key, _, _, value)| {
            let name = key.key().name().strip_prefix("messina_").unwrap().to_owned();
            match value {
                DebugValue::Counter(value) => (name, value as f64),
                DebugValue::Gauge(value) => (name, value.into_inner()),
                DebugValue::Histogram(_) => panic!("{name} is a histogram"),
            }
        })
        .collect()
}

// One thread, so that the recorder of this test is nobody else's.
#[tokio::test]
async fn a_group_publishes_the_documented_metrics() {
    let recorder = DebuggingRecorder::new();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let db = TestDb::start().await;
    let store = db.store().await;
    let seen: Arc<Seen> = Arc::default();
    seen.away.store(true, Ordering::Relaxed);
    let running = group(&store, "measured", Recorder(Arc::clone(&seen))).start().await.unwrap();
    let versions = fill(&store, 3, 4).await;
    let mut counted: BTreeMap<String, f64> = BTreeMap::new();
    let mut gauges: BTreeMap<String, f64> = BTreeMap::new();
    let mut look = || {
        for (name, value) in values(&recorder, "measured") {
            if name.ends_with("_total") {
                *counted.entry(name).or_default() += value;
            } else {
                gauges.insert(name, value);
            }
        }
        (counted.clone(), gauges.clone())
    };
    let is = |of: &BTreeMap<String, f64>, name: &str, wanted: &dyn Fn(f64) -> bool| {
        of.get(name.strip_prefix("messina_").unwrap()).is_some_and(|value| wanted(*value))
    };
    until("events wait, and that shows", || {
        let (counted, gauges) = look();
        let shows = is(&counted, telemetry::GROUP_RETRIES, &|n| n > 0.0)
            && is(&gauges, telemetry::GROUP_IN_FLIGHT, &|n| n > 0.0)
            && is(&gauges, telemetry::GROUP_LEASE_HELD, &|held| held == 1.0);
        async move { shows }
    })
    .await;
    seen.away.store(false, Ordering::Relaxed);
    until("they are handled, and that shows", || {
        let (counted, gauges) = look();
        let all = events(&versions) as f64;
        let shows = is(&counted, telemetry::GROUP_HANDLED, &|n| n == all)
            && is(&gauges, telemetry::GROUP_IN_FLIGHT, &|n| n == 0.0)
            && is(&gauges, telemetry::GROUP_LAG_SECONDS, &|lag| lag > 0.0 && lag < 60.0);
        async move { shows }
    })
    .await;
    assert_eq!(running.stop().await.unwrap().state, GroupState::Stopped);
    let (counted, gauges) = look();
    assert!(is(&gauges, telemetry::GROUP_LEASE_HELD, &|held| held == 0.0), "{gauges:?}");
    assert!(is(&gauges, telemetry::GROUP_HALTED, &|halted| halted == 0.0), "{gauges:?}");
    assert!(is(&counted, telemetry::GROUP_LEASES_LOST, &|lost| lost == 0.0), "{counted:?}");
    let emitted: BTreeSet<&str> = counted.keys().chain(gauges.keys()).map(String::as_str).collect();
    let listed: BTreeSet<&str> =
        documented().into_iter().filter(|name| name.starts_with("group_")).collect();
    assert_eq!(emitted, listed, "emitted, and listed in docs/operations.md");
}

#[test]
fn operations_lists_every_metric() {
    let source = include_str!("../../../src/telemetry.rs");
    let names: BTreeSet<&str> = source
        .lines()
        .filter(|line| line.starts_with("pub const"))
        .filter_map(|line| line.split("\"messina_").nth(1)?.split('"').next())
        .collect();
    assert_eq!(documented(), names);
}

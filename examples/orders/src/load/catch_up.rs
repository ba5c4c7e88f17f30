//! A group that begins with a backlog.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use messina::EventStore;
use messina::consumer::{ConsumerGroup, GroupSettings, StartFrom};
use uuid::Uuid;

use super::figures::CaughtUp;
use super::follow::Counting;
use crate::service::ServiceError;

/// Lets a new group handle the `events` there are, from `start` on.
pub(super) async fn measure(
    store: &EventStore,
    settings: &GroupSettings,
    start: StartFrom,
    events: u64,
    patience: Duration,
) -> Result<CaughtUp, ServiceError> {
    let handled = Arc::new(AtomicU64::new(0));
    let name = format!("load_{}_catching_up", Uuid::new_v4().simple());
    let group = ConsumerGroup::builder(store.clone(), name, Counting(Arc::clone(&handled)))
        .settings(settings.clone())
        .start_from(start);
    let began = Instant::now();
    let mut group = group.start().await?;
    // What starting costs is not what is asked for.
    let (mut first, mut last) = (None, (0, Instant::now()));
    loop {
        let now = handled.load(Ordering::Relaxed);
        if now > 0 {
            first.get_or_insert_with(Instant::now);
        }
        if now > last.0 {
            last = (now, Instant::now());
        }
        if now >= events || last.1.elapsed() > patience {
            break;
        }
        let pause = Duration::from_millis(1);
        if let Ok(ended) = tokio::time::timeout(pause, group.finished()).await {
            ended?;
        }
    }
    let elapsed = last.1 - first.unwrap_or(began);
    let status = group.stop().await?;
    Ok(CaughtUp {
        events: last.0,
        missing: events.saturating_sub(last.0),
        seconds: elapsed.as_secs_f64(),
        events_per_second: last.0 as f64 / elapsed.as_secs_f64().max(0.001),
        repaired: status.repaired,
    })
}

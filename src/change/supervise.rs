//! A subscription in one process: under its lease, again and again where that may help.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::change::error::ChangeError;
use crate::change::lease::Standby;
use crate::change::metrics::{SubscriptionMetrics, count_lost_lease};
use crate::change::run::SubscriptionContext;
use crate::consumer::{GroupState, Restarts};

/// How often a subscription says how it is doing.
const SAY: Duration = Duration::from_secs(1);

/// Runs the subscription, and says how it is doing.
pub(crate) async fn run(
    context: Arc<SubscriptionContext>,
    standby: Standby,
    stop: CancellationToken,
) -> Result<(), ChangeError> {
    let mut metrics = SubscriptionMetrics::default();
    let mut say = interval(SAY);
    say.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut supervised = pin!(supervise(&context, standby, stop));
    let result = loop {
        tokio::select! {
            result = &mut supervised => break result,
            _ = say.tick() => metrics.publish(&context.status()),
        }
    };
    metrics.publish(&context.status());
    result
}

/// Runs the subscription, again and again where that may help.
async fn supervise(
    context: &SubscriptionContext,
    mut standby: Standby,
    stop: CancellationToken,
) -> Result<(), ChangeError> {
    let mut restarts = Restarts::new();
    loop {
        let Some(lease) = standby.lease(context, &stop).await else {
            context.counters.set_state(GroupState::Stopped);
            return Ok(());
        };
        context.counters.set_state(GroupState::Running);
        let began = Instant::now();
        let keeper = {
            let lease = lease.clone();
            AbortOnDropHandle::new(tokio::spawn(async move { lease.keep().await }))
        };
        let result = context.run(&lease, &stop).await;
        drop(keeper);
        let held = lease.fence.is_valid();
        if !held {
            count_lost_lease(&context.name);
        } else if let Err(error) = lease.release().await {
            tracing::warn!(
                subscription = %context.name, %error, "the lease is not given back; it will lapse"
            );
        }
        let error = match result {
            Ok(()) => {
                context.counters.set_state(GroupState::Stopped);
                return Ok(());
            }
            Err(error) if !held && !matches!(error, ChangeError::Drain { .. }) => {
                if stop.is_cancelled() {
                    tracing::warn!(
                        subscription = %context.name, %error, "stopped; its lease has lapsed"
                    );
                    context.counters.set_state(GroupState::Stopped);
                    return Ok(());
                }
                // Whatever failed in a run that had to end: that it had to is the reason.
                context.lease_lost()
            }
            Err(error) => error,
        };
        if error.is_final() || stop.is_cancelled() {
            tracing::error!(subscription = %context.name, %error, "the subscription has halted");
            context.counters.set_state(GroupState::Halted { reason: error.to_string() });
            return Err(error);
        }
        let pause = restarts.delay_after(began.elapsed());
        tracing::warn!(
            subscription = %context.name, %error, "the subscription begins again at its checkpoint"
        );
        context.counters.set_state(GroupState::Restarting { reason: error.to_string() });
        if timeout(pause, stop.cancelled()).await.is_ok() {
            context.counters.set_state(GroupState::Stopped);
            return Ok(());
        }
    }
}

//! Lanes: a partition's changes go through one lane, in order; lanes work side by side.

use std::hash::RandomState;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::change::assemble::hash_values;
use crate::change::error::ChangeError;
use crate::change::event::ChangeEvent;
use crate::change::handler::ChangeHandler;
use crate::change::settings::{ChangeSettings, OnPoison};
use crate::change::status::Counters;
use crate::consumer::{Fence, HandlerError, Ticket, panicked};
use crate::store::Backoff;

/// Whether a change is wanted.
pub(crate) type Filter = Arc<dyn Fn(&ChangeEvent) -> bool + Send + Sync>;

/// A change on its way to the handler.
pub(crate) struct Job {
    pub(crate) change: ChangeEvent,
    pub(crate) ticket: Ticket,
}

/// What every lane works with.
pub(crate) struct LaneContext {
    pub(crate) subscription: String,
    pub(crate) handler: Arc<dyn ChangeHandler>,
    pub(crate) filter: Option<Filter>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) settings: ChangeSettings,
    /// The subscription is stopping: what is in the lanes is finished, nothing is tried again.
    pub(crate) closing: CancellationToken,
    /// Ends the lanes when the lease has lapsed.
    pub(crate) fence: Fence,
}

/// The lanes' entrances.
#[derive(Clone)]
pub(crate) struct Lanes {
    senders: Arc<[mpsc::Sender<Job>]>,
    hasher: RandomState,
}

impl Lanes {
    /// Starts the lanes. Each task ends with the first error, or when the subscription is
    /// closing and its changes are done.
    pub(crate) fn start(context: LaneContext) -> (Self, JoinSet<Result<(), ChangeError>>) {
        let context = Arc::new(context);
        let mut tasks = JoinSet::new();
        let senders = (0..context.settings.lanes)
            .map(|_| {
                let (sender, receiver) = mpsc::channel(context.settings.queue);
                let lane = context.fence.guard(lane(Arc::clone(&context), receiver));
                let subscription = context.subscription.clone();
                tasks.spawn(async move {
                    lane.await.unwrap_or(Err(ChangeError::LeaseLost { subscription }))
                });
                sender
            })
            .collect();
        (Self { senders, hasher: RandomState::new() }, tasks)
    }

    /// Waits for room in the partition's lane; `None`: the lane has failed, and its error
    /// ends the run.
    pub(crate) async fn reserve(&self, change: &ChangeEvent) -> Option<mpsc::Permit<'_, Job>> {
        let hash = hash_values(&self.hasher, change.key.partition.values());
        let lane = hash as usize % self.senders.len();
        self.senders.get(lane)?.reserve().await.ok()
    }
}

async fn lane(context: Arc<LaneContext>, mut jobs: mpsc::Receiver<Job>) -> Result<(), ChangeError> {
    let mut closing = false;
    loop {
        let job = tokio::select! {
            () = context.closing.cancelled(), if !closing => {
                jobs.close();
                closing = true;
                continue;
            }
            job = jobs.recv() => job,
        };
        let Some(job) = job else { return Ok(()) };
        if !context.handle(job).await? {
            // What is behind it must not overtake it: it all comes again.
            return Ok(());
        }
    }
}

impl LaneContext {
    /// Handles one change, as often as it takes. `false`: the subscription is closing while
    /// the change waited to be tried again.
    async fn handle(&self, job: Job) -> Result<bool, ChangeError> {
        let (first, longest) = self.settings.retry_delay;
        let mut backoff = Backoff::new(first, longest);
        loop {
            let reason = match self.attempt(&job.change).await {
                Ok(handled) => {
                    let counters = &self.counters;
                    Counters::add(if handled { &counters.handled } else { &counters.filtered });
                    job.ticket.done();
                    return Ok(true);
                }
                Err(HandlerError::Poison(reason)) => {
                    let (change, reason) = (described(&job.change), reason.to_string());
                    if self.settings.on_poison == OnPoison::Skip {
                        tracing::error!(
                            subscription = %self.subscription, %change, %reason,
                            "a change that will not work is passed over"
                        );
                        Counters::add(&self.counters.skipped);
                        job.ticket.done();
                        return Ok(true);
                    }
                    let subscription = self.subscription.clone();
                    return Err(ChangeError::Poison { subscription, change, reason });
                }
                Err(HandlerError::Retry(reason)) => reason,
            };
            Counters::add(&self.counters.retries);
            let delay = backoff.delay();
            tracing::warn!(
                subscription = %self.subscription,
                change = %described(&job.change),
                %reason,
                ?delay,
                "a change could not be handled yet"
            );
            if timeout(delay, self.closing.cancelled()).await.is_ok() {
                return Ok(false);
            }
        }
    }

    /// One call of filter and handler; whether the filter let it pass. A panic in them is the
    /// change's fault, not the process's end.
    async fn attempt(&self, change: &ChangeEvent) -> Result<bool, HandlerError> {
        let call = async {
            if self.filter.as_ref().is_some_and(|wanted| !wanted(change)) {
                return Ok(false);
            }
            self.handler.handle(change).await.map(|()| true)
        };
        match AssertUnwindSafe(call).catch_unwind().await {
            Ok(result) => result,
            Err(panic) => Err(HandlerError::Poison(panicked(&*panic))),
        }
    }
}

/// A change for people: what, where, when.
fn described(change: &ChangeEvent) -> String {
    let ChangeEvent { operation, table, key, time, .. } = change;
    format!("{operation} of {table} ({key}) at {time} µs")
}

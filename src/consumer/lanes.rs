//! Lanes: an aggregate's events go through one lane, in order; lanes work side by side.

use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use futures::FutureExt;
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::consumer::error::GroupError;
use crate::consumer::handler::{EventHandler, Handled, HandlerError};
use crate::consumer::progress::Ticket;
use crate::consumer::settings::GroupSettings;
use crate::consumer::status::Counters;
use crate::event::EventEnvelope;
use crate::ids::AggregateId;
use crate::store::Backoff;

/// Called after each event that is done.
pub(crate) type Observer = Arc<dyn Fn(&EventEnvelope) + Send + Sync>;

/// An event on its way to the handler.
pub(crate) struct Job {
    pub(crate) event: EventEnvelope,
    pub(crate) ticket: Ticket,
}

/// What every lane of a group works with.
pub(crate) struct LaneContext {
    pub(crate) group: String,
    pub(crate) handler: Arc<dyn EventHandler>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) settings: GroupSettings,
    pub(crate) observer: Option<Observer>,
    /// The group is stopping: what is in the lanes is finished, nothing is tried again.
    pub(crate) closing: CancellationToken,
}

/// The lanes' entrances.
#[derive(Clone)]
pub(crate) struct Lanes {
    senders: Arc<[mpsc::Sender<Job>]>,
    hasher: RandomState,
}

impl Lanes {
    /// Starts the lanes. Each task ends with the first error, or when the group is closing
    /// and its events are done.
    pub(crate) fn start(context: LaneContext) -> (Self, JoinSet<Result<(), GroupError>>) {
        let context = Arc::new(context);
        let mut tasks = JoinSet::new();
        let senders = (0..context.settings.lanes)
            .map(|_| {
                let (sender, receiver) = mpsc::channel(context.settings.queue);
                tasks.spawn(lane(Arc::clone(&context), receiver));
                sender
            })
            .collect();
        (Self { senders, hasher: RandomState::new() }, tasks)
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.senders.len()
    }

    /// The aggregate's lane.
    pub(crate) fn lane_of(&self, id: AggregateId) -> usize {
        self.hasher.hash_one(id) as usize % self.senders.len()
    }

    /// Waits for room in the aggregate's lane. What is then sent is in the lane: there is
    /// no moment in which a cancelled caller has taken an event and not handed it on.
    pub(crate) async fn reserve(&self, id: AggregateId) -> Option<mpsc::Permit<'_, Job>> {
        self.senders[self.lane_of(id)].reserve().await.ok()
    }
}

/// An event that the handler has begun and will report on.
type InFlight = BoxFuture<'static, (Job, Result<(), HandlerError>)>;

/// Where handling an event has led.
enum Outcome {
    Done,
    InFlight(InFlight),
    /// The group is closing while the event waited to be tried again.
    Abandoned,
}

async fn lane(context: Arc<LaneContext>, mut jobs: mpsc::Receiver<Job>) -> Result<(), GroupError> {
    let mut in_flight: FuturesUnordered<InFlight> = FuturesUnordered::new();
    let (mut open, mut closing) = (true, false);
    loop {
        let room = in_flight.len() < context.settings.pending;
        tokio::select! {
            // First what frees room and moves the watermark.
            biased;
            Some((job, result)) = in_flight.next(), if !in_flight.is_empty() => {
                context.delivered(job, result)?;
            }
            () = context.closing.cancelled(), if open && !closing => {
                jobs.close();
                closing = true;
            }
            job = jobs.recv(), if open && room => {
                let Some(job) = job else {
                    open = false;
                    continue;
                };
                match context.handle(job).await? {
                    Outcome::Done => {}
                    Outcome::InFlight(delivery) => in_flight.push(delivery),
                    // What is behind it must not overtake it: it all comes again.
                    Outcome::Abandoned => open = false,
                }
            }
            else => return Ok(()),
        }
    }
}

impl LaneContext {
    /// Handles one event, as often as it takes.
    async fn handle(&self, job: Job) -> Result<Outcome, GroupError> {
        if !self.handler.accepts(&job.event.aggregate_type) {
            job.ticket.done();
            return Ok(Outcome::Done);
        }
        let (first, longest) = self.settings.retry_delay;
        let mut backoff = Backoff::new(first, longest);
        loop {
            let reason = match self.attempt(&job.event).await {
                Ok(Handled::Done) => {
                    self.done(job);
                    return Ok(Outcome::Done);
                }
                Ok(Handled::Pending(delivery)) => {
                    return Ok(Outcome::InFlight(Box::pin(async move { (job, delivery.await) })));
                }
                Err(HandlerError::Poison(reason)) => return Err(self.poison(&job.event, &*reason)),
                Err(HandlerError::Retry(reason)) => reason,
            };
            Counters::add(&self.counters.retries, 1);
            let delay = backoff.delay();
            tracing::warn!(
                group = %self.group,
                aggregate_id = %job.event.aggregate_id,
                sequence_number = job.event.sequence_number,
                %reason,
                ?delay,
                "an event could not be handled yet"
            );
            if tokio::time::timeout(delay, self.closing.cancelled()).await.is_ok() {
                return Ok(Outcome::Abandoned);
            }
        }
    }

    /// An event that was on its way has arrived, or not.
    fn delivered(&self, job: Job, result: Result<(), HandlerError>) -> Result<(), GroupError> {
        match result {
            Ok(()) => {
                self.done(job);
                Ok(())
            }
            Err(HandlerError::Poison(reason)) => Err(self.poison(&job.event, &*reason)),
            // Later events may have arrived: only a new beginning keeps the order.
            Err(HandlerError::Retry(reason)) => {
                Err(GroupError::Delivery { group: self.group.clone(), reason: reason.to_string() })
            }
        }
    }

    /// One call of the handler; a panic in it is the event's fault, not the process's end.
    async fn attempt(&self, event: &EventEnvelope) -> Result<Handled, HandlerError> {
        let call: std::pin::Pin<Box<dyn Future<Output = _> + Send + '_>> =
            self.handler.handle(event);
        match std::panic::AssertUnwindSafe(call).catch_unwind().await {
            Ok(result) => result,
            Err(panic) => {
                let text = panic
                    .downcast_ref::<&str>()
                    .map(|s| (*s).to_owned())
                    .or_else(|| panic.downcast_ref::<String>().cloned())
                    .unwrap_or_else(|| "unknown reason".to_owned());
                Err(HandlerError::poison(format!("the handler panicked: {text}")))
            }
        }
    }

    fn done(&self, job: Job) {
        Counters::add(&self.counters.handled, 1);
        if let Some(observer) = &self.observer {
            observer(&job.event);
        }
        job.ticket.done();
    }

    fn poison(&self, event: &EventEnvelope, reason: &dyn std::error::Error) -> GroupError {
        GroupError::Poison {
            group: self.group.clone(),
            aggregate_id: event.aggregate_id,
            aggregate_type: event.aggregate_type.to_string(),
            sequence_number: event.sequence_number,
            event_type: event.event_type.to_string(),
            event_version: event.event_version,
            reason: reason.to_string(),
        }
    }
}

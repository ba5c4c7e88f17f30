//! Lanes: an aggregate's events go through one lane, in order; lanes work side by side.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::consumer::dead_letters::Request;
use crate::consumer::error::GroupError;
use crate::consumer::lane_context::{InFlight, LaneContext, Outcome};
use crate::consumer::progress::Ticket;
use crate::consumer::slice::stable_hash;
use crate::event::EventEnvelope;
use crate::ids::AggregateId;

/// Requests that wait in a lane.
const REQUESTS: usize = 16;

/// How often the runner looks for new requests.
const LOOK_FOR_REQUESTS: Duration = Duration::from_secs(1);

/// An event on its way to the handler.
pub(crate) struct Job {
    pub(crate) event: EventEnvelope,
    pub(crate) ticket: Ticket,
}

/// The lanes' entrances.
#[derive(Clone)]
pub(crate) struct Lanes {
    senders: Arc<[mpsc::Sender<Job>]>,
}

impl Lanes {
    /// Starts the lanes. Each task ends with the first error, or when the group is closing
    /// and its events are done, or when the lease has lapsed.
    pub(crate) fn start(context: LaneContext) -> (Self, JoinSet<Result<(), GroupError>>) {
        let context = Arc::new(context);
        let mut tasks = JoinSet::new();
        let mut requests = Vec::with_capacity(context.settings.lanes);
        let senders = (0..context.settings.lanes)
            .map(|_| {
                let (sender, receiver) = mpsc::channel(context.settings.queue);
                let (request_sender, request_receiver) = mpsc::channel(REQUESTS);
                requests.push(request_sender);
                tasks.spawn(guarded(
                    &context,
                    lane(Arc::clone(&context), receiver, request_receiver),
                ));
                sender
            })
            .collect();
        let lanes = Self { senders };
        let feed = feed(Arc::clone(&context), requests);
        tasks.spawn(guarded(&context, feed));
        (lanes, tasks)
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.senders.len()
    }

    /// The aggregate's lane.
    pub(crate) fn lane_of(&self, id: AggregateId) -> usize {
        place(id, self.senders.len())
    }

    /// Waits for room in the aggregate's lane. What is then sent is in the lane: there is
    /// no moment in which a cancelled caller has taken an event and not handed it on.
    pub(crate) async fn reserve(&self, id: AggregateId) -> Option<mpsc::Permit<'_, Job>> {
        self.senders[self.lane_of(id)].reserve().await.ok()
    }
}

/// The lane, the same in every run, by other bits than the slice, which would leave lanes
/// empty.
fn place(id: AggregateId, lanes: usize) -> usize {
    (stable_hash(id) >> 32) as usize % lanes
}

/// The task, which ends when the lease has lapsed.
fn guarded<T: Future<Output = Result<(), GroupError>>>(
    context: &LaneContext,
    task: T,
) -> impl Future<Output = Result<(), GroupError>> + use<T> {
    let (group, task) = (context.group.clone(), context.fence.guard(task));
    async move { task.await.unwrap_or(Err(GroupError::LeaseLost { group })) }
}

async fn lane(
    context: Arc<LaneContext>,
    mut jobs: mpsc::Receiver<Job>,
    mut requests: mpsc::Receiver<Request>,
) -> Result<(), GroupError> {
    let mut in_flight: FuturesUnordered<InFlight> = FuturesUnordered::new();
    let (mut open, mut closing) = (true, false);
    loop {
        let room = in_flight.len() < context.settings.pending;
        tokio::select! {
            // First what frees room and moves the watermark.
            biased;
            Some((job, result)) = in_flight.next(), if !in_flight.is_empty() => {
                context.delivered(job, result).await?;
            }
            () = context.closing.cancelled(), if open && !closing => {
                jobs.close();
                closing = true;
            }
            Some(request) = requests.recv(), if open && !closing => {
                // What was sent before stays before.
                while let Some((job, result)) = in_flight.next().await {
                    context.delivered(job, result).await?;
                }
                context.carry_out(request).await?;
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

/// Hands requests to the lanes of their aggregates.
async fn feed(
    context: Arc<LaneContext>,
    lanes: Vec<mpsc::Sender<Request>>,
) -> Result<(), GroupError> {
    let mut announced = None;
    let mut handed = HashSet::new();
    let mut begun = false;
    loop {
        let requests = async {
            let latest = context.requests.announced().await?;
            if begun && latest == announced {
                return Ok(Vec::new());
            }
            let requests = context.requests.open().await?;
            announced = latest;
            begun = true;
            Ok(requests)
        };
        match requests.await {
            Ok(requests) => {
                if !requests.is_empty() {
                    handed.retain(|id| requests.iter().any(|request| request.id == *id));
                }
                for request in requests {
                    if !context.slice.contains(request.aggregate_id) || !handed.insert(request.id) {
                        continue;
                    }
                    let lane = place(request.aggregate_id, lanes.len());
                    tokio::select! {
                        sent = lanes[lane].send(request) => {
                            if sent.is_err() {
                                return Ok(());
                            }
                        }
                        () = context.closing.cancelled() => return Ok(()),
                    }
                }
            }
            Err(error) => context.letters_failed(error)?,
        }
        if tokio::time::timeout(LOOK_FOR_REQUESTS, context.closing.cancelled()).await.is_ok() {
            return Ok(());
        }
    }
}

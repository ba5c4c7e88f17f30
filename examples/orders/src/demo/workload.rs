//! Orders as commands.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use messina::{Aggregate, AggregateId, CommandError, CommandHandler, CorrelationId};
use parking_lot::Mutex;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::data::SourceOrder;
use crate::demo::progress::Progress;
use crate::demo::tracker::{Tracker, microseconds, record};
use crate::domain::Order;
use crate::service::ServiceError;

/// What the commands have done.
pub(super) struct Handled {
    /// The orders as they stand: id, version, state.
    pub(super) orders: Vec<(AggregateId, i64, Order)>,
    pub(super) commands: u64,
    pub(super) events: u64,
    /// Commands that the domain refused: the order, the reason.
    pub(super) rejected: Vec<(String, String)>,
    /// µs.
    pub(super) latency: Histogram<u64>,
    pub(super) elapsed: Duration,
}

/// Takes all orders through their life, so many at a time.
pub(super) async fn run(
    handler: &CommandHandler<Order>,
    orders: Vec<SourceOrder>,
    concurrency: usize,
    tracker: &Arc<Tracker>,
) -> Result<Handled, ServiceError> {
    let progress = Arc::new(Progress::new("orders", orders.len() as u64));
    let queue = Arc::new(Mutex::new(VecDeque::from(orders)));
    let run = Uuid::new_v4();
    let began = Instant::now();
    let mut workers = JoinSet::new();
    for _ in 0..concurrency {
        let worker = Worker {
            handler: handler.clone(),
            tracker: Arc::clone(tracker),
            run,
            done: Handled::none(),
        };
        let (queue, progress) = (Arc::clone(&queue), Arc::clone(&progress));
        workers.spawn(worker.work(queue, progress));
    }
    let mut all = Handled::none();
    while let Some(worker) = workers.join_next().await {
        match worker {
            Ok(done) => all.merge(done?),
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
    }
    all.elapsed = began.elapsed();
    if let Some(progress) = Arc::into_inner(progress) {
        progress.finish();
    }
    Ok(all)
}

impl Handled {
    fn none() -> Self {
        Self {
            orders: Vec::new(),
            commands: 0,
            events: 0,
            rejected: Vec::new(),
            latency: microseconds(),
            elapsed: Duration::ZERO,
        }
    }

    fn merge(&mut self, other: Self) {
        self.orders.extend(other.orders);
        self.commands += other.commands;
        self.events += other.events;
        self.rejected.extend(other.rejected);
        // Both count the same range.
        self.latency += other.latency;
    }
}

struct Worker {
    handler: CommandHandler<Order>,
    tracker: Arc<Tracker>,
    run: Uuid,
    done: Handled,
}

impl Worker {
    async fn work(
        mut self,
        queue: Arc<Mutex<VecDeque<SourceOrder>>>,
        progress: Arc<Progress>,
    ) -> Result<Handled, ServiceError> {
        loop {
            let next = queue.lock().pop_front();
            let Some(order) = next else { return Ok(self.done) };
            self.order(&order).await?;
            progress.add(1);
        }
    }

    /// One order, command by command. What the domain refuses is noted, and the rest of
    /// the order's life goes on.
    async fn order(&mut self, order: &SourceOrder) -> Result<(), ServiceError> {
        let id = order.aggregate_id(self.run);
        let request = CorrelationId::new();
        let mut stands = None;
        for command in order.commands() {
            let sent = Instant::now();
            let result = self
                .handler
                .execute(id, command)
                .correlation_id(request)
                .metadata("source_order", &order.source_id)
                .await;
            let answered = Instant::now();
            self.done.commands += 1;
            match result {
                Ok(reply) => {
                    record(&mut self.done.latency, answered - sent);
                    self.done.events += reply.events.len() as u64;
                    for event in &reply.events {
                        self.tracker.acknowledged(event.event_id, answered);
                    }
                    stands = Some((id, reply.version, reply.state));
                }
                Err(CommandError::Rejected(reason)) => {
                    self.done.rejected.push((order.source_id.clone(), reason.to_string()));
                }
                Err(error) => return Err(failed(order, &error)),
            }
        }
        self.done.orders.extend(stands);
        Ok(())
    }
}

fn failed(order: &SourceOrder, error: &CommandError<<Order as Aggregate>::Error>) -> ServiceError {
    ServiceError::Command { order: order.source_id.clone(), reason: error.to_string() }
}

//! Appends at an even rate.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use messina::{AggregateId, CommandHandler};
use parking_lot::Mutex;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::data::generate;
use crate::demo::{Tracker, microseconds, record};
use crate::domain::{Order, OrderCommand};
use crate::service::ServiceError;

/// Orders made up at once.
const BATCH: usize = 500;

/// What was appended.
pub(super) struct Appended {
    pub(super) events: u64,
    pub(super) elapsed: Duration,
    /// Of an append, µs.
    pub(super) latency: Histogram<u64>,
}

/// When to append.
#[derive(Debug, Clone, Copy)]
pub(super) enum Pace {
    /// So many a second, this many in all.
    Even { rate: u32, appends: u64 },
    /// As fast as can be, this many in all.
    Fast { appends: u64 },
}

/// Orders without end, each new.
#[derive(Default)]
struct Orders {
    waiting: VecDeque<(AggregateId, Vec<OrderCommand>)>,
    batches: u64,
}

impl Orders {
    fn next(&mut self) -> Option<(AggregateId, Vec<OrderCommand>)> {
        if self.waiting.is_empty() {
            let run = Uuid::new_v4();
            let orders = generate(BATCH, self.batches);
            self.waiting.extend(orders.iter().map(|o| (o.aggregate_id(run), o.commands())));
            self.batches += 1;
        }
        self.waiting.pop_front()
    }
}

/// Appends by `concurrency` workers, each with an order of its own.
pub(super) async fn append(
    handler: &CommandHandler<Order>,
    tracker: Option<&Arc<Tracker>>,
    pace: Pace,
    concurrency: u16,
) -> Result<Appended, ServiceError> {
    let orders = Arc::new(Mutex::new(Orders::default()));
    let turn = Arc::new(AtomicU64::new(0));
    let began = Instant::now();
    let mut workers = JoinSet::new();
    for _ in 0..concurrency {
        let worker = Worker {
            handler: handler.clone(),
            tracker: tracker.cloned(),
            orders: Arc::clone(&orders),
            turn: Arc::clone(&turn),
            began,
            pace,
        };
        workers.spawn(worker.work());
    }
    let mut all = Appended { events: 0, elapsed: Duration::ZERO, latency: microseconds() };
    while let Some(worker) = workers.join_next().await {
        let (events, latency) = match worker {
            Ok(done) => done?,
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        };
        all.events += events;
        all.latency += latency;
    }
    all.elapsed = began.elapsed();
    Ok(all)
}

struct Worker {
    handler: CommandHandler<Order>,
    tracker: Option<Arc<Tracker>>,
    orders: Arc<Mutex<Orders>>,
    turn: Arc<AtomicU64>,
    began: Instant,
    pace: Pace,
}

impl Worker {
    async fn work(self) -> Result<(u64, Histogram<u64>), ServiceError> {
        let (mut events, mut latency) = (0, microseconds());
        loop {
            let next = self.orders.lock().next();
            let Some((id, commands)) = next else { return Ok((events, latency)) };
            for command in commands {
                if !self.wait().await {
                    return Ok((events, latency));
                }
                let sent = Instant::now();
                let reply = self.handler.execute(id, command).await.map_err(|error| {
                    ServiceError::Command { order: id.to_string(), reason: error.to_string() }
                })?;
                let answered = Instant::now();
                record(&mut latency, answered - sent);
                events += reply.events.len() as u64;
                for event in &reply.events {
                    if let Some(tracker) = &self.tracker {
                        tracker.acknowledged(event.event_id, answered);
                    }
                }
            }
        }
    }

    /// Waits for the next turn; whether there is one.
    async fn wait(&self) -> bool {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        match self.pace {
            Pace::Fast { appends } => turn < appends,
            Pace::Even { rate, appends } => {
                let at = Duration::from_secs_f64(turn as f64 / f64::from(rate));
                tokio::time::sleep_until((self.began + at).into()).await;
                turn < appends
            }
        }
    }
}

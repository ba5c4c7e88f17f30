//! The import, from its settings to its end.

use std::collections::HashMap;
use std::io::BufRead;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::error::ImportError;
use super::progress::{Counts, ImportProgress};
use super::reading::{BUDGET, Check, Reading};
use super::storing::Storing;
use crate::aggregate::Aggregate;
use crate::store::EventStore;

/// Events waiting for each part.
const QUEUE: usize = 256;

type Observer = Box<dyn FnMut(&ImportProgress) + Send>;

/// An import to be run; see [`EventStore::import`].
#[must_use = "nothing is imported before `run`"]
pub struct Import<R> {
    store: EventStore,
    input: R,
    default_type: Option<String>,
    checks: HashMap<&'static str, Check>,
    parallel: usize,
    patience: Duration,
    observer: Option<Observer>,
}

impl EventStore {
    /// Moves events of another system in: one JSON object a line, in the order in which each
    /// aggregate's events happened.
    ///
    /// | field | what it is |
    /// |---|---|
    /// | `aggregate_id` | a uuid, or any other text or number, which [`AggregateId::from_key`](crate::AggregateId::from_key) makes one |
    /// | `aggregate_type` | may be given for all lines: [`Import::aggregate_type`] |
    /// | `type`, `version` | of the event; version 1 if left out |
    /// | `data` | the event's fields, stored as they stand |
    /// | `time` | when it happened: RFC 3339, or ms since 1970; becomes `created_at` |
    /// | `metadata` | may be left out; an object, kept as texts |
    /// | `sequence_number` | may be left out: then a file has each aggregate's history from its beginning, and lines are counted |
    /// | `event_id`, `correlation_id`, `causation_id` | may be left out; uuids |
    ///
    /// Events go through the append protocol, so that consumer groups see them. `committed_at`
    /// says when they came here, since projections must not write into their past; consecutive
    /// events of one aggregate with equal time, metadata and ids are one commit.
    ///
    /// Run again, after whatever end, it compares what is stored already (type, version, data)
    /// and goes on behind it. A line that is wrong ends it: what stands before is stored,
    /// nothing of the line is. Memory is bounded but for some 40 bytes per aggregate.
    ///
    /// The input is read on a thread for blocking work.
    pub fn import<R: BufRead + Send + 'static>(&self, input: R) -> Import<R> {
        Import {
            store: self.clone(),
            input,
            default_type: None,
            checks: HashMap::new(),
            parallel: 32,
            patience: Duration::from_secs(60),
            observer: None,
        }
    }
}

impl<R: BufRead + Send + 'static> Import<R> {
    /// The type of aggregates whose lines say none.
    pub fn aggregate_type(mut self, aggregate_type: impl Into<String>) -> Self {
        self.default_type = Some(aggregate_type.into());
        self
    }

    /// Takes this aggregate's events, if they are such that it can be loaded: of a type and
    /// version that the domain or an upcaster knows, with data that deserializes. Once one
    /// aggregate is named, those of types that are not named are refused.
    pub fn aggregate<A: Aggregate>(mut self) -> Self {
        self.checks
            .insert(A::TYPE, |upcasters, stored| upcasters.events::<A::Event>(stored).map(drop));
        self
    }

    /// How many aggregates are written at once. 32: an append waits for two round trips, and
    /// a live service beside it wants its share.
    pub fn parallel(mut self, parallel: usize) -> Self {
        self.parallel = parallel;
        self
    }

    /// How long one event may wait for a database that does not answer. 60 s.
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Is told once a second how far the import is.
    pub fn on_progress(mut self, observer: impl FnMut(&ImportProgress) + Send + 'static) -> Self {
        self.observer = Some(Box::new(observer));
        self
    }

    /// Imports to the end of the input; what was done. Dropped before its end, it stops, and
    /// can be run again.
    ///
    /// # Errors
    /// [`ImportError`] says why it stopped; of several reasons, the one of the earliest line.
    pub async fn run(mut self) -> Result<ImportProgress, ImportError> {
        if !(1..=4096).contains(&self.parallel) {
            return Err(ImportError::Invalid(format!(
                "{} aggregates at once: between 1 and 4096 can be",
                self.parallel
            )));
        }
        let counts = Arc::new(Counts::new());
        let stop = CancellationToken::new();
        // However this ends, the reading thread is told.
        let _stopping = stop.clone().drop_guard();
        let mut parts = JoinSet::new();
        let mut queues = Vec::with_capacity(self.parallel);
        for _ in 0..self.parallel {
            let (sender, receiver) = mpsc::channel(QUEUE);
            queues.push(sender);
            let part = Storing::new(self.store.clone(), Arc::clone(&counts), self.patience);
            let stop = stop.clone();
            parts.spawn(async move { (Part::Storing, part.run(receiver, stop).await) });
        }
        let reading = Reading {
            upcasters: Arc::clone(self.store.upcasters()),
            default_type: self.default_type.take(),
            checks: std::mem::take(&mut self.checks),
            counts: Arc::clone(&counts),
            budget: Arc::new(Semaphore::new(BUDGET)),
            stop: stop.clone(),
            runtime: Handle::current(),
            queues,
        };
        let input = self.input;
        parts.spawn_blocking(move || (Part::Reading, reading.run(input)));
        let mut ticks = interval(Duration::from_secs(1));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut failure: Option<ImportError> = None;
        loop {
            tokio::select! {
                ended = parts.join_next() => match ended {
                    None => break,
                    Some(ended) => if let Err((part, error)) = flat(ended) {
                        // What was read before a wrong line is still stored.
                        if part == Part::Storing {
                            stop.cancel();
                        }
                        failure = Some(earlier(failure, error));
                    },
                },
                _ = ticks.tick() => if let Some(observer) = &mut self.observer {
                    observer(&counts.progress());
                },
            }
        }
        failure.map_or_else(|| Ok(counts.progress()), Err)
    }
}

/// Which part of an import has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Reading,
    Storing,
}

type Ended = Result<(Part, Result<(), ImportError>), JoinError>;

fn flat(ended: Ended) -> Result<(), (Part, ImportError)> {
    match ended {
        Ok((part, result)) => result.map_err(|error| (part, error)),
        Err(error) => Err((Part::Storing, ImportError::Broken(error.to_string()))),
    }
}

fn earlier(one: Option<ImportError>, other: ImportError) -> ImportError {
    match one {
        Some(one) if one.line() <= other.line() => one,
        _ => other,
    }
}

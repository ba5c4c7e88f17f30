//! Storing what was read: each part has its own aggregates, and one run of events at a time.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use quick_cache::unsync::Cache;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::error::{Difference, ImportError};
use super::line::Line;
use super::progress::Counts;
use super::reading::OnItsWay;
use crate::event::EventEnvelope;
use crate::ids::{AggregateId, EventId};
use crate::store::{
    Append, Backoff, EventStore, NewEvent, Position, StoreError, event_batch_size, is_transient,
};

/// Events of one aggregate that are stored, or compared, in one go.
const MAX_RUN: usize = 256;

/// Aggregates whose place is remembered by each part; that of others is read.
const REMEMBERED: usize = 1_000;

/// One part of the import.
pub(super) struct Storing {
    store: EventStore,
    counts: Arc<Counts>,
    patience: Duration,
    positions: Cache<AggregateId, Position>,
}

impl Storing {
    pub(super) fn new(store: EventStore, counts: Arc<Counts>, patience: Duration) -> Self {
        Self { store, counts, patience, positions: Cache::new(REMEMBERED) }
    }

    /// Stores what comes, until there is no more or the import stops.
    pub(super) async fn run(
        mut self,
        mut queue: mpsc::Receiver<OnItsWay>,
        stop: CancellationToken,
    ) -> Result<(), ImportError> {
        let mut next = queue.recv().await;
        while let Some(first) = next.take() {
            if stop.is_cancelled() {
                return Ok(());
            }
            let id = first.event.aggregate_id;
            let mut run = vec![first];
            // Only what is there already: who waits here with its part of the budget might
            // wait for what is not read for want of budget.
            while run.len() < MAX_RUN {
                match queue.try_recv() {
                    Ok(event) if event.event.aggregate_id == id => run.push(event),
                    Ok(event) => {
                        next = Some(event);
                        break;
                    }
                    Err(_) => break,
                }
            }
            self.store_run(id, &run).await?;
            if next.is_none() {
                next = queue.recv().await;
            }
        }
        Ok(())
    }

    /// Stores consecutive events of an aggregate. Whatever fails in a way that passes is done
    /// again from a fresh look at the store, where a commit of unknown fate is found or not.
    async fn store_run(&mut self, id: AggregateId, run: &[OnItsWay]) -> Result<(), ImportError> {
        let backoff = || Backoff::new(Duration::from_millis(50), Duration::from_secs(2));
        let mut waiting = backoff();
        let mut since = Instant::now();
        let mut rest = run;
        while let Some(first) = rest.first() {
            match self.step(id, first, rest).await {
                Ok(done) => {
                    rest = rest.get(done..).unwrap_or_default();
                    (waiting, since) = (backoff(), Instant::now());
                }
                Err(ImportError::Store { source, .. })
                    if matches!(*source, StoreError::Conflict { .. }) =>
                {
                    // Another writer has appended: what it did is looked at.
                    self.positions.remove(&id);
                }
                Err(ImportError::Store { source, .. })
                    if passes(&source) && since.elapsed() < self.patience =>
                {
                    tracing::warn!(line = first.line, aggregate_id = %id, error = %source,
                        "the import waits for the database");
                    self.positions.remove(&id);
                    waiting.wait().await;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Deals with the first events of a run; how many.
    async fn step(
        &mut self,
        id: AggregateId,
        first: &OnItsWay,
        rest: &[OnItsWay],
    ) -> Result<usize, ImportError> {
        let line = first.line;
        let failed =
            |source| ImportError::Store { line, aggregate_id: id, source: Box::new(source) };
        let position = match self.positions.get(&id) {
            Some(position) => position.clone(),
            None => self.store.position(id).await.map_err(failed)?,
        };
        if let Some(stored) = &position.aggregate_type
            && *stored != first.aggregate_type
        {
            return Err(differs(first, Difference::AggregateType));
        }
        if first.sequence_number > position.version + 1 {
            return Err(ImportError::Sequence {
                line,
                aggregate_id: id,
                at: position.version,
                found: first.sequence_number,
            });
        }
        if first.sequence_number <= position.version {
            let last = position.version.min(first.sequence_number - 1 + rest.len() as i64);
            let after = first.sequence_number - 1;
            let stored = self.store.events(id, after, last).await.map_err(failed)?;
            for (event, stored) in rest.iter().zip(&stored) {
                compare(event, stored)?;
            }
            if stored.is_empty() {
                return Err(failed(StoreError::Corrupt {
                    aggregate_id: id,
                    sequence_number: first.sequence_number,
                    reason: "the event is missing".to_owned(),
                }));
            }
            self.counts.skipped.fetch_add(stored.len() as u64, Relaxed);
            self.positions.insert(id, position);
            return Ok(stored.len());
        }
        let commit = self.commit(rest);
        let append = append(id, &position, first, commit);
        let committed = self.store.append(append).await.map_err(failed)?;
        let written = committed.events.len();
        self.counts.written.fetch_add(written as u64, Relaxed);
        let last = committed.events.last();
        self.positions.insert(
            id,
            Position {
                version: position.version + written as i64,
                aggregate_type: Some(Arc::clone(&first.aggregate_type)),
                last_committed_at: last.map_or(position.last_committed_at, |e| e.committed_at),
                last_write_time: committed.write_time,
                last_commit: Some(committed.commit_id),
            },
        );
        Ok(written)
    }

    /// The events that are one commit: those that follow each other and happened together,
    /// as far as a batch takes them.
    fn commit<'r>(&self, rest: &'r [OnItsWay]) -> &'r [OnItsWay] {
        let limit = self.store.settings().max_batch_bytes;
        let mut size = 0;
        let together = rest.iter().take_while(|next| {
            let metadata = &next.event.metadata;
            // What JSON adds around each text.
            let metadata: usize = metadata.extra.iter().map(|(k, v)| k.len() + v.len() + 6).sum();
            let payload = next.event.payload.as_str().len();
            // The three fields that have names of their own are short.
            size += event_batch_size(payload, 2 * metadata + 512);
            size <= limit
        });
        let fitting = together.count().max(1).min(rest.len());
        let fitting = rest.get(..fitting).unwrap_or(rest);
        let first = fitting.first().map(|first| &first.event);
        let other = |event: &Line| first.is_some_and(|first| !happened_together(first, event));
        let end = fitting.iter().position(|e| other(&e.event)).unwrap_or(fitting.len());
        fitting.get(..end).unwrap_or(fitting)
    }
}

fn happened_together(one: &Line, other: &Line) -> bool {
    one.time == other.time
        && one.correlation_id == other.correlation_id
        && one.causation_id == other.causation_id
        && one.metadata == other.metadata
}

fn append(id: AggregateId, position: &Position, first: &OnItsWay, events: &[OnItsWay]) -> Append {
    Append {
        aggregate_id: id,
        aggregate_type: Arc::clone(&first.aggregate_type),
        expected_version: position.version,
        last_committed_at: position.last_committed_at,
        last_write_time: position.last_write_time,
        last_commit: position.last_commit,
        state_before: None,
        events: events
            .iter()
            .map(|OnItsWay { event, .. }| NewEvent {
                event_id: event.event_id.unwrap_or_else(EventId::new),
                event_type: event.event_type.as_str().into(),
                event_version: event.event_version,
                payload: event.payload.clone(),
                state_after: None,
            })
            .collect(),
        metadata: first.event.metadata.clone(),
        correlation_id: first.event.correlation_id,
        causation_id: first.event.causation_id,
        created_at: Some(first.event.time),
    }
}

/// Whether the stored event is the one of the line.
fn compare(read: &OnItsWay, stored: &EventEnvelope) -> Result<(), ImportError> {
    let event = &read.event;
    if *stored.event_type != *event.event_type {
        return Err(differs(read, Difference::Type));
    }
    if stored.event_version != event.event_version {
        return Err(differs(read, Difference::Version));
    }
    let (one, other) = (stored.event.as_str(), event.payload.as_str());
    let value = |text| serde_json::from_str::<serde_json::Value>(text).ok();
    if one != other && (value(one).is_none() || value(one) != value(other)) {
        return Err(differs(read, Difference::Data));
    }
    Ok(())
}

fn differs(read: &OnItsWay, difference: Difference) -> ImportError {
    ImportError::Differs {
        line: read.line,
        aggregate_id: read.event.aggregate_id,
        sequence_number: read.sequence_number,
        difference,
    }
}

/// Whether it may be cured by waiting.
fn passes(error: &StoreError) -> bool {
    match error {
        StoreError::Unavailable { source, .. } | StoreError::Indeterminate { source, .. } => {
            is_transient(source)
        }
        _ => false,
    }
}

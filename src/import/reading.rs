//! Reading the file: lines to events, numbered and handed to the parts that store them.
//!
//! Runs on a thread of its own, since files and decompression block.

use std::collections::HashMap;
use std::io::{BufRead, Read};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use super::error::ImportError;
use super::line::{Line, parse};
use super::progress::Counts;
use crate::event::{CorruptEvent, EventEnvelope, Upcasters};
use crate::ids::{AggregateId, CommitId, EventId};

/// A longer line is refused: payloads are limited to less, and memory is bounded.
const MAX_LINE: u64 = 4 << 20;

/// Text of lines that are read and not stored yet.
pub(super) const BUDGET: usize = 32 << 20;

/// An event on its way to the store.
pub(super) struct OnItsWay {
    pub(super) line: u64,
    pub(super) aggregate_type: Arc<str>,
    pub(super) sequence_number: i64,
    pub(super) event: Line,
    /// Its part of the budget, until it is stored.
    pub(super) _room: OwnedSemaphorePermit,
}

/// Whether a domain knows an event.
pub(super) type Check = fn(&Upcasters, &EventEnvelope) -> Result<(), CorruptEvent>;

/// What the file is read with.
pub(super) struct Reading {
    pub(super) upcasters: Arc<Upcasters>,
    pub(super) default_type: Option<String>,
    /// By aggregate type; empty: none is known, and all are taken.
    pub(super) checks: HashMap<&'static str, Check>,
    pub(super) counts: Arc<Counts>,
    pub(super) budget: Arc<Semaphore>,
    pub(super) stop: CancellationToken,
    pub(super) runtime: Handle,
    pub(super) queues: Vec<mpsc::Sender<OnItsWay>>,
}

/// Where each aggregate is in the file: the last sequence number, and which type it has.
#[derive(Default)]
struct Places {
    types: Vec<Arc<str>>,
    places: HashMap<AggregateId, (i64, u32)>,
}

impl Reading {
    /// Reads to the end, to the first line that is wrong, or until the import stops.
    pub(super) fn run(self, mut input: impl BufRead) -> Result<(), ImportError> {
        let mut places = Places::default();
        let mut text = Vec::new();
        let mut number = 0;
        loop {
            text.clear();
            number += 1;
            let failed = |source| ImportError::Read { line: number, source };
            let bytes = input.by_ref().take(MAX_LINE + 1).read_until(b'\n', &mut text);
            let bytes = bytes.map_err(failed)? as u64;
            if bytes == 0 || self.stop.is_cancelled() {
                return Ok(());
            }
            let wrong = |reason| ImportError::Line { line: number, reason };
            if bytes > MAX_LINE {
                return Err(wrong(format!("it is longer than {MAX_LINE} bytes")));
            }
            self.counts.lines.store(number, Relaxed);
            self.counts.bytes.fetch_add(bytes, Relaxed);
            // Some tools begin a file with a byte order mark.
            let mark = if number == 1 { "\u{feff}".as_bytes() } else { b"" };
            let line = text.strip_prefix(mark).unwrap_or(&text).trim_ascii();
            if line.is_empty() {
                continue;
            }
            let event = parse(line, self.default_type.as_deref()).map_err(wrong)?;
            let (sequence_number, aggregate_type) = places.next(number, &event)?;
            self.check(&event, sequence_number, &aggregate_type).map_err(wrong)?;
            self.counts.aggregates.store(places.places.len() as u64, Relaxed);
            // At most MAX_LINE, which is far below the budget.
            let room = Arc::clone(&self.budget).acquire_many_owned(line.len() as u32);
            let Ok(_room) = self.runtime.block_on(room) else { return Ok(()) };
            let place = event.aggregate_id.0.as_u128() % self.queues.len().max(1) as u128;
            let Some(queue) = self.queues.get(place as usize) else { return Ok(()) };
            let read = OnItsWay { line: number, aggregate_type, sequence_number, event, _room };
            // Who does not take it has failed, and says why.
            if queue.blocking_send(read).is_err() {
                return Ok(());
            }
        }
    }

    /// Whether the domain knows the event, where a domain was named.
    fn check(
        &self,
        event: &Line,
        sequence_number: i64,
        aggregate_type: &Arc<str>,
    ) -> Result<(), String> {
        let envelope = EventEnvelope {
            aggregate_id: event.aggregate_id,
            aggregate_type: Arc::clone(aggregate_type),
            sequence_number,
            event_id: EventId(uuid::Uuid::nil()),
            event_type: event.event_type.as_str().into(),
            event_version: event.event_version,
            event: event.payload.clone(),
            metadata: event.metadata.clone(),
            correlation_id: None,
            causation_id: None,
            commit_id: CommitId(uuid::Uuid::nil()),
            committed_at: 0,
            previous_committed_at: None,
            created_at: event.time,
            state_before: None,
            state_after: None,
        };
        match self.checks.get(&**aggregate_type) {
            Some(check) => check(&self.upcasters, &envelope).map_err(|e| e.to_string()),
            None if self.checks.is_empty() => {
                self.upcasters.upcast(&envelope).map(drop).map_err(|e| e.to_string())
            }
            None => {
                let mut known: Vec<&str> = self.checks.keys().copied().collect();
                known.sort_unstable();
                Err(format!(
                    "there are no aggregates of type {aggregate_type:?} here, but of {}",
                    known.join(", ")
                ))
            }
        }
    }
}

impl Places {
    /// The event's sequence number, which continues its aggregate's, and its type.
    fn next(&mut self, line: u64, event: &Line) -> Result<(i64, Arc<str>), ImportError> {
        let aggregate_id = event.aggregate_id;
        let Some((last, index)) = self.places.get_mut(&aggregate_id) else {
            let number = event.sequence_number.unwrap_or(1);
            let known = self.types.iter().position(|known| **known == *event.aggregate_type);
            let index = known.unwrap_or_else(|| {
                self.types.push(event.aggregate_type.as_str().into());
                self.types.len() - 1
            });
            let aggregate_type = Arc::clone(&self.types[index]);
            self.places.insert(aggregate_id, (number, index as u32));
            return Ok((number, aggregate_type));
        };
        let aggregate_type = Arc::clone(&self.types[*index as usize]);
        if *aggregate_type != *event.aggregate_type {
            return Err(ImportError::Line {
                line,
                reason: format!(
                    "aggregate {aggregate_id} is a {}, and a {aggregate_type} in lines before",
                    event.aggregate_type
                ),
            });
        }
        let found = event.sequence_number.unwrap_or(*last + 1);
        if found != *last + 1 {
            return Err(ImportError::Sequence { line, aggregate_id, at: *last, found });
        }
        *last = found;
        Ok((found, aggregate_type))
    }
}

//! Progress: how far each stream has been read, and what of it is not done.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use parking_lot::Mutex;

/// A CDC stream's id.
pub(crate) type StreamId = u128;

/// Milliseconds since 1970, the resolution of scylla-cdc's windows.
pub(crate) type Millis = i64;

/// What a group has read and done, of the streams of the current CDC generation and of
/// what is left of earlier ones. Shared by the sweep, the lanes and the checkpoint writer.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    generation: Millis,
    /// Where a group stands that replays: the streams are then the parts of the ring.
    stands: Option<Millis>,
    streams: HashMap<StreamId, Stream>,
    next_ticket: u64,
    in_flight: usize,
}

#[derive(Debug)]
struct Stream {
    generation: Millis,
    /// Every row before this has been read; `None`: the sweep has not come to this stream,
    /// only the tail.
    position: Option<Millis>,
    /// Rows read and not done: their time and ticket.
    open: BTreeSet<(Millis, u64)>,
}

impl Stream {
    fn unswept() -> Self {
        Self { generation: Millis::MAX, position: None, open: BTreeSet::new() }
    }

    /// Every row before this is done, as far as the sweep has come.
    fn watermark(&self) -> Option<Millis> {
        let position = self.position?;
        Some(self.open.first().map_or(position, |(time, _)| position.min(*time)))
    }
}

/// An event that has been read and is not done. Dropping it without [`Ticket::done`] leaves
/// it open, so that no checkpoint passes it.
#[derive(Debug)]
#[must_use]
pub(crate) struct Ticket {
    progress: Arc<Progress>,
    stream: StreamId,
    time: Millis,
    number: u64,
}

impl Ticket {
    /// The event is done.
    pub(crate) fn done(self) {
        let mut state = self.progress.state.lock();
        state.in_flight -= 1;
        if let Some(stream) = state.streams.get_mut(&self.stream) {
            stream.open.remove(&(self.time, self.number));
        }
    }
}

/// A stream's progress as it may be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StreamProgress {
    pub(crate) stream: StreamId,
    pub(crate) generation: Millis,
    pub(crate) watermark: Millis,
}

impl Progress {
    /// Of a replay: its streams are the parts of the token ring and their times tokens, and
    /// the group stands at `since` until it is through.
    pub(crate) fn replaying(since: Millis) -> Self {
        Self { state: Mutex::new(State { stands: Some(since), ..State::default() }) }
    }

    /// The reader begins with the streams of this generation: those before it are read.
    pub(crate) fn begin_generation(&self, generation: Millis) {
        self.state.lock().generation = generation;
    }

    /// A stream of the current generation begins to be read here.
    pub(crate) fn begin_stream(&self, stream: StreamId, position: Millis) {
        let mut state = self.state.lock();
        let generation = state.generation;
        // The tail may have been here before.
        let stream = state.streams.entry(stream).or_insert_with(Stream::unswept);
        stream.generation = generation;
        stream.position = Some(position);
    }

    /// Every row of the stream before `position` has been read.
    pub(crate) fn advance(&self, stream: StreamId, position: Millis) {
        if let Some(stream) = self.state.lock().streams.get_mut(&stream) {
            stream.position = stream.position.map(|before| before.max(position));
        }
    }

    /// An event of the stream has been read and is going to be handled.
    pub(crate) fn open(self: &Arc<Self>, stream: StreamId, time: Millis) -> Ticket {
        let mut state = self.state.lock();
        let number = state.next_ticket;
        state.next_ticket += 1;
        state.in_flight += 1;
        let entry = state.streams.entry(stream).or_insert_with(Stream::unswept);
        entry.open.insert((time, number));
        Ticket { progress: Arc::clone(self), stream, time, number }
    }

    /// Events read and not done.
    pub(crate) fn in_flight(&self) -> usize {
        self.state.lock().in_flight
    }

    /// Every row before this is done, in all streams; `None` before any is read.
    pub(crate) fn watermark(&self) -> Option<Millis> {
        let state = self.state.lock();
        if state.stands.is_some() {
            return state.stands;
        }
        relevant(&state).filter_map(|(_, stream)| stream.watermark()).min()
    }

    /// How far the sweep has read each stream of the current generation.
    pub(crate) fn positions(&self) -> HashMap<StreamId, Millis> {
        let state = self.state.lock();
        let current = state.streams.iter().filter(|(_, s)| s.generation == state.generation);
        current.filter_map(|(id, s)| Some((*id, s.position?))).collect()
    }

    /// How far the sweep has read all streams; `None` before it reads any.
    pub(crate) fn position(&self) -> Option<Millis> {
        let state = self.state.lock();
        let current = state.streams.values().filter(|s| s.generation == state.generation);
        current.filter_map(|s| s.position).min()
    }

    /// What may be stored for each stream, and the current generation. Streams of earlier
    /// generations that are read and done to the end are forgotten and not among them.
    pub(crate) fn snapshot(&self) -> (Vec<StreamProgress>, Millis) {
        let mut state = self.state.lock();
        let current = state.generation;
        state
            .streams
            .retain(|_, s| !s.open.is_empty() || (s.position.is_some() && s.generation >= current));
        let progress = state
            .streams
            .iter()
            .filter_map(|(id, s)| {
                Some(StreamProgress {
                    stream: *id,
                    generation: s.generation,
                    watermark: s.watermark()?,
                })
            })
            .collect();
        (progress, current)
    }
}

/// Streams whose watermark counts: an earlier generation's only while it has open events.
fn relevant(state: &State) -> impl Iterator<Item = (&StreamId, &Stream)> {
    state.streams.iter().filter(|(_, s)| s.generation == state.generation || !s.open.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watermark_never_passes_an_event_that_is_not_done() {
        let progress = Arc::new(Progress::default());
        progress.begin_generation(1);
        progress.begin_stream(7, 100);
        let (first, second) = (progress.open(7, 110), progress.open(7, 120));
        progress.advance(7, 200);
        assert_eq!(progress.watermark(), Some(110));
        second.done();
        assert_eq!(progress.watermark(), Some(110));
        first.done();
        assert_eq!(progress.watermark(), Some(200));
        assert_eq!(progress.in_flight(), 0);
    }

    #[test]
    fn an_event_of_a_window_that_is_not_read_to_its_end_holds_nothing_back_before_it() {
        let progress = Arc::new(Progress::default());
        progress.begin_stream(7, 100);
        let event = progress.open(7, 150);
        assert_eq!(progress.watermark(), Some(100));
        event.done();
        assert_eq!(progress.watermark(), Some(100));
    }

    #[test]
    fn what_the_tail_shows_of_a_stream_that_the_sweep_has_not_come_to_is_no_progress() {
        let progress = Arc::new(Progress::default());
        progress.begin_generation(1);
        progress.begin_stream(7, 100);
        let hint = progress.open(8, 300);
        assert_eq!(progress.watermark(), Some(100));
        assert_eq!(progress.snapshot().0.len(), 1);
        progress.begin_generation(200);
        progress.begin_stream(8, 200);
        progress.advance(8, 400);
        assert_eq!(progress.watermark(), Some(300), "it is not done");
        hint.done();
        assert_eq!(progress.watermark(), Some(400));
        assert_eq!(progress.position(), Some(400));
    }

    #[test]
    fn a_dropped_ticket_stays_open() {
        let progress = Arc::new(Progress::default());
        progress.begin_stream(7, 100);
        drop(progress.open(7, 110));
        progress.advance(7, 200);
        assert_eq!(progress.watermark(), Some(110));
    }

    #[test]
    fn streams_of_an_earlier_generation_are_kept_until_they_are_done() {
        let progress = Arc::new(Progress::default());
        progress.begin_generation(1);
        progress.begin_stream(7, 100);
        let late = progress.open(7, 110);
        progress.advance(7, 200);
        progress.begin_generation(200);
        progress.begin_stream(8, 200);
        assert_eq!(progress.snapshot().0.len(), 2);
        assert_eq!(progress.watermark(), Some(110));
        late.done();
        let (kept, generation) = progress.snapshot();
        assert_eq!(generation, 200);
        assert_eq!(kept, [StreamProgress { stream: 8, generation: 200, watermark: 200 }]);
    }
}

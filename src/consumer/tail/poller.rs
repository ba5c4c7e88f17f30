//! Reads the end of the log, again and again.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::{self, Stream};
use scylla::response::PagingState;
use tokio::time::{Instant, sleep_until};

use super::seen::Seen;
use super::shared::Listeners;
use super::streams::{CurrentStreams, StreamSet};
use super::subscription::EVENTS_PER_MESSAGE;
use crate::consumer::log_query::{LogPage, LogQuery};
use crate::consumer::log_row::LogEvent;
use crate::consumer::progress::Millis;
use crate::consumer::settings::{TailSettings, millis};
use crate::store::{Backoff, DatabaseError};
use crate::time::now_micros;

/// How far ahead of now rows are looked for: ScyllaDB refuses writes to a table with CDC
/// whose timestamps are more than 5 s ahead of its clock.
const AHEAD: Millis = 5_000;

/// Queries at once.
const CONCURRENT: usize = 8;

/// Polls without a row before the poller slows down.
const QUIET_POLLS: u32 = 40;

/// The most that is read after a pause. What is longer ago the groups read for themselves,
/// each at its own pace.
const LONGEST: Millis = 5_000;

pub(super) struct Poller {
    query: LogQuery,
    settings: TailSettings,
    listeners: Arc<Listeners>,
}

/// What a poll leaves for the next.
struct Position {
    streams: StreamSet,
    seen: Seen,
    /// When the last poll that succeeded began.
    last: Millis,
    /// The same of those that read the wide overlap.
    last_wide: Millis,
    polls: u32,
    /// Polls in a row that found nothing.
    quiet: u32,
}

impl Poller {
    pub(super) fn new(query: LogQuery, settings: TailSettings, listeners: Arc<Listeners>) -> Self {
        Self { query, settings, listeners }
    }

    /// Polls for ever.
    pub(super) async fn run(self, mut streams: CurrentStreams) {
        let new_backoff = || Backoff::new(Duration::from_millis(50), Duration::from_secs(5));
        let mut backoff = new_backoff();
        let now = now_micros() / 1000;
        let mut position = Position {
            last: now,
            last_wide: now,
            streams: streams.first().await,
            seen: Seen::default(),
            polls: 0,
            quiet: 0,
        };
        loop {
            let began = Instant::now();
            if let Some(set) = streams.changed() {
                if set.newest > position.streams.newest {
                    position.last = position.last.min(set.newest);
                }
                position.streams = set;
            }
            match self.poll(&mut position).await {
                Ok(()) => backoff = new_backoff(),
                Err(error) => {
                    tracing::warn!(%error, "the end of the CDC log cannot be read yet");
                    backoff.wait().await;
                }
            }
            sleep_until(began + self.pause(position.quiet)).await;
            // Never without a pause, however long a poll takes.
            tokio::time::sleep(self.settings.sleep_interval / 5).await;
        }
    }

    fn pause(&self, quiet: u32) -> Duration {
        let slower = 1 << quiet.saturating_sub(QUIET_POLLS).div_ceil(8).min(8);
        let pause = self.settings.sleep_interval * slower;
        pause.min(self.settings.idle_interval.max(self.settings.sleep_interval))
            - self.settings.sleep_interval / 5
    }

    async fn poll(&self, position: &mut Position) -> Result<(), DatabaseError> {
        let now = now_micros() / 1000;
        let wide = millis(self.settings.wide_overlap);
        let mut from = position.last.min(now) - millis(self.settings.overlap);
        if now - position.last > LONGEST {
            // A pause of the process, of the database, or a clock set forward.
            self.listeners.missed(from);
            from = now - wide;
            position.last_wide = now;
        }
        let is_wide = self.is_wide(position, now);
        if is_wide {
            // What the last wide poll could not see yet and is late by less than that.
            from = from.min(position.last_wide.min(now) - wide);
            position.seen.forget_before(from - wide);
        }
        let mut found = false;
        let pages = self.pages(&position.streams, from, now + AHEAD);
        futures::pin_mut!(pages);
        while let Some(page) = pages.next().await {
            found |= self.give(&page?, &mut position.seen)?;
        }
        position.quiet = if found { 0 } else { position.quiet.saturating_add(1) };
        position.polls = position.polls.wrapping_add(1);
        position.last = now;
        if is_wide {
            position.last_wide = now;
        }
        Ok(())
    }

    /// Whether this poll is to read the wide overlap: every so many, however long they take,
    /// and where there is nothing to read again, each.
    fn is_wide(&self, position: &Position, now: Millis) -> bool {
        position.quiet > 0
            || position.polls.is_multiple_of(self.settings.wide_every)
            || now - position.last_wide >= millis(self.settings.wide_overlap)
    }

    /// What the streams show, several queries at once, page by page.
    fn pages(
        &self,
        streams: &StreamSet,
        from: Millis,
        until: Millis,
    ) -> impl Stream<Item = Result<LogPage, DatabaseError>> {
        let queries = Arc::clone(&streams.queries);
        stream::iter(0..queries.len())
            .map(move |number| {
                let (queries, query) = (Arc::clone(&queries), self.query.clone());
                let start = Some(PagingState::start());
                Box::pin(stream::try_unfold(start, move |state| {
                    let (queries, query) = (Arc::clone(&queries), query.clone());
                    async move {
                        let (Some(state), Some(ids)) = (state, queries.get(number)) else {
                            return Ok(None);
                        };
                        let mut page = query.page(ids, from, until, state).await?;
                        let next = page.next.take();
                        Ok(Some((page, next)))
                    }
                }))
            })
            .flatten_unordered(CONCURRENT)
    }

    /// Gives the page's new events to all who listen; whether there were any.
    fn give(&self, page: &LogPage, seen: &mut Seen) -> Result<bool, DatabaseError> {
        let mut found = false;
        let mut events: Vec<LogEvent> = Vec::new();
        for row in page.rows()? {
            let row = row?;
            if !seen.is_new(row.id()) {
                continue;
            }
            found = true;
            match row.event(events.last()) {
                Ok(Some(event)) => events.push(event),
                Ok(None) => {}
                // The sweep meets it too, and says which row it is.
                Err(reason) => tracing::debug!(%reason, "a row of the CDC log is no event"),
            }
            if events.len() == EVENTS_PER_MESSAGE {
                self.listeners.give(&std::mem::take(&mut events).into());
            }
        }
        if !events.is_empty() {
            self.listeners.give(&events.into());
        }
        Ok(found)
    }
}

//! The streams that rows may appear in at present.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use crate::consumer::log_query::STREAMS_PER_QUERY;
use crate::consumer::log_streams::LogStreams;
use crate::consumer::progress::Millis;
use crate::store::{Backoff, DatabaseError};
use crate::time::now_micros;

/// How often new generations are looked for. ScyllaDB announces one about a minute before
/// it begins; one that is announced later is read from its beginning on when it is found.
const LOOK: Duration = Duration::from_secs(1);

/// How long the streams of an ended generation are still read: a write takes 10 s at most.
const LINGER: Millis = 15_000;

/// A set of streams, in parts of one query each.
#[derive(Debug, Default, Clone)]
pub(super) struct StreamSet {
    /// When the newest generation in it begins.
    pub(super) newest: Millis,
    generations: Vec<Millis>,
    pub(super) queries: Arc<[Vec<Vec<u8>>]>,
}

/// The set, kept up to date.
pub(super) struct CurrentStreams {
    set: watch::Receiver<StreamSet>,
    _task: AbortOnDropHandle<()>,
}

impl CurrentStreams {
    pub(super) fn watch(streams: LogStreams) -> Self {
        let (sender, set) = watch::channel(StreamSet::default());
        let task = tokio::spawn(keep(streams, sender));
        Self { set, _task: AbortOnDropHandle::new(task) }
    }

    /// Waits until there are streams.
    pub(super) async fn first(&mut self) -> StreamSet {
        // The sender lives as long as its task, which ends with us.
        match self.set.wait_for(|set| !set.queries.is_empty()).await {
            Ok(set) => set.clone(),
            Err(_) => StreamSet::default(),
        }
    }

    /// The set if it has changed since it was asked for.
    pub(super) fn changed(&mut self) -> Option<StreamSet> {
        match self.set.has_changed() {
            Ok(true) => Some(self.set.borrow_and_update().clone()),
            _ => None,
        }
    }
}

async fn keep(streams: LogStreams, sender: watch::Sender<StreamSet>) {
    let new_backoff = || Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
    let mut backoff = new_backoff();
    loop {
        let known = sender.borrow().generations.clone();
        match look(&streams, &known).await {
            Ok(changed) => {
                if let Some(set) = changed {
                    sender.send_replace(set);
                }
                backoff = new_backoff();
                tokio::time::sleep(LOOK).await;
            }
            Err(error) => {
                tracing::warn!(%error, "the CDC log's streams cannot be listed yet");
                backoff.wait().await;
            }
        }
    }
}

/// The present set if it is not that of the `known` generations.
async fn look(streams: &LogStreams, known: &[Millis]) -> Result<Option<StreamSet>, DatabaseError> {
    let generations = relevant(&streams.generations().await?, now_micros() / 1000);
    if generations == known {
        return Ok(None);
    }
    let mut ids = Vec::new();
    for generation in &generations {
        ids.extend(streams.streams(*generation).await?);
    }
    let queries = ids.chunks(STREAMS_PER_QUERY).map(<[_]>::to_vec).collect();
    let newest = generations.last().copied().unwrap_or(0);
    Ok(Some(StreamSet { newest, generations, queries }))
}

/// Of all generations, oldest first, those that rows may still or soon appear in.
fn relevant(generations: &[Millis], now: Millis) -> Vec<Millis> {
    let over = generations.iter().filter(|began| **began <= now - LINGER).count();
    generations.iter().skip(over.saturating_sub(1)).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_present_the_next_and_the_generation_just_ended_are_relevant() {
        let now = 1_000_000;
        let all = [1, 2, now - LINGER - 1, now - 1, now + 60_000];
        assert_eq!(relevant(&all, now), all[2..]);
        assert_eq!(relevant(&all, now + LINGER), all[3..]);
        assert_eq!(relevant(&[5], now), [5]);
        assert_eq!(relevant(&[now + 1], now), [now + 1]);
        assert_eq!(relevant(&[], now), [] as [Millis; 0]);
    }
}

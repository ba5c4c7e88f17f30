//! An aggregate's history as a stream.

use std::ops::{Bound, ControlFlow, RangeBounds};

use futures::stream::{self, BoxStream, StreamExt};

use super::load::EventPages;
use crate::event::EventEnvelope;
use crate::ids::AggregateId;
use crate::store::{EventStore, StoreError};

impl EventStore {
    /// An aggregate's events with these sequence numbers, in order, as a stream: a page is
    /// read when the one before has been taken, so that a history of any length takes the
    /// memory of one page ([`StoreSettings::page_size`](crate::store::StoreSettings)).
    ///
    /// The events are as they are stored, also those that this build does not know: what was
    /// recorded is what a history is asked for. To see them as those of today, give each to
    /// [`Upcasters::upcast`](crate::Upcasters::upcast) of [`EventStore::upcasters`].
    ///
    /// A stream without events: the aggregate has none in that range.
    ///
    /// ```no_run
    /// # async fn example(store: messina::EventStore, id: messina::AggregateId)
    /// #     -> Result<(), messina::StoreError> {
    /// use futures::TryStreamExt;
    ///
    /// let mut history = store.history(id, 100..=200);
    /// while let Some(event) = history.try_next().await? {
    ///     println!("{} {}", event.sequence_number, event.event_type);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`EventStore::events`]; the events before the one at fault come first, and nothing
    /// comes after an error.
    pub fn history(
        &self,
        id: AggregateId,
        versions: impl RangeBounds<i64>,
    ) -> BoxStream<'static, Result<EventEnvelope, StoreError>> {
        let (after, up_to) = bounds(&versions);
        let first = (after < up_to).then(|| EventPages::new(id, after, up_to));
        let store = self.clone();
        let pages = stream::unfold((store, first), async |(store, next)| {
            let mut events = Vec::new();
            let read = store.read_page(next?, |envelope, _| {
                events.push(Ok(envelope.clone()));
                Ok(ControlFlow::Continue(()))
            });
            let next = read.await.unwrap_or_else(|error| {
                events.push(Err(error));
                None
            });
            Some((stream::iter(events), (store, next)))
        });
        pages.flatten().boxed()
    }
}

/// The range as `(after, up_to]`.
fn bounds(versions: &impl RangeBounds<i64>) -> (i64, i64) {
    let after = match versions.start_bound() {
        Bound::Included(first) => first.saturating_sub(1),
        Bound::Excluded(after) => *after,
        Bound::Unbounded => 0,
    };
    let up_to = match versions.end_bound() {
        Bound::Included(last) => *last,
        Bound::Excluded(end) => end.saturating_sub(1),
        Bound::Unbounded => i64::MAX,
    };
    (after.max(0), up_to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_every_kind_are_understood() {
        assert_eq!(bounds(&(..)), (0, i64::MAX));
        assert_eq!(bounds(&(3..=5)), (2, 5));
        assert_eq!(bounds(&(3..5)), (2, 4));
        assert_eq!(bounds(&(..i64::MIN)), (0, i64::MIN));
        assert_eq!(bounds(&(-7..)), (0, i64::MAX));
        assert_eq!(bounds(&(Bound::Excluded(4), Bound::Unbounded)), (4, i64::MAX));
    }
}

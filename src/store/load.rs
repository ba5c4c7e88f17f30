//! Reading aggregates: their events in order, folded into state.

use std::ops::ControlFlow;
use std::time::SystemTime;

use scylla::response::PagingState;

use super::rows::EventRow;
use super::store::unavailable;
use crate::aggregate::{Aggregate, Loaded};
use crate::event::EventEnvelope;
use crate::ids::AggregateId;
use crate::store::{EventStore, StoreError};

impl EventStore {
    /// The aggregate as its events tell it; without events: version 0 and the default state.
    ///
    /// # Errors
    /// [`StoreError::CorruptEvent`] names an event that cannot be read,
    /// [`StoreError::Corrupt`] a gap; [`StoreError::Unavailable`] when the database does
    /// not answer.
    pub async fn load<A: Aggregate>(&self, id: AggregateId) -> Result<Loaded<A>, StoreError> {
        let mut loaded = Loaded::new(id);
        self.refresh(&mut loaded).await?;
        Ok(loaded)
    }

    /// The aggregate as it was after `version` events; all of them if it has fewer.
    ///
    /// # Errors
    /// As [`EventStore::load`].
    pub async fn load_at<A: Aggregate>(
        &self,
        id: AggregateId,
        version: i64,
    ) -> Result<Loaded<A>, StoreError> {
        let mut loaded = Loaded::new(id);
        self.fold(&mut loaded, version, i64::MAX).await?;
        Ok(loaded)
    }

    /// The aggregate as it was at `time`: with the events committed until then.
    ///
    /// # Errors
    /// As [`EventStore::load`].
    pub async fn load_as_of<A: Aggregate>(
        &self,
        id: AggregateId,
        time: SystemTime,
    ) -> Result<Loaded<A>, StoreError> {
        let until = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_micros();
        let mut loaded = Loaded::new(id);
        self.fold(&mut loaded, i64::MAX, i64::try_from(until).unwrap_or(i64::MAX)).await?;
        Ok(loaded)
    }

    /// Whether the aggregate has any events.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the database does not answer.
    pub async fn exists(&self, id: AggregateId) -> Result<bool, StoreError> {
        let operation = "looking for an aggregate";
        let result = self
            .inner
            .session
            .execute_unpaged(&self.inner.statements.read_written, (id.0, 1_i64))
            .await
            .map_err(unavailable(operation))?;
        Ok(result.into_rows_result().map_err(unavailable(operation))?.rows_num() > 0)
    }

    /// Takes in what happened since `loaded` was loaded.
    ///
    /// # Errors
    /// As [`EventStore::load`]; `loaded` has taken in the events before the one at fault.
    pub async fn refresh<A: Aggregate>(&self, loaded: &mut Loaded<A>) -> Result<(), StoreError> {
        self.fold(loaded, i64::MAX, i64::MAX).await
    }

    /// Takes in the events up to this version and time (µs since 1970).
    async fn fold<A: Aggregate>(
        &self,
        loaded: &mut Loaded<A>,
        version: i64,
        until: i64,
    ) -> Result<(), StoreError> {
        let after = loaded.version;
        self.read_events(loaded.id, after, version, |envelope, write_time| {
            // Times increase along an aggregate: what follows is later still.
            if envelope.committed_at > until {
                return Ok(ControlFlow::Break(()));
            }
            if *envelope.aggregate_type != *A::TYPE {
                return Err(StoreError::Corrupt {
                    aggregate_id: envelope.aggregate_id,
                    sequence_number: envelope.sequence_number,
                    reason: format!("it is a {}, not a {}", envelope.aggregate_type, A::TYPE),
                });
            }
            for part in self.upcasters.upcast(envelope)?.iter() {
                loaded.state.apply(&part.decode_event::<A::Event>()?);
            }
            loaded.version = envelope.sequence_number;
            loaded.last_committed_at = envelope.committed_at;
            loaded.last_write_time = write_time;
            loaded.last_commit = Some(envelope.commit_id);
            Ok(ControlFlow::Continue(()))
        })
        .await
    }

    /// An aggregate's events with sequence numbers in `(after, up_to]`, in order.
    ///
    /// # Errors
    /// As [`EventStore::load`], but for the payloads, which are not looked at.
    pub async fn events(
        &self,
        id: AggregateId,
        after: i64,
        up_to: i64,
    ) -> Result<Vec<EventEnvelope>, StoreError> {
        let mut events = Vec::new();
        self.read_events(id, after, up_to, |envelope, _| {
            events.push(envelope.clone());
            Ok(ControlFlow::Continue(()))
        })
        .await?;
        Ok(events)
    }

    /// As [`EventStore::events`], each with the time that it was written at, µs since 1970:
    /// that of its row in the CDC log.
    pub(crate) async fn written_events(
        &self,
        id: AggregateId,
        after: i64,
        up_to: i64,
    ) -> Result<Vec<(EventEnvelope, i64)>, StoreError> {
        let mut events = Vec::new();
        self.read_events(id, after, up_to, |envelope, write_time| {
            events.push((envelope.clone(), write_time));
            Ok(ControlFlow::Continue(()))
        })
        .await?;
        Ok(events)
    }

    /// Gives each event in `(after, up_to]` with its write time to `take`, until that has
    /// enough, and checks that none is missing in between.
    async fn read_events(
        &self,
        id: AggregateId,
        after: i64,
        up_to: i64,
        mut take: impl FnMut(&EventEnvelope, i64) -> Result<ControlFlow<()>, StoreError>,
    ) -> Result<(), StoreError> {
        let mut next = Some(EventPages::new(id, after, up_to));
        while let Some(pages) = next {
            next = self.read_page(pages, &mut take).await?;
        }
        Ok(())
    }

    /// As [`EventStore::read_events`], one page; where the next one begins, if there is more
    /// to read and `take` wants it.
    pub(super) async fn read_page(
        &self,
        mut pages: EventPages,
        mut take: impl FnMut(&EventEnvelope, i64) -> Result<ControlFlow<()>, StoreError>,
    ) -> Result<Option<EventPages>, StoreError> {
        let operation = "loading events";
        let (id, range) = (pages.id, (pages.id.0, pages.after, pages.up_to));
        let (result, paging) = self
            .inner
            .session
            .execute_single_page(&self.inner.statements.load, range, pages.state)
            .await
            .map_err(unavailable(operation))?;
        let rows = result.into_rows_result().map_err(unavailable(operation))?;
        for row in rows.rows::<EventRow<'_>>().map_err(unavailable(operation))? {
            let row = row.map_err(unavailable(operation))?;
            let sequence_number = row.sequence_number;
            let corrupt =
                |reason| StoreError::Corrupt { aggregate_id: id, sequence_number, reason };
            if sequence_number != pages.last + 1 {
                return Err(corrupt(format!("the event after {} is missing", pages.last)));
            }
            let write_time = row.write_time.unwrap_or(0);
            let envelope = row.envelope(pages.previous.as_ref()).map_err(corrupt)?;
            if take(&envelope, write_time)?.is_break() {
                return Ok(None);
            }
            pages.last = sequence_number;
            pages.previous = Some(envelope);
        }
        match paging.into_paging_control_flow() {
            ControlFlow::Break(()) => Ok(None),
            ControlFlow::Continue(state) => Ok(Some(EventPages { state, ..pages })),
        }
    }
}

/// Where the reading of an aggregate's events goes on.
pub(super) struct EventPages {
    id: AggregateId,
    after: i64,
    up_to: i64,
    state: PagingState,
    /// The sequence number that was read last.
    last: i64,
    previous: Option<EventEnvelope>,
}

impl EventPages {
    /// The events in `(after, up_to]`.
    pub(super) fn new(id: AggregateId, after: i64, up_to: i64) -> Self {
        Self { id, after, up_to, state: PagingState::start(), last: after, previous: None }
    }
}

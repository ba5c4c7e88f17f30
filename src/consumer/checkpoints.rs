//! Progress in the database: `consumer_groups` and `consumer_checkpoints`.

use std::collections::HashMap;
use std::time::Duration;

use scylla::errors::SerializationError;
use scylla::serialize::row::{RowSerializationContext, SerializeRow};
use scylla::serialize::writers::RowWriter;
use scylla::statement::batch::{Batch, BatchType};
use scylla::statement::prepared::PreparedStatement;
use scylla::statement::{Consistency, SerialConsistency};
use scylla::value::{CqlTimestamp, MaybeUnset};

use crate::consumer::fence::Fence;
use crate::consumer::lease::Lease;
use crate::consumer::progress::{Millis, Progress, StreamId};
use crate::consumer::slice::Slice;
use crate::store::{
    DatabaseError, EventStore, prepare_conditional, prepare_repeatable, was_applied,
};
use crate::time::now_micros;

/// Reads and stores the progress of one slice of a group.
pub(crate) struct Checkpoints {
    store: EventStore,
    group: String,
    slice: i32,
    save: PreparedStatement,
    forget: PreparedStatement,
    claim: PreparedStatement,
    lease: Option<Held>,
    /// What is stored already, so that only changes are written.
    stored: tokio::sync::Mutex<HashMap<StreamId, Stored>>,
}

/// A stored checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stored {
    generation: Millis,
    watermark: Millis,
}

/// A group's progress as found at its start.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    /// Where the group began when it was new.
    pub(crate) started_from: Millis,
    /// Stored watermarks.
    pub(crate) streams: HashMap<StreamId, Millis>,
}

impl Found {
    /// Where reading has to begin so that nothing is missed.
    pub(crate) fn oldest(&self) -> Millis {
        self.streams.values().copied().min().unwrap_or(self.started_from)
    }

    /// Where a stream goes on. One without a row goes on where the group began: its row
    /// may have failed to be written when others' were.
    pub(crate) fn position(&self, stream: StreamId) -> Millis {
        self.streams.get(&stream).copied().unwrap_or(self.started_from)
    }
}

impl Checkpoints {
    pub(crate) async fn prepare(
        store: EventStore,
        group: &str,
        slice: Slice,
    ) -> Result<Self, DatabaseError> {
        let keyspace = store.keyspace();
        let session = store.session();
        let save = prepare_repeatable(
            session,
            format!(
                "INSERT INTO {keyspace}.consumer_checkpoints \
                 (group_name, slice, stream_id, slicing, generation, position, updated_at) \
                 VALUES (?, ?, ?, ?, ?, ?, ?)"
            ),
            None,
        )
        .await?;
        let forget = prepare_repeatable(
            session,
            format!(
                "DELETE FROM {keyspace}.consumer_checkpoints \
                 WHERE group_name = ? AND slice = ? AND stream_id = ?"
            ),
            None,
        )
        .await?;
        let claim = prepare_conditional(
            session,
            format!(
                "UPDATE {keyspace}.consumer_checkpoints SET term = ? \
                 WHERE group_name = ? AND slice = ? IF term = ?"
            ),
            Some(Duration::from_secs(5)),
        )
        .await?;
        Ok(Self {
            store,
            group: group.to_owned(),
            slice: i32::from(slice.index()),
            save,
            forget,
            claim,
            lease: None,
            stored: tokio::sync::Mutex::default(),
        })
    }

    /// Progress is stored only as long as nobody has a later lease of the slice.
    pub(crate) fn under(mut self, lease: &Lease) -> Self {
        let (term, slicing, fence) = (lease.term, lease.slicing, lease.fence.clone());
        self.lease = Some(Held { term, slicing, fence });
        self
    }

    /// The group's progress; a group that is new is recorded as beginning at `start`.
    pub(crate) async fn load(&self, start: Millis) -> Result<Found, DatabaseError> {
        self.claim().await?;
        let (session, keyspace) = (self.store.session(), self.store.keyspace());
        let read = prepare_repeatable(
            session,
            format!("SELECT started_from FROM {keyspace}.consumer_groups WHERE group_name = ?"),
            None,
        )
        .await?;
        let known = session
            .execute_unpaged(&read, (&self.group,))
            .await?
            .into_rows_result()?
            .maybe_first_row::<(Option<CqlTimestamp>,)>()?;
        let started_from = match known {
            Some((Some(started_from),)) => started_from.0,
            _ => {
                let insert = prepare_repeatable(
                    session,
                    format!(
                        "INSERT INTO {keyspace}.consumer_groups \
                         (group_name, started_from, created_at) VALUES (?, ?, ?)"
                    ),
                    None,
                )
                .await?;
                let now = CqlTimestamp(now_micros() / 1000);
                session.execute_unpaged(&insert, (&self.group, CqlTimestamp(start), now)).await?;
                start
            }
        };
        let read = prepare_repeatable(
            session,
            format!(
                "SELECT stream_id, generation, position, slicing FROM {keyspace}.consumer_checkpoints \
                 WHERE group_name = ? AND slice = ?"
            ),
            None,
        )
        .await?;
        let rows =
            session.execute_unpaged(&read, (&self.group, self.slice)).await?.into_rows_result()?;
        let mut stored = self.stored.lock().await;
        stored.clear();
        type Columns = (Option<Vec<u8>>, Option<CqlTimestamp>, Option<CqlTimestamp>, Option<i32>);
        let slicing = self.lease.as_ref().map_or(0, |lease| lease.slicing);
        for row in rows.rows::<Columns>()? {
            // A partition without rows still has its term.
            let (Some(stream), Some(generation), Some(watermark), of) = row? else { continue };
            // The group was divided otherwise then.
            if of.unwrap_or(0) != slicing {
                continue;
            }
            let id: [u8; 16] = stream.try_into().map_err(|id: Vec<u8>| {
                DatabaseError::Answer(format!("a stream id of {} bytes", id.len()))
            })?;
            stored.insert(
                StreamId::from_be_bytes(id),
                Stored { generation: generation.0, watermark: watermark.0 },
            );
        }
        let streams = stored.iter().map(|(id, s)| (*id, s.watermark)).collect();
        Ok(Found { started_from, streams })
    }

    /// Stores what has changed.
    pub(crate) async fn save(&self, progress: &Progress) -> Result<(), DatabaseError> {
        // One writer at a time: an older snapshot must not overtake a newer one.
        let mut stored = self.stored.lock().await;
        let (streams, current) = progress.snapshot();
        let mut changes = Vec::new();
        for s in &streams {
            let now = Stored { generation: s.generation, watermark: s.watermark };
            if stored.get(&s.stream) != Some(&now) {
                changes.push(Change::Save(s.stream, now));
            }
        }
        // Streams of earlier generations are done when progress no longer knows them.
        for (id, s) in stored.iter() {
            if s.generation < current && !streams.iter().any(|p| p.stream == *id) {
                changes.push(Change::Forget(*id));
            }
        }
        for part in changes.chunks(BATCH) {
            self.write(part).await?;
            for change in part {
                match change {
                    Change::Save(stream, now) => stored.insert(*stream, *now),
                    Change::Forget(stream) => stored.remove(stream),
                    Change::Term(_) => None,
                };
            }
        }
        Ok(())
    }

    async fn write(&self, changes: &[Change]) -> Result<(), DatabaseError> {
        let session = self.store.session();
        let key = (self.group.as_str(), self.slice);
        let slicing = self.lease.as_ref().map(|lease| lease.slicing);
        let rows = changes.iter().map(|change| Values { key, slicing, change });
        let Some(lease) = &self.lease else {
            for row in rows {
                session.execute_unpaged(self.statement(row.change), row).await?;
            }
            return Ok(());
        };
        // One transaction in the slice's partition: all of it, or, under a newer lease,
        // nothing.
        let term = Change::Term(lease.term);
        let guard = Values { key, slicing, change: &term };
        let values: Vec<_> = std::iter::once(guard).chain(rows).collect();
        let mut batch = Batch::new(BatchType::Unlogged);
        for row in &values {
            batch.append_statement(self.statement(row.change).clone());
        }
        batch.set_consistency(Consistency::LocalQuorum);
        batch.set_serial_consistency(Some(SerialConsistency::LocalSerial));
        if was_applied(session.batch(&batch, values).await?)? {
            return Ok(());
        }
        lease.fence.lose();
        Err(fenced())
    }

    fn statement(&self, change: &Change) -> &PreparedStatement {
        match change {
            Change::Save(..) => &self.save,
            Change::Forget(_) => &self.forget,
            Change::Term(_) => &self.claim,
        }
    }

    /// Makes sure that nobody with an earlier lease stores anything from now on.
    async fn claim(&self) -> Result<(), DatabaseError> {
        let Some(lease) = &self.lease else { return Ok(()) };
        let mut found: Option<i64> = None;
        loop {
            let values = (lease.term, &self.group, self.slice, found);
            let result = self.store.session().execute_unpaged(&self.claim, values).await?;
            let rows = result.into_rows_result()?;
            let (applied, term) = rows.single_row::<(bool, Option<i64>)>()?;
            if applied {
                return Ok(());
            }
            if term.is_some_and(|term| term > lease.term) {
                lease.fence.lose();
                return Err(fenced());
            }
            found = term;
        }
    }
}

/// Rows in one transaction: some 100 bytes each, far below what a batch may have.
const BATCH: usize = 500;

fn fenced() -> DatabaseError {
    DatabaseError::Answer("the progress belongs to a later lease".to_owned())
}

/// The lease that progress is stored under.
struct Held {
    term: i64,
    slicing: i32,
    fence: Fence,
}

/// A change to the slice's partition.
enum Change {
    Save(StreamId, Stored),
    Forget(StreamId),
    /// None, if the term is this one.
    Term(i64),
}

/// The values of a change's statement.
struct Values<'v> {
    key: (&'v str, i32),
    slicing: Option<i32>,
    change: &'v Change,
}

impl SerializeRow for Values<'_> {
    fn serialize(
        &self,
        ctx: &RowSerializationContext<'_>,
        writer: &mut RowWriter<'_>,
    ) -> Result<(), SerializationError> {
        let (group, slice) = self.key;
        match self.change {
            Change::Save(stream, now) => (
                group,
                slice,
                stream.to_be_bytes().to_vec(),
                MaybeUnset::from_option(self.slicing),
                CqlTimestamp(now.generation),
                CqlTimestamp(now.watermark),
                CqlTimestamp(now_micros() / 1000),
            )
                .serialize(ctx, writer),
            Change::Forget(stream) => {
                (group, slice, stream.to_be_bytes().to_vec()).serialize(ctx, writer)
            }
            Change::Term(term) => (*term, group, slice, Some(*term)).serialize(ctx, writer),
        }
    }

    fn is_empty(&self) -> bool {
        false
    }
}

//! Progress in the database: `consumer_groups` and `consumer_checkpoints`.

use std::collections::HashMap;

use scylla::client::session::Session;
use scylla::statement::Consistency;
use scylla::statement::prepared::PreparedStatement;
use scylla::value::CqlTimestamp;

use crate::consumer::progress::{Millis, Progress, StreamId};
use crate::consumer::slice::Slice;
use crate::store::{DatabaseError, EventStore};
use crate::time::now_micros;

/// Reads and stores the progress of one slice of a group.
pub(crate) struct Checkpoints {
    store: EventStore,
    group: String,
    slice: i32,
    save: PreparedStatement,
    forget: PreparedStatement,
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
        let save = prepare(
            session,
            format!(
                "INSERT INTO {keyspace}.consumer_checkpoints \
                 (group_name, slice, stream_id, generation, position, updated_at) \
                 VALUES (?, ?, ?, ?, ?, ?)"
            ),
        )
        .await?;
        let forget = prepare(
            session,
            format!(
                "DELETE FROM {keyspace}.consumer_checkpoints \
                 WHERE group_name = ? AND slice = ? AND stream_id = ?"
            ),
        )
        .await?;
        Ok(Self {
            store,
            group: group.to_owned(),
            slice: i32::from(slice.index()),
            save,
            forget,
            stored: tokio::sync::Mutex::default(),
        })
    }

    /// The group's progress; a group that is new is recorded as beginning at `start`.
    pub(crate) async fn load(&self, start: Millis) -> Result<Found, DatabaseError> {
        let (session, keyspace) = (self.store.session(), self.store.keyspace());
        let mut read = prepare(
            session,
            format!("SELECT started_from FROM {keyspace}.consumer_groups WHERE group_name = ?"),
        )
        .await?;
        read.set_is_idempotent(true);
        let known = session
            .execute_unpaged(&read, (&self.group,))
            .await?
            .into_rows_result()?
            .maybe_first_row::<(Option<CqlTimestamp>,)>()?;
        let started_from = match known {
            Some((Some(started_from),)) => started_from.0,
            _ => {
                let insert = prepare(
                    session,
                    format!(
                        "INSERT INTO {keyspace}.consumer_groups \
                         (group_name, started_from, created_at) VALUES (?, ?, ?)"
                    ),
                )
                .await?;
                let now = CqlTimestamp(now_micros() / 1000);
                session.execute_unpaged(&insert, (&self.group, CqlTimestamp(start), now)).await?;
                start
            }
        };
        let mut read = prepare(
            session,
            format!(
                "SELECT stream_id, generation, position FROM {keyspace}.consumer_checkpoints \
                 WHERE group_name = ? AND slice = ?"
            ),
        )
        .await?;
        read.set_is_idempotent(true);
        let rows =
            session.execute_unpaged(&read, (&self.group, self.slice)).await?.into_rows_result()?;
        let mut stored = self.stored.lock().await;
        stored.clear();
        for row in rows.rows::<(Vec<u8>, CqlTimestamp, CqlTimestamp)>()? {
            let (stream, generation, watermark) = row?;
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
        let session = self.store.session();
        let (streams, current) = progress.snapshot();
        for s in &streams {
            let now = Stored { generation: s.generation, watermark: s.watermark };
            if stored.get(&s.stream) == Some(&now) {
                continue;
            }
            let values = (
                &self.group,
                self.slice,
                s.stream.to_be_bytes().to_vec(),
                CqlTimestamp(s.generation),
                CqlTimestamp(s.watermark),
                CqlTimestamp(now_micros() / 1000),
            );
            session.execute_unpaged(&self.save, values).await?;
            stored.insert(s.stream, now);
        }
        // Streams of earlier generations are done when progress no longer knows them.
        let done: Vec<StreamId> = stored
            .iter()
            .filter(|(id, s)| s.generation < current && !streams.iter().any(|p| p.stream == **id))
            .map(|(id, _)| *id)
            .collect();
        for stream in done {
            let id = stream.to_be_bytes().to_vec();
            session.execute_unpaged(&self.forget, (&self.group, self.slice, id)).await?;
            stored.remove(&stream);
        }
        Ok(())
    }
}

async fn prepare(session: &Session, cql: String) -> Result<PreparedStatement, DatabaseError> {
    let mut statement = session.prepare(cql).await?;
    statement.set_consistency(Consistency::LocalQuorum);
    // Writing a checkpoint again writes the same.
    statement.set_is_idempotent(true);
    Ok(statement)
}

//! What records say.

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::codec::{Decoder, Encoder, Malformed};
use super::error::JournalError;
use super::mutations::{MutationDecoder, MutationEncoder};
use super::state::NodeState;
use crate::cdc::GenerationInfo;
use crate::schema::{Keyspace, Table};
use crate::store::PartitionRanges;
use crate::store::mutation::Mutation;
use std::sync::Arc;

/// A record's kind, as its frame says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// All mutations of one statement or batch, those of CDC logs included.
    Write = 1,
    /// What a schema statement changed.
    Schema = 2,
    /// TRUNCATE.
    Truncate = 3,
    /// Who the node is.
    Node = 4,
    /// The generations of streams that there are now.
    Streams = 5,
    /// Range tombstones of a partition, in snapshots.
    Ranges = 6,
    /// The journal was closed in good order, or the snapshot is whole.
    End = 7,
}

impl Kind {
    pub(super) fn of(byte: u8) -> Option<Self> {
        [
            Kind::Write,
            Kind::Schema,
            Kind::Truncate,
            Kind::Node,
            Kind::Streams,
            Kind::Ranges,
            Kind::End,
        ]
        .into_iter()
        .find(|kind| *kind as u8 == byte)
    }
}

/// What a schema statement changed of a keyspace.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct KeyspaceEdit {
    pub(super) name: String,
    /// The keyspace without its tables; `None`: it is gone, with all of them.
    pub(super) keyspace: Option<Keyspace>,
    /// Tables that are new or other than before.
    pub(super) tables: Vec<Arc<Table>>,
    /// Tables that are gone.
    pub(super) dropped: Vec<Uuid>,
}

/// What a schema statement changed.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct SchemaRecord {
    pub(super) keyspaces: Vec<KeyspaceEdit>,
    /// First streams of new tables on tablets, by the id of the log table.
    pub(super) streams: Vec<StreamsRecord>,
}

/// The generations that there are now.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct StreamsRecord {
    /// Of this log table, which is on tablets; `None`: of all keyspaces on vnodes.
    pub(super) log: Option<Uuid>,
    pub(super) generations: Vec<GenerationInfo>,
}

/// A record. What is rare is JSON, which takes new fields well.
#[derive(Debug)]
pub(super) enum Record {
    Write(Vec<Mutation>),
    Schema(SchemaRecord),
    Truncate(Uuid),
    Node(NodeState),
    Streams(StreamsRecord),
    Ranges(PartitionRanges),
    End,
}

/// Begins a record in `out`: the time up to which timestamps have been given ([`mark`]).
///
/// [`mark`]: crate::store::Clock::mark
fn begin(out: &mut Vec<u8>, mark: i64) {
    out.clear();
    out.extend(mark.to_le_bytes());
}

pub(super) fn write<'m>(
    out: &mut Vec<u8>,
    mark: i64,
    mutations: impl IntoIterator<Item = &'m Mutation>,
) {
    begin(out, mark);
    let mut encoder = MutationEncoder::new(out, mark);
    for mutation in mutations {
        encoder.mutation(mutation);
    }
}

pub(super) fn ranges(out: &mut Vec<u8>, mark: i64, ranges: &PartitionRanges) {
    begin(out, mark);
    MutationEncoder::new(out, mark).ranges(ranges);
}

pub(super) fn truncate(out: &mut Vec<u8>, mark: i64, table: Uuid) {
    begin(out, mark);
    Encoder(out).uuid(table);
}

pub(super) fn end(out: &mut Vec<u8>, mark: i64) {
    begin(out, mark);
}

/// What cannot be read back is refused: better now than at the next start.
pub(super) fn json<T: Serialize + DeserializeOwned>(
    out: &mut Vec<u8>,
    mark: i64,
    value: &T,
) -> Result<(), JournalError> {
    begin(out, mark);
    serde_json::to_writer(&mut *out, value)
        .and_then(|()| serde_json::from_slice::<T>(&out[8..]).map(drop))
        .map_err(|error| JournalError::Unwritable(error.to_string()))
}

/// The record and its mark.
pub(super) fn decode(kind: Kind, record: Bytes) -> Result<(Record, i64), String> {
    let not_one = |Malformed| format!("a {kind:?} record is not one");
    let Some((mark, _)) = record.split_first_chunk::<8>() else {
        return Err(not_one(Malformed));
    };
    let mark = i64::from_le_bytes(*mark);
    let body = record.slice(8..);
    fn parsed<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
        serde_json::from_slice(body).map_err(|error| error.to_string())
    }
    let decoder = Decoder::new(body.clone());
    let record = match kind {
        Kind::Write => {
            Record::Write(MutationDecoder::new(decoder, mark).mutations().map_err(not_one)?)
        }
        Kind::Ranges => {
            Record::Ranges(MutationDecoder::new(decoder, mark).ranges().map_err(not_one)?)
        }
        Kind::Truncate => {
            let mut decoder = decoder;
            Record::Truncate(decoder.uuid().map_err(not_one)?)
        }
        Kind::Schema => Record::Schema(parsed(&body)?),
        Kind::Node => Record::Node(parsed(&body)?),
        Kind::Streams => Record::Streams(parsed(&body)?),
        Kind::End => Record::End,
    };
    Ok((record, mark))
}

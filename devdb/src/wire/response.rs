//! Responses, encoded into frames.

use bytes::{BufMut, BytesMut};
use md5::{Digest, Md5};

use crate::error::{CqlError, ErrorKind};
use crate::request::{ColumnSpec, Consistency, PreparedInfo, Rows, SchemaChange};
use crate::types::CqlType;

use super::body::{BodyWriter, consistency_code};
use super::extensions::{Extensions, LWT_MARK_BIT, supported};
use super::frame::{Opcode, put_frame};

const RESULT_VOID: i32 = 0x1;
const RESULT_ROWS: i32 = 0x2;
const RESULT_SET_KEYSPACE: i32 = 0x3;
const RESULT_PREPARED: i32 = 0x4;
const RESULT_SCHEMA_CHANGE: i32 = 0x5;

const GLOBAL_TABLE: u32 = 0x1;
const HAS_MORE_PAGES: u32 = 0x2;
const NO_METADATA: u32 = 0x4;
const METADATA_CHANGED: u32 = 0x8;

/// Where a response goes and what the connection agreed on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Envelope {
    /// The request's protocol version.
    pub version: u8,
    /// The request's stream.
    pub stream: i16,
    /// Agreed in STARTUP.
    pub extensions: Extensions,
}

/// What a ROWS result says about its columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum RowsMetadata {
    /// Everything.
    Full,
    /// Nothing but their number: the client knows.
    Skipped,
    /// Everything, with the id of it, because the client's is another.
    Changed([u8; 16]),
}

impl Envelope {
    fn put(&self, out: &mut BytesMut, opcode: Opcode, write: impl FnOnce(&mut BytesMut)) {
        put_frame(out, self.version, self.stream, opcode, self.extensions.compression, write);
    }

    /// READY.
    pub(super) fn ready(&self, out: &mut BytesMut) {
        self.put(out, Opcode::Ready, |_| {});
    }

    /// SUPPORTED.
    pub(super) fn supported(&self, out: &mut BytesMut) {
        self.put(out, Opcode::Supported, |out| out.put_string_multimap(&supported()));
    }

    /// RESULT with nothing.
    pub(super) fn void(&self, out: &mut BytesMut) {
        self.put(out, Opcode::Result, |out| out.put_i32(RESULT_VOID));
    }

    /// RESULT of USE.
    pub(super) fn set_keyspace(&self, out: &mut BytesMut, keyspace: &str) {
        self.put(out, Opcode::Result, |out| {
            out.put_i32(RESULT_SET_KEYSPACE);
            out.put_string(keyspace);
        });
    }

    /// RESULT of DDL.
    pub(super) fn schema_change(&self, out: &mut BytesMut, change: &SchemaChange) {
        self.put(out, Opcode::Result, |out| {
            out.put_i32(RESULT_SCHEMA_CHANGE);
            put_schema_change(out, change);
        });
    }

    /// EVENT of DDL.
    pub(super) fn schema_event(&self, out: &mut BytesMut, change: &SchemaChange) {
        self.put(out, Opcode::Event, |out| {
            out.put_string("SCHEMA_CHANGE");
            put_schema_change(out, change);
        });
    }

    /// RESULT with rows.
    pub(super) fn rows(&self, out: &mut BytesMut, rows: &Rows, metadata: &RowsMetadata) {
        out.reserve(rows.data.len() + 64);
        self.put(out, Opcode::Result, |out| {
            out.put_i32(RESULT_ROWS);
            let mut flags = 0;
            if rows.paging_state.is_some() {
                flags |= HAS_MORE_PAGES;
            }
            match metadata {
                RowsMetadata::Full => {}
                RowsMetadata::Skipped => flags |= NO_METADATA,
                RowsMetadata::Changed(_) => flags |= METADATA_CHANGED,
            }
            let global = metadata != &RowsMetadata::Skipped && is_one_table(&rows.columns);
            if global {
                flags |= GLOBAL_TABLE;
            }
            out.put_u32(flags);
            out.put_i32(i32::try_from(rows.columns.len()).unwrap_or(i32::MAX));
            if let Some(state) = &rows.paging_state {
                out.put_int_bytes(state);
            }
            if let RowsMetadata::Changed(id) = metadata {
                out.put_short_bytes(id);
            }
            if metadata != &RowsMetadata::Skipped {
                put_columns(out, &rows.columns, global);
            }
            out.put_i32(rows.count);
            out.put_slice(&rows.data);
        });
    }

    /// RESULT of PREPARE.
    pub(super) fn prepared(&self, out: &mut BytesMut, info: &PreparedInfo) {
        self.put(out, Opcode::Result, |out| {
            out.put_i32(RESULT_PREPARED);
            out.put_short_bytes(&info.id);
            if self.extensions.metadata_id {
                out.put_short_bytes(&metadata_id(&info.columns));
            }
            let global = is_one_table(&info.markers);
            let mut flags = if global { GLOBAL_TABLE } else { 0 };
            if info.is_lwt && self.extensions.lwt_mark {
                flags |= LWT_MARK_BIT;
            }
            out.put_u32(flags);
            out.put_i32(i32::try_from(info.markers.len()).unwrap_or(i32::MAX));
            if self.version >= 4 {
                out.put_i32(i32::try_from(info.partition_key.len()).unwrap_or(i32::MAX));
                info.partition_key.iter().for_each(|index| out.put_u16(*index));
            }
            put_columns(out, &info.markers, global);
            put_result_metadata(out, &info.columns);
        });
    }

    /// ERROR. `consistency` is the request's, which some errors repeat.
    pub(super) fn error(
        &self,
        out: &mut BytesMut,
        error: &CqlError,
        consistency: Option<Consistency>,
    ) {
        let consistency = consistency_code(consistency.unwrap_or(Consistency::One));
        self.put(out, Opcode::Error, |out| {
            out.put_i32(error.kind.code());
            out.put_string(&error.message);
            match &error.kind {
                ErrorKind::Unavailable => {
                    out.put_u16(consistency);
                    out.put_i32(1); // required
                    out.put_i32(0); // alive
                }
                ErrorKind::WriteTimeout { write_type } => {
                    out.put_u16(consistency);
                    out.put_i32(0); // received
                    out.put_i32(1); // required
                    out.put_string(write_type);
                }
                ErrorKind::ReadTimeout => {
                    out.put_u16(consistency);
                    out.put_i32(0); // received
                    out.put_i32(1); // required
                    out.put_u8(0); // no data
                }
                ErrorKind::AlreadyExists { keyspace, table } => {
                    out.put_string(keyspace);
                    out.put_string(table);
                }
                ErrorKind::Unprepared { id } => out.put_short_bytes(id),
                ErrorKind::ServerError
                | ErrorKind::ProtocolError
                | ErrorKind::BadCredentials
                | ErrorKind::Overloaded
                | ErrorKind::SyntaxError
                | ErrorKind::Unauthorized
                | ErrorKind::Invalid
                | ErrorKind::ConfigError => {}
            }
        });
    }
}

/// The id of result metadata: the MD5 of it as it travels.
pub(super) fn metadata_id(columns: &[ColumnSpec]) -> [u8; 16] {
    let mut encoded = BytesMut::new();
    put_result_metadata(&mut encoded, columns);
    Md5::digest(&encoded).into()
}

fn put_schema_change(out: &mut BytesMut, change: &SchemaChange) {
    out.put_string(change.change);
    out.put_string(change.target);
    out.put_string(&change.keyspace);
    if change.target != "KEYSPACE" {
        out.put_string(&change.name);
    }
}

fn put_result_metadata(out: &mut BytesMut, columns: &[ColumnSpec]) {
    let global = is_one_table(columns);
    let flags = match (columns.is_empty(), global) {
        (true, _) => NO_METADATA,
        (false, true) => GLOBAL_TABLE,
        (false, false) => 0,
    };
    out.put_u32(flags);
    out.put_i32(i32::try_from(columns.len()).unwrap_or(i32::MAX));
    put_columns(out, columns, global);
}

fn is_one_table(columns: &[ColumnSpec]) -> bool {
    columns.first().is_some_and(|first| {
        columns.iter().all(|c| c.keyspace == first.keyspace && c.table == first.table)
    })
}

fn put_columns(out: &mut BytesMut, columns: &[ColumnSpec], global: bool) {
    if let (true, Some(first)) = (global, columns.first()) {
        out.put_string(&first.keyspace);
        out.put_string(&first.table);
    }
    for column in columns {
        if !global {
            out.put_string(&column.keyspace);
            out.put_string(&column.table);
        }
        out.put_string(&column.name);
        put_type(out, &column.cql_type);
    }
}

fn put_type(out: &mut BytesMut, cql_type: &CqlType) {
    match cql_type {
        CqlType::Ascii => out.put_u16(0x01),
        CqlType::Bigint => out.put_u16(0x02),
        CqlType::Blob => out.put_u16(0x03),
        CqlType::Boolean => out.put_u16(0x04),
        CqlType::Counter => out.put_u16(0x05),
        CqlType::Decimal => out.put_u16(0x06),
        CqlType::Double => out.put_u16(0x07),
        CqlType::Float => out.put_u16(0x08),
        CqlType::Int => out.put_u16(0x09),
        CqlType::Timestamp => out.put_u16(0x0B),
        CqlType::Uuid => out.put_u16(0x0C),
        CqlType::Text => out.put_u16(0x0D),
        CqlType::Varint => out.put_u16(0x0E),
        CqlType::Timeuuid => out.put_u16(0x0F),
        CqlType::Inet => out.put_u16(0x10),
        CqlType::Date => out.put_u16(0x11),
        CqlType::Time => out.put_u16(0x12),
        CqlType::Smallint => out.put_u16(0x13),
        CqlType::Tinyint => out.put_u16(0x14),
        CqlType::Duration => out.put_u16(0x15),
        CqlType::List { element, .. } => {
            out.put_u16(0x20);
            put_type(out, element);
        }
        CqlType::Map { key, value, .. } => {
            out.put_u16(0x21);
            put_type(out, key);
            put_type(out, value);
        }
        CqlType::Set { element, .. } => {
            out.put_u16(0x22);
            put_type(out, element);
        }
        CqlType::Udt { definition, .. } => {
            out.put_u16(0x30);
            out.put_string(&definition.keyspace);
            out.put_string(&definition.name);
            out.put_count(definition.fields.len());
            for (name, field) in &definition.fields {
                out.put_string(name);
                put_type(out, field);
            }
        }
        CqlType::Tuple(elements) => {
            out.put_u16(0x31);
            out.put_count(elements.len());
            elements.iter().for_each(|element| put_type(out, element));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;

    use super::*;

    fn envelope() -> Envelope {
        Envelope { version: 4, stream: 3, extensions: Extensions::default() }
    }

    fn column(name: &str, cql_type: CqlType) -> ColumnSpec {
        ColumnSpec { keyspace: "k".into(), table: "t".into(), name: name.into(), cql_type }
    }

    #[test]
    fn rows_with_and_without_metadata() {
        let rows = Rows {
            columns: Arc::new([column("a", CqlType::Int)]),
            count: 1,
            data: Bytes::from_static(&[0, 0, 0, 4, 0, 0, 0, 7]),
            paging_state: None,
        };
        let mut out = BytesMut::new();
        envelope().rows(&mut out, &rows, &RowsMetadata::Full);
        assert_eq!(
            &out[9..],
            b"\0\0\0\x02\0\0\0\x01\0\0\0\x01\0\x01k\0\x01t\0\x01a\0\x09\
              \0\0\0\x01\0\0\0\x04\0\0\0\x07"
        );
        let mut out = BytesMut::new();
        let rows = Rows { paging_state: Some(Bytes::from_static(b"p")), ..rows };
        envelope().rows(&mut out, &rows, &RowsMetadata::Skipped);
        assert_eq!(
            &out[9..],
            b"\0\0\0\x02\0\0\0\x06\0\0\0\x01\0\0\0\x01p\0\0\0\x01\0\0\0\x04\0\0\0\x07"
        );
    }

    #[test]
    fn a_conditional_statement_is_marked_for_those_who_asked() {
        let info = PreparedInfo {
            id: [1; 16],
            markers: Arc::new([column("a", CqlType::Int)]),
            partition_key: Arc::new([0]),
            columns: Arc::new([]),
            is_lwt: true,
        };
        let flags = |lwt_mark| {
            let mut envelope = envelope();
            envelope.extensions.lwt_mark = lwt_mark;
            let mut out = BytesMut::new();
            envelope.prepared(&mut out, &info);
            // header, kind, id with its length
            out[9 + 4 + 18]
        };
        assert_eq!((flags(true), flags(false)), (0x80, 0));
    }

    #[test]
    fn errors_carry_what_their_codes_ask_for() {
        let mut out = BytesMut::new();
        let error =
            CqlError { kind: ErrorKind::Unprepared { id: [9; 16] }, message: "x".to_owned() };
        envelope().error(&mut out, &error, None);
        assert_eq!(&out[9..], b"\0\0\x25\0\0\x01x\0\x10\x09\x09\x09\x09\x09\x09\x09\x09\x09\x09\x09\x09\x09\x09\x09\x09");
        let mut out = BytesMut::new();
        let kind = ErrorKind::WriteTimeout { write_type: "CAS" };
        let error = CqlError { kind, message: "x".to_owned() };
        envelope().error(&mut out, &error, Some(Consistency::LocalQuorum));
        assert_eq!(&out[9..], b"\0\0\x11\0\0\x01x\0\x06\0\0\0\0\0\0\0\x01\0\x03CAS");
    }
}

//! Requests, decoded from frame bodies.

use crate::error::CqlError;
use crate::faults::Effects;
use crate::parse::ast::BatchKind;
use crate::request::{BatchItem, BatchRequest, BatchStatement, QueryParameters};

use super::body::BodyReader;
use super::extensions::Extensions;
use super::frame::Opcode;

/// A decoded request.
#[derive(Debug)]
pub(super) enum Request {
    /// OPTIONS.
    Options,
    /// STARTUP with its options.
    Startup(Vec<(String, String)>),
    /// REGISTER with the kinds of events.
    Register(Vec<String>),
    /// QUERY.
    Query { text: String, parameters: QueryParameters, skip_metadata: bool },
    /// PREPARE.
    Prepare { text: String },
    /// EXECUTE.
    Execute {
        id: [u8; 16],
        /// The id of the result metadata that the client knows.
        metadata_id: Option<Vec<u8>>,
        parameters: QueryParameters,
        skip_metadata: bool,
    },
    /// BATCH.
    Batch(BatchRequest),
}

const VALUES: u8 = 0x01;
const SKIP_METADATA: u8 = 0x02;
const PAGE_SIZE: u8 = 0x04;
const PAGING_STATE: u8 = 0x08;
const SERIAL_CONSISTENCY: u8 = 0x10;
const DEFAULT_TIMESTAMP: u8 = 0x20;
const NAMES: u8 = 0x40;

impl Request {
    /// Decodes the body of a request.
    pub(super) fn decode(
        opcode: Opcode,
        body: &mut BodyReader,
        extensions: Extensions,
    ) -> Result<Self, CqlError> {
        match opcode {
            Opcode::Options => Ok(Request::Options),
            Opcode::Startup => Ok(Request::Startup(body.string_map()?)),
            Opcode::Register => Ok(Request::Register(body.string_list()?)),
            Opcode::Query => {
                let text = body.long_string()?;
                let (parameters, skip_metadata) = parameters(body)?;
                Ok(Request::Query { text, parameters, skip_metadata })
            }
            Opcode::Prepare => Ok(Request::Prepare { text: body.long_string()? }),
            Opcode::Execute => {
                let id = prepared_id(body)?;
                let metadata_id =
                    if extensions.metadata_id { Some(body.short_bytes()?.to_vec()) } else { None };
                let (parameters, skip_metadata) = parameters(body)?;
                Ok(Request::Execute { id, metadata_id, parameters, skip_metadata })
            }
            Opcode::Batch => Ok(Request::Batch(batch(body)?)),
            Opcode::AuthResponse => {
                Err(CqlError::protocol("AUTH_RESPONSE: this node asks for no authentication"))
            }
            Opcode::Error | Opcode::Ready | Opcode::Supported | Opcode::Result | Opcode::Event => {
                Err(CqlError::protocol(format!("{opcode:?} is no request")))
            }
        }
    }
}

fn prepared_id(body: &mut BodyReader) -> Result<[u8; 16], CqlError> {
    let id = body.short_bytes()?;
    <[u8; 16]>::try_from(&id[..]).map_err(|_| {
        CqlError::protocol(format!("the id of a prepared statement has {} bytes, not 16", id.len()))
    })
}

fn refuse_unknown_flags(flags: u8, known: u8) -> Result<(), CqlError> {
    if flags & !known != 0 {
        return Err(CqlError::protocol(format!("unknown flags in a request: {flags:#04x}")));
    }
    Ok(())
}

fn parameters(body: &mut BodyReader) -> Result<(QueryParameters, bool), CqlError> {
    let consistency = body.consistency()?;
    let flags = body.byte()?;
    refuse_unknown_flags(
        flags,
        VALUES
            | SKIP_METADATA
            | PAGE_SIZE
            | PAGING_STATE
            | SERIAL_CONSISTENCY
            | DEFAULT_TIMESTAMP
            | NAMES,
    )?;
    let has = |flag: u8| flags & flag != 0;
    let mut values = Vec::new();
    let mut names = None;
    if has(VALUES) {
        let count = body.short()?;
        let mut read_names = Vec::new();
        for _ in 0..count {
            if has(NAMES) {
                read_names.push(body.string()?);
            }
            values.push(body.value()?);
        }
        names = has(NAMES).then_some(read_names);
    }
    let page_size = if has(PAGE_SIZE) { Some(body.int()?) } else { None };
    let paging_state = if has(PAGING_STATE) { body.bytes()? } else { None };
    let serial_consistency = if has(SERIAL_CONSISTENCY) { Some(body.consistency()?) } else { None };
    let default_timestamp = if has(DEFAULT_TIMESTAMP) { Some(body.long()?) } else { None };
    let parameters = QueryParameters {
        consistency,
        serial_consistency,
        values,
        names,
        // Drivers say "no pages" with 0 or less.
        page_size: page_size.filter(|size| *size > 0),
        paging_state,
        default_timestamp: chosen_timestamp(default_timestamp)?,
        effects: Effects::default(),
    };
    Ok((parameters, has(SKIP_METADATA)))
}

/// `Long.MIN_VALUE` stands for "none given" and cannot be a timestamp.
fn chosen_timestamp(timestamp: Option<i64>) -> Result<Option<i64>, CqlError> {
    match timestamp {
        Some(i64::MIN) => Err(CqlError::protocol(format!(
            "Out of bound timestamp, must be in [{}, {}]",
            i64::MIN + 1,
            i64::MAX
        ))),
        other => Ok(other),
    }
}

fn batch(body: &mut BodyReader) -> Result<BatchRequest, CqlError> {
    let kind = match body.byte()? {
        0 => BatchKind::Logged,
        1 => BatchKind::Unlogged,
        2 => BatchKind::Counter,
        other => return Err(CqlError::protocol(format!("unknown batch type {other}"))),
    };
    let count = body.short()?;
    let mut items = Vec::new();
    for _ in 0..count {
        let statement = match body.byte()? {
            0 => BatchStatement::Text(body.long_string()?),
            1 => BatchStatement::Prepared(prepared_id(body)?),
            other => {
                return Err(CqlError::protocol(format!(
                    "Invalid query kind in BATCH messages. Must be 0 or 1 but got {other}"
                )));
            }
        };
        let values = (0..body.short()?).map(|_| body.value()).collect::<Result<_, _>>()?;
        items.push(BatchItem { statement, values });
    }
    let consistency = body.consistency()?;
    let flags = body.byte()?;
    if flags & NAMES != 0 {
        // The specification itself says that names do not work here.
        return Err(CqlError::unsupported("names of values in BATCH frames"));
    }
    refuse_unknown_flags(flags, SERIAL_CONSISTENCY | DEFAULT_TIMESTAMP)?;
    let serial_consistency =
        if flags & SERIAL_CONSISTENCY != 0 { Some(body.consistency()?) } else { None };
    let default_timestamp =
        if flags & DEFAULT_TIMESTAMP != 0 { chosen_timestamp(Some(body.long()?))? } else { None };
    let effects = Effects::default();
    Ok(BatchRequest { kind, items, consistency, serial_consistency, default_timestamp, effects })
}

#[cfg(test)]
mod tests {
    use bytes::{BufMut, Bytes, BytesMut};
    use proptest::prelude::*;

    use super::*;
    use crate::request::{Consistency, Value};

    fn decode(opcode: Opcode, bytes: impl Into<Bytes>) -> Result<Request, CqlError> {
        Request::decode(opcode, &mut BodyReader::new(bytes.into()), Extensions::default())
    }

    #[test]
    fn a_query_with_every_parameter() {
        let mut body = BytesMut::new();
        body.put_slice(b"\0\0\0\x08SELECT 1\0\x06\x7f\0\x01\0\x01k\0\0\0\x01\x05");
        body.put_i32(100);
        body.put_slice(b"\0\0\0\x02st\0\x09");
        body.put_i64(1234);
        let Request::Query { text, parameters, skip_metadata } =
            decode(Opcode::Query, body.freeze()).unwrap()
        else {
            panic!("not a query")
        };
        assert_eq!(text, "SELECT 1");
        assert!(skip_metadata);
        assert_eq!(parameters.consistency, Consistency::LocalQuorum);
        assert_eq!(parameters.serial_consistency, Some(Consistency::LocalSerial));
        assert_eq!(parameters.values, [Value::Bytes(Bytes::from_static(&[5]))]);
        assert_eq!(parameters.names, Some(vec!["k".to_owned()]));
        assert_eq!(parameters.page_size, Some(100));
        assert_eq!(parameters.paging_state, Some(Bytes::from_static(b"st")));
        assert_eq!(parameters.default_timestamp, Some(1234));
    }

    #[test]
    fn a_batch_of_text_and_prepared_statements() {
        let mut body = BytesMut::new();
        body.put_slice(b"\x01\0\x02\0\0\0\0\x01a\0\0\x01\0\x10");
        body.put_slice(&[7; 16]);
        body.put_slice(b"\0\x01\xff\xff\xff\xfe\0\x01\0");
        let Request::Batch(batch) = decode(Opcode::Batch, body.freeze()).unwrap() else {
            panic!("not a batch")
        };
        assert_eq!(batch.kind, BatchKind::Unlogged);
        assert_eq!(batch.items.len(), 2);
        assert!(matches!(batch.items[1].statement, BatchStatement::Prepared(id) if id == [7; 16]));
        assert_eq!(batch.items[1].values, [Value::Unset]);
    }

    proptest! {
        #[test]
        fn any_bytes_give_a_request_or_an_error(
            opcode in prop::sample::select(vec![
                Opcode::Startup, Opcode::Query, Opcode::Prepare, Opcode::Execute,
                Opcode::Register, Opcode::Batch, Opcode::AuthResponse]),
            bytes in prop::collection::vec(any::<u8>(), 0..64),
        ) {
            let _ = decode(opcode, bytes);
        }
    }
}

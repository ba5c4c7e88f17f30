//! Values from text and constants, and as text; what bytes are a value of a type.

use std::net::IpAddr;

use bytes::Bytes;
use uuid::Uuid;

use super::datetime::{
    date_from_text, date_to_text, decode_duration, duration_from_text, duration_to_text,
    encode_duration, marshal_error, time_from_text, time_to_text, timestamp_from_text,
    timestamp_to_text,
};
use super::number::{Decimal, varint, varint_bytes};
use super::{CqlType, class_name, collection};
use crate::error::{CqlError, Result};
use crate::parse::ast::Literal;

/// A constant as a value of a scalar type; refused with ScyllaDB's texts. `column` is what
/// the constant is for, as messages name it.
pub fn literal_to_bytes(literal: &Literal, cql_type: &CqlType, column: &str) -> Result<Bytes> {
    use CqlType as T;
    let refuse = |kind: &str, text: &str| {
        CqlError::invalid(format!(
            "Invalid {kind} constant ({text}) for \"{column}\" of type {cql_type}"
        ))
    };
    // Which constants fit which types: ScyllaDB, cql3/expr/prepare_expr.cc.
    match literal {
        Literal::String(text) => match cql_type {
            T::Ascii | T::Text | T::Inet | T::Timestamp | T::Date | T::Time => {
                from_text(cql_type, text)
            }
            _ => Err(refuse("STRING", text)),
        },
        Literal::Integer(text) => match cql_type {
            T::Bigint
            | T::Counter
            | T::Decimal
            | T::Double
            | T::Float
            | T::Int
            | T::Smallint
            | T::Timestamp
            | T::Date
            | T::Tinyint
            | T::Varint => from_text(cql_type, text),
            _ => Err(refuse("INTEGER", text)),
        },
        Literal::Float(text) => match cql_type {
            T::Decimal | T::Double | T::Float => from_text(cql_type, text),
            _ => Err(refuse("FLOAT", text)),
        },
        Literal::Boolean(value) => match cql_type {
            T::Boolean => Ok(Bytes::copy_from_slice(&[u8::from(*value)])),
            _ => Err(refuse("BOOLEAN", if *value { "true" } else { "false" })),
        },
        Literal::Uuid(uuid) => match cql_type {
            T::Uuid | T::Timeuuid => from_text(cql_type, &uuid.to_string()),
            _ => Err(refuse("UUID", &uuid.to_string())),
        },
        Literal::Hex(bytes) => match cql_type {
            T::Blob => Ok(Bytes::copy_from_slice(bytes)),
            _ => Err(refuse("HEX", &format!("0x{}", to_hex(bytes)))),
        },
        Literal::Duration(text) => match cql_type {
            T::Duration => from_text(cql_type, text),
            _ => Err(refuse("DURATION", text)),
        },
    }
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    if !text.is_ascii() || !text.len().is_multiple_of(2) {
        return None;
    }
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(text.get(i..i + 2)?, 16).ok()).collect()
}

/// A whole number as text, in a type of `bytes` bytes.
fn integer(cql_type: &CqlType, text: &str, bytes: usize) -> Result<Bytes> {
    let value: i64 =
        text.parse().map_err(|_| marshal_error(format!("Invalid number format '{text}'")))?;
    let whole = value.to_be_bytes();
    let limit = 1_i128 << (bytes * 8 - 1);
    if i128::from(value) >= limit || i128::from(value) < -limit {
        return Err(marshal_error(format!(
            "Value out of range for type {}: '{text}'",
            class_name(cql_type)
        )));
    }
    Ok(Bytes::copy_from_slice(&whole[8 - bytes..]))
}

/// A scalar's text as a value of its type.
pub fn from_text(cql_type: &CqlType, text: &str) -> Result<Bytes> {
    // ScyllaDB: an empty string is the empty value of these types.
    if text.is_empty()
        && !matches!(
            cql_type,
            CqlType::Tinyint
                | CqlType::Smallint
                | CqlType::Int
                | CqlType::Bigint
                | CqlType::Counter
                | CqlType::Boolean
        )
    {
        return Ok(Bytes::new());
    }
    let bytes = match cql_type {
        CqlType::Ascii => {
            if !text.is_ascii() {
                let class = class_name(cql_type);
                return Err(marshal_error(format!(
                    "Value not compatible with type {class}: '{text}'"
                )));
            }
            text.as_bytes().to_vec()
        }
        CqlType::Text => text.as_bytes().to_vec(),
        CqlType::Blob => from_hex(text)
            .ok_or_else(|| marshal_error(format!("Non-hex characters in '{text}'")))?,
        CqlType::Boolean => match text.to_ascii_lowercase().as_str() {
            "" | "false" => vec![0],
            "true" => vec![1],
            _ => return Err(marshal_error(format!("unable to make boolean from '{text}'"))),
        },
        CqlType::Tinyint => return integer(cql_type, text, 1),
        CqlType::Smallint => return integer(cql_type, text, 2),
        CqlType::Int => return integer(cql_type, text, 4),
        CqlType::Bigint | CqlType::Counter => return integer(cql_type, text, 8),
        CqlType::Float => {
            let value: f32 = text
                .parse()
                .map_err(|_| marshal_error(format!("Invalid number format '{text}'")))?;
            // One NaN for all, as ScyllaDB serializes it.
            let value = if value.is_nan() { f32::NAN } else { value };
            value.to_be_bytes().to_vec()
        }
        CqlType::Double => {
            let value: f64 = text
                .parse()
                .map_err(|_| marshal_error(format!("Invalid number format '{text}'")))?;
            let value = if value.is_nan() { f64::NAN } else { value };
            value.to_be_bytes().to_vec()
        }
        CqlType::Varint => varint_bytes(
            &text
                .parse()
                .map_err(|_| marshal_error(format!("unable to make int from '{text}'")))?,
        ),
        CqlType::Decimal => Decimal::parse(text)
            .ok_or_else(|| marshal_error(format!("unable to make BigDecimal from '{text}'")))?
            .encode(),
        CqlType::Uuid | CqlType::Timeuuid => {
            let is_time = *cql_type == CqlType::Timeuuid;
            // Only the form with hyphens, which the parser of `uuid` is wider than.
            let uuid = (text.len() == 36).then(|| Uuid::parse_str(text).ok()).flatten();
            let uuid = uuid.ok_or_else(|| {
                marshal_error(if is_time {
                    format!("Invalid UUID format ({text})")
                } else {
                    format!("Cannot parse uuid from '{text}'")
                })
            })?;
            if is_time && uuid.get_version_num() != 1 {
                return Err(marshal_error(format!(
                    "Unsupported UUID version ({})",
                    uuid.get_version_num()
                )));
            }
            uuid.as_bytes().to_vec()
        }
        CqlType::Inet => match text.parse::<IpAddr>() {
            Ok(IpAddr::V4(address)) => address.octets().to_vec(),
            Ok(IpAddr::V6(address)) => address.octets().to_vec(),
            Err(_) => {
                return Err(marshal_error(format!("Failed to parse inet_addr from '{text}'")));
            }
        },
        CqlType::Timestamp => timestamp_from_text(text)?.to_be_bytes().to_vec(),
        CqlType::Date => date_from_text(text)?.to_be_bytes().to_vec(),
        CqlType::Time => time_from_text(text)?.to_be_bytes().to_vec(),
        CqlType::Duration => encode_duration(duration_from_text(text)?),
        CqlType::List { .. }
        | CqlType::Set { .. }
        | CqlType::Map { .. }
        | CqlType::Tuple(_)
        | CqlType::Udt { .. } => {
            return Err(CqlError::unsupported(format!("a {cql_type} from a string")));
        }
    };
    Ok(Bytes::from(bytes))
}

/// A value as text, as `CAST(x AS text)` shows it. Collections, which cannot be cast, as JSON.
pub fn to_text(cql_type: &CqlType, bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return String::new();
    }
    let text = match cql_type {
        CqlType::Ascii | CqlType::Text => Some(String::from_utf8_lossy(bytes).into_owned()),
        CqlType::Blob => Some(format!("0x{}", to_hex(bytes))),
        CqlType::Boolean => Some(if bytes == [0] { "false" } else { "true" }.to_owned()),
        CqlType::Tinyint => bytes.try_into().ok().map(|b| i8::from_be_bytes(b).to_string()),
        CqlType::Smallint => bytes.try_into().ok().map(|b| i16::from_be_bytes(b).to_string()),
        CqlType::Int => bytes.try_into().ok().map(|b| i32::from_be_bytes(b).to_string()),
        CqlType::Bigint | CqlType::Counter => long(bytes).map(|n| n.to_string()),
        CqlType::Float => bytes.try_into().ok().map(|b| float_text(f32::from_be_bytes(b))),
        CqlType::Double => bytes.try_into().ok().map(|b| float_text(f64::from_be_bytes(b))),
        CqlType::Varint => Some(varint(bytes).to_string()),
        CqlType::Decimal => Decimal::decode(bytes).map(|d| d.to_text()),
        CqlType::Uuid | CqlType::Timeuuid => Uuid::from_slice(bytes).ok().map(|u| u.to_string()),
        CqlType::Inet => match bytes.len() {
            4 => bytes.try_into().ok().map(|b: [u8; 4]| IpAddr::from(b).to_string()),
            _ => bytes.try_into().ok().map(|b: [u8; 16]| IpAddr::from(b).to_string()),
        },
        CqlType::Timestamp => long(bytes).map(|n| timestamp_to_text(n, 'T')),
        CqlType::Date => bytes.try_into().ok().map(|b| date_to_text(u32::from_be_bytes(b))),
        CqlType::Time => long(bytes).map(time_to_text),
        CqlType::Duration => decode_duration(bytes).map(duration_to_text),
        CqlType::List { .. }
        | CqlType::Set { .. }
        | CqlType::Map { .. }
        | CqlType::Tuple(_)
        | CqlType::Udt { .. } => Some(super::to_json(cql_type, bytes)),
    };
    // Bytes that are no value of the type are never stored; showing them beats hiding them.
    text.unwrap_or_else(|| format!("0x{}", to_hex(bytes)))
}

fn float_text(value: impl std::fmt::Display) -> String {
    match value.to_string().as_str() {
        "NaN" => "nan".to_owned(),
        text => text.to_owned(),
    }
}

fn long(bytes: &[u8]) -> Option<i64> {
    bytes.try_into().ok().map(i64::from_be_bytes)
}

/// Refuses bytes that are no value of the type (bound values). `what` names the column.
pub fn validate(cql_type: &CqlType, bytes: &[u8], what: &str) -> Result<()> {
    check(cql_type, bytes).map_err(|reason| {
        CqlError::invalid(format!(
            "Exception while binding column {what}: marshaling error: {reason}"
        ))
    })
}

fn check(cql_type: &CqlType, bytes: &[u8]) -> Result<(), String> {
    let length = bytes.len();
    let fixed = |size: usize, text: String| if length == size { Ok(()) } else { Err(text) };
    // Empty is a value of every type but a collection and a duration.
    if bytes.is_empty() && !matches!(cql_type, CqlType::Duration) && !is_collection(cql_type) {
        return Ok(());
    }
    let of_type =
        || format!("Validation failed for type {}: got {length} bytes", class_name(cql_type));
    match cql_type {
        CqlType::Ascii => match bytes.is_ascii() {
            true => Ok(()),
            false => Err("Validation failed - non-ASCII character in an ASCII string".to_owned()),
        },
        CqlType::Text => match std::str::from_utf8(bytes) {
            Ok(_) => Ok(()),
            Err(e) => Err(format!(
                "Validation failed - non-UTF8 character in a UTF8 string, at byte offset {}",
                e.valid_up_to()
            )),
        },
        CqlType::Blob | CqlType::Varint => Ok(()),
        CqlType::Boolean => fixed(1, format!("Validation failed for boolean, got {length} bytes")),
        CqlType::Tinyint => fixed(1, of_type()),
        CqlType::Smallint => fixed(2, of_type()),
        CqlType::Int => fixed(4, of_type()),
        CqlType::Bigint | CqlType::Counter => fixed(8, of_type()),
        CqlType::Float => fixed(4, format!("Expected 4 bytes for a floating type, got {length}")),
        CqlType::Double => fixed(8, format!("Expected 8 bytes for a floating type, got {length}")),
        CqlType::Decimal if length < 4 => {
            Err(format!("Validation failed for decimal - got {length} bytes"))
        }
        CqlType::Decimal => Ok(()),
        CqlType::Uuid => fixed(16, format!("Validation failed for uuid - got {length} bytes")),
        CqlType::Timeuuid => {
            fixed(16, format!("Validation failed for timeuuid - got {length} bytes"))?;
            match bytes[6] >> 4 {
                1 => Ok(()),
                version => Err(format!("Unsupported UUID version ({version})")),
            }
        }
        CqlType::Inet if length == 4 || length == 16 => Ok(()),
        CqlType::Inet => Err(format!("Validation failed for inet_addr - got {length} bytes")),
        CqlType::Timestamp => {
            fixed(8, format!("Validation failed for timestamp - got {length} bytes"))
        }
        CqlType::Date => fixed(4, format!("Expected 4 byte long for date ({length})")),
        CqlType::Time => fixed(8, format!("Expected 8 byte long for time ({length})")),
        CqlType::Duration if length < 3 => {
            Err(format!("Expected at least 3 bytes for a duration, got {length}"))
        }
        CqlType::Duration => {
            let duration = decode_duration(bytes).ok_or("Cannot deserialize duration")?;
            let (months, days, nanos) = (duration.months, duration.days, duration.nanoseconds);
            let positive = months >= 0 && days >= 0 && nanos >= 0;
            if positive || (months <= 0 && days <= 0 && nanos <= 0) {
                return Ok(());
            }
            Err(format!(
                "The duration months, days, and nanoseconds must be all of the same sign \
                 ({months}, {days}, {nanos})"
            ))
        }
        CqlType::List { element, .. } | CqlType::Set { element, .. } => {
            let bytes = Bytes::copy_from_slice(bytes);
            let elements = collection::decode_sequence(&bytes).map_err(|e| e.message)?;
            elements.iter().try_for_each(|e| check(element, e))
        }
        CqlType::Map { key, value, .. } => {
            let bytes = Bytes::copy_from_slice(bytes);
            let entries = collection::decode_map(&bytes).map_err(|e| e.message)?;
            entries.iter().try_for_each(|(k, v)| check(key, k).and_then(|()| check(value, v)))
        }
        CqlType::Tuple(fields) => check_fields(fields.iter(), bytes),
        CqlType::Udt { definition, .. } => {
            check_fields(definition.fields.iter().map(|(_, field)| field), bytes)
        }
    }
}

fn is_collection(cql_type: &CqlType) -> bool {
    matches!(cql_type, CqlType::List { .. } | CqlType::Set { .. } | CqlType::Map { .. })
}

fn check_fields<'a>(
    types: impl ExactSizeIterator<Item = &'a CqlType>,
    bytes: &[u8],
) -> Result<(), String> {
    let values = collection::decode_tuple(&Bytes::copy_from_slice(bytes)).map_err(|e| e.message)?;
    if values.len() > types.len() {
        return Err(format!(
            "Value of a tuple or user type has {} fields, its type {}",
            values.len(),
            types.len()
        ));
    }
    for (cql_type, value) in types.zip(values) {
        if let Some(value) = value {
            check(cql_type, &value)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn literal(literal: Literal, cql_type: &CqlType) -> Result<Bytes, String> {
        literal_to_bytes(&literal, cql_type, "b").map_err(|e| e.message)
    }

    #[test]
    fn constants_fit_their_types_or_are_refused_in_the_servers_words() {
        assert_eq!(
            literal(Literal::Integer("2".into()), &CqlType::Text).unwrap_err(),
            "Invalid INTEGER constant (2) for \"b\" of type text"
        );
        assert_eq!(
            literal(Literal::Integer("2147483648".into()), &CqlType::Int).unwrap_err(),
            "marshaling error: Value out of range for type \
             org.apache.cassandra.db.marshal.Int32Type: '2147483648'"
        );
        assert_eq!(
            literal(Literal::String("two".into()), &CqlType::Int).unwrap_err(),
            "Invalid STRING constant (two) for \"b\" of type int"
        );
        assert_eq!(literal(Literal::Integer("-128".into()), &CqlType::Tinyint).unwrap()[..], [128]);
        assert!(literal(Literal::String("ä".into()), &CqlType::Ascii).is_err());
        assert!(literal(Literal::Uuid(Uuid::from_u128(4 << 76)), &CqlType::Timeuuid).is_err());
        assert_eq!(
            literal(Literal::Integer("-129".into()), &CqlType::Varint).unwrap()[..],
            [0xff, 0x7f]
        );
    }

    #[test]
    fn text_and_back() {
        let cases = [
            (CqlType::Ascii, "ascii"),
            (CqlType::Bigint, "9223372036854775807"),
            (CqlType::Date, "2026-11-21"),
            (CqlType::Decimal, "12.50"),
            (CqlType::Double, "15000000000"),
            (CqlType::Duration, "1y2mo3d4h"),
            (CqlType::Float, "-0.25"),
            (CqlType::Inet, "127.0.0.1"),
            (CqlType::Inet, "::1"),
            (CqlType::Int, "-2147483648"),
            (CqlType::Smallint, "32767"),
            (CqlType::Text, "häß😀"),
            (CqlType::Time, "13:14:15.123456789"),
            (CqlType::Timestamp, "2026-11-21T01:02:03.456"),
            (CqlType::Timeuuid, "50554d6e-29bb-11e5-b345-feff819cdc9f"),
            (CqlType::Uuid, "123e4567-e89b-12d3-a456-426614174000"),
            (CqlType::Varint, "-123456789012345678901234567890"),
            (CqlType::Boolean, "true"),
        ];
        for (cql_type, text) in cases {
            let bytes = from_text(&cql_type, text).unwrap();
            assert_eq!(to_text(&cql_type, &bytes), text);
            validate(&cql_type, &bytes, "c").unwrap();
        }
    }

    #[test]
    fn wrong_bytes_are_refused() {
        let message = validate(&CqlType::Int, &[1, 2], "v").unwrap_err().message;
        assert!(message.contains("Int32Type: got 2 bytes"), "{message}");
        assert!(validate(&CqlType::Text, &[0xff], "v").is_err());
        assert!(validate(&CqlType::Timeuuid, &[0; 16], "v").is_err());
        let list = CqlType::List { element: CqlType::Int.into(), frozen: true };
        assert!(validate(&list, &[0, 0, 0, 1], "v").is_err());
        assert!(validate(&list, &i32::MAX.to_be_bytes(), "v").is_err());
        assert!(validate(&list, &[0, 0, 0, 0], "v").is_ok());
    }
}

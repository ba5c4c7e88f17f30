//! Values as JSON and from it.

use std::fmt::Write as _;

use bytes::Bytes;
use serde_json::Value;

use super::datetime::timestamp_to_text;
use super::{CqlType, collection, compare, from_text, to_text};
use crate::error::{CqlError, Result};

/// A value as `toJson` and `SELECT JSON` show it.
pub fn to_json(cql_type: &CqlType, bytes: &[u8]) -> String {
    let mut out = String::new();
    write_json(cql_type, bytes, &mut out);
    out
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

fn write_json(cql_type: &CqlType, bytes: &[u8], out: &mut String) {
    match cql_type {
        CqlType::List { element, .. } | CqlType::Set { element, .. } => {
            let elements = collection::decode_sequence(&Bytes::copy_from_slice(bytes));
            out.push('[');
            for (i, value) in elements.unwrap_or_default().iter().enumerate() {
                if i > 0 {
                    out.push_str(", ");
                }
                write_json(element, value, out);
            }
            out.push(']');
        }
        CqlType::Map { key, value, .. } => {
            let entries = collection::decode_map(&Bytes::copy_from_slice(bytes));
            out.push('{');
            for (i, (k, v)) in entries.unwrap_or_default().iter().enumerate() {
                if i > 0 {
                    out.push_str(", ");
                }
                let mut name = String::new();
                write_json(key, k, &mut name);
                // A key that is no string yet becomes one.
                let name = if name.starts_with('"') { name } else { quoted(&name) };
                // Writing to a string cannot fail.
                let _ = write!(out, "{name}: ");
                write_json(value, v, out);
            }
            out.push('}');
        }
        CqlType::Tuple(types) => {
            let fields = fields(bytes);
            out.push('[');
            for (i, field_type) in types.iter().enumerate() {
                if i > 0 {
                    out.push_str(", ");
                }
                write_field(field_type, fields.get(i), out);
            }
            out.push(']');
        }
        CqlType::Udt { definition, .. } => {
            let fields = fields(bytes);
            out.push('{');
            for (i, (name, field_type)) in definition.fields.iter().enumerate() {
                if i > 0 {
                    out.push_str(", ");
                }
                // As above.
                let _ = write!(out, "{}: ", quoted(name));
                write_field(field_type, fields.get(i), out);
            }
            out.push('}');
        }
        CqlType::Tinyint
        | CqlType::Smallint
        | CqlType::Int
        | CqlType::Bigint
        | CqlType::Counter
        | CqlType::Varint
        | CqlType::Decimal
        | CqlType::Boolean
        | CqlType::Float
        | CqlType::Double => match to_text(cql_type, bytes).as_str() {
            "" => out.push_str("\"\""),
            // JSON has no such numbers.
            "nan" | "inf" | "-inf" => out.push_str("null"),
            text => out.push_str(text),
        },
        CqlType::Timestamp => match bytes.try_into() {
            Ok(millis) => {
                let text = timestamp_to_text(i64::from_be_bytes(millis), ' ');
                out.push_str(&quoted(&format!("{text}Z")));
            }
            Err(_) => out.push_str("\"\""),
        },
        CqlType::Blob if bytes.is_empty() => out.push_str("\"0x\""),
        _ => out.push_str(&quoted(&to_text(cql_type, bytes))),
    }
}

fn fields(bytes: &[u8]) -> Vec<Option<Bytes>> {
    collection::decode_tuple(&Bytes::copy_from_slice(bytes)).unwrap_or_default()
}

fn write_field(cql_type: &CqlType, value: Option<&Option<Bytes>>, out: &mut String) {
    match value.and_then(Option::as_ref) {
        Some(value) => write_json(cql_type, value, out),
        None => out.push_str("null"),
    }
}

/// A value from `INSERT JSON` or `fromJson`; `None` for null. A collection comes in the
/// protocol's form, sets and maps sorted.
pub fn from_json(cql_type: &CqlType, value: &Value, column: &str) -> Result<Option<Bytes>> {
    if value.is_null() {
        return Ok(None);
    }
    convert(cql_type, value).map(Some).map_err(|e| {
        CqlError::invalid(format!(
            "Error decoding JSON value for {column}: {}",
            e.message.trim_start_matches("marshaling error: ")
        ))
    })
}

fn convert(cql_type: &CqlType, value: &Value) -> Result<Bytes> {
    let refuse = |expected: &str| {
        CqlError::invalid(format!("Expected {expected} for a {cql_type}, got {value}"))
    };
    match cql_type {
        CqlType::List { element, .. } => {
            let items = value.as_array().ok_or_else(|| refuse("a list"))?;
            let items = elements(element, items)?;
            Ok(collection::encode_sequence(items.iter().map(|b| &b[..])))
        }
        CqlType::Set { element, .. } => {
            let items = value.as_array().ok_or_else(|| refuse("a list"))?;
            let mut items = elements(element, items)?;
            items.sort_by(|a, b| compare(element, a, b));
            items.dedup_by(|a, b| compare(element, a, b).is_eq());
            Ok(collection::encode_sequence(items.iter().map(|b| &b[..])))
        }
        CqlType::Map { key, value: value_type, .. } => {
            let object = value.as_object().ok_or_else(|| refuse("an object"))?;
            let mut entries = Vec::with_capacity(object.len());
            for (name, item) in object {
                // Keys are strings in JSON: a key that is not text is JSON within.
                let k = match &**key {
                    CqlType::List { .. }
                    | CqlType::Set { .. }
                    | CqlType::Map { .. }
                    | CqlType::Tuple(_)
                    | CqlType::Udt { .. } => {
                        let inner = serde_json::from_str(name).map_err(|e| {
                            CqlError::invalid(format!("Map key {name} is no JSON: {e}"))
                        })?;
                        convert(key, &inner)?
                    }
                    scalar => convert(scalar, &Value::from(name.as_str()))?,
                };
                entries.push((k, not_null(value_type, item)?));
            }
            entries.sort_by(|a, b| compare(key, &a.0, &b.0));
            Ok(collection::encode_map(entries.iter().map(|(k, v)| (&k[..], &v[..]))))
        }
        CqlType::Tuple(types) => {
            let items = value.as_array().ok_or_else(|| refuse("a list"))?;
            if items.len() > types.len() {
                return Err(refuse(&format!("at most {} elements", types.len())));
            }
            let items: Result<Vec<_>> =
                types.iter().zip(items).map(|(t, item)| nullable(t, item)).collect();
            Ok(collection::encode_tuple(items?.iter().map(Option::as_deref)))
        }
        CqlType::Udt { definition, .. } => {
            let object = value.as_object().ok_or_else(|| refuse("an object"))?;
            if let Some(unknown) =
                object.keys().find(|k| !definition.fields.iter().any(|(name, _)| name == *k))
            {
                return Err(CqlError::invalid(format!(
                    "JSON values map contains unrecognized field: {unknown}"
                )));
            }
            let items: Result<Vec<_>> = definition
                .fields
                .iter()
                .map(|(name, t)| object.get(name).map_or(Ok(None), |item| nullable(t, item)))
                .collect();
            Ok(collection::encode_tuple(items?.iter().map(Option::as_deref)))
        }
        CqlType::Ascii
        | CqlType::Text
        | CqlType::Uuid
        | CqlType::Timeuuid
        | CqlType::Inet
        | CqlType::Time
        | CqlType::Duration => {
            from_text(cql_type, value.as_str().ok_or_else(|| refuse("a string"))?)
        }
        CqlType::Blob => {
            let text = value.as_str().ok_or_else(|| refuse("a string"))?;
            let digits =
                text.strip_prefix("0x").ok_or_else(|| refuse("a string that begins with 0x"))?;
            from_text(cql_type, digits)
        }
        CqlType::Timestamp | CqlType::Date => match value {
            Value::String(text) => from_text(cql_type, text),
            Value::Number(number) => from_text(cql_type, &number.to_string()),
            _ => Err(refuse("a string or number")),
        },
        CqlType::Boolean => match value {
            Value::Bool(value) => Ok(Bytes::copy_from_slice(&[u8::from(*value)])),
            Value::String(text) => from_text(cql_type, text),
            _ => Err(refuse("true or false")),
        },
        CqlType::Tinyint
        | CqlType::Smallint
        | CqlType::Int
        | CqlType::Bigint
        | CqlType::Counter
        | CqlType::Varint
        | CqlType::Decimal
        | CqlType::Float
        | CqlType::Double => match value {
            Value::String(text) => from_text(cql_type, text),
            Value::Number(number) => from_text(cql_type, &number.to_string()),
            _ => Err(refuse("a number")),
        },
    }
}

fn nullable(cql_type: &CqlType, value: &Value) -> Result<Option<Bytes>> {
    if value.is_null() { Ok(None) } else { convert(cql_type, value).map(Some) }
}

fn not_null(cql_type: &CqlType, value: &Value) -> Result<Bytes> {
    if value.is_null() {
        return Err(CqlError::invalid("Invalid null value in a collection"));
    }
    convert(cql_type, value)
}

fn elements(element: &CqlType, items: &[Value]) -> Result<Vec<Bytes>> {
    items.iter().map(|item| not_null(element, item)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::UdtDefinition;
    use std::sync::Arc;

    fn there_and_back(cql_type: &CqlType, json: &str) {
        let value = serde_json::from_str(json).unwrap();
        let bytes = from_json(cql_type, &value, "c").unwrap().unwrap();
        assert_eq!(to_json(cql_type, &bytes), json);
    }

    #[test]
    fn json_there_and_back() {
        let ints = CqlType::List { element: CqlType::Int.into(), frozen: true };
        there_and_back(&ints, "[1, 2]");
        let map = |key: CqlType, value: CqlType| CqlType::Map {
            key: key.into(),
            value: value.into(),
            frozen: true,
        };
        there_and_back(&map(CqlType::Text, CqlType::Int), r#"{"a": 1, "z": 2}"#);
        there_and_back(&map(CqlType::Int, ints.clone()), r#"{"1": [1], "20": []}"#);
        there_and_back(&CqlType::Boolean, "true");
        there_and_back(&CqlType::Blob, "\"0x00ff\"");
        there_and_back(&CqlType::Text, r#""a \"quoted\" ü""#);
        there_and_back(&CqlType::Uuid, "\"123e4567-e89b-12d3-a456-426614174000\"");
        there_and_back(&CqlType::Tuple(vec![CqlType::Int, CqlType::Text].into()), "[1, null]");
        let definition = Arc::new(UdtDefinition {
            keyspace: "k".into(),
            name: "addr".into(),
            fields: vec![("street".into(), CqlType::Text), ("zip".into(), CqlType::Int)],
        });
        let udt = CqlType::Udt { definition, frozen: true };
        there_and_back(&udt, r#"{"street": "Via", "zip": 98100}"#);
        assert!(from_json(&udt, &serde_json::json!({"zap": 1}), "c").is_err());
        assert_eq!(from_json(&CqlType::Int, &Value::Null, "c").unwrap(), None);
        assert!(from_json(&CqlType::Int, &serde_json::json!("x"), "c").is_err());
    }
}

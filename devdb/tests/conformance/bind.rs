//! Values of `--@ bind`, as the marker's type asks for them.

use scylla::cluster::metadata::{CollectionType, ColumnType, NativeType};
use scylla::frame::response::result::ColumnSpec;
use scylla::value::{Counter, CqlTimestamp, CqlTimeuuid, CqlValue, MaybeUnset};
use serde_json::Value as Json;
use uuid::Uuid;

/// A bound value.
pub type Bound = MaybeUnset<Option<CqlValue>>;

/// The values for all markers of a statement, or why they cannot be bound.
///
/// Markers without a value are left unset, as the client does that recorded the cases; it
/// refuses to leave part of the partition key unset.
pub fn values(json: &str, markers: &[ColumnSpec], key: &[usize]) -> Result<Vec<Bound>, String> {
    let json: Json = serde_json::from_str(json).map_err(|error| error.to_string())?;
    let given: Vec<Option<&Json>> = match &json {
        Json::Array(values) if values.len() > markers.len() => {
            return Err(format!("{} values for {} markers", values.len(), markers.len()));
        }
        Json::Array(values) => (0..markers.len()).map(|index| values.get(index)).collect(),
        Json::Object(values) => markers.iter().map(|marker| values.get(marker.name())).collect(),
        other => return Err(format!("neither a list nor a map of values: {other}")),
    };
    let mut bound = Vec::with_capacity(markers.len());
    for (index, (marker, json)) in markers.iter().zip(given).enumerate() {
        let value = match json {
            Some(json) if json.get("unset").is_none() => {
                let value = value(marker.typ(), json);
                let text = || format!("marker {:?} of type {:?}", marker.name(), marker.typ());
                MaybeUnset::Set(value.ok_or_else(|| format!("{} cannot be {json}", text()))?)
            }
            _ if key.contains(&index) => {
                return Err(format!("{:?} is part of the partition key and unset", marker.name()));
            }
            _ => MaybeUnset::Unset,
        };
        bound.push(value);
    }
    Ok(bound)
}

/// A value of a type: `Some(None)` is null, `None` is that there is no such value.
fn value(typ: &ColumnType, json: &Json) -> Option<Option<CqlValue>> {
    if json.is_null() {
        return Some(None);
    }
    some(typ, json).map(Some)
}

fn some(typ: &ColumnType, json: &Json) -> Option<CqlValue> {
    let all = |typ: &ColumnType, list: &Json| -> Option<Vec<CqlValue>> {
        list.as_array()?.iter().map(|json| some(typ, json)).collect()
    };
    match typ {
        ColumnType::Native(native) => scalar(native, json),
        ColumnType::Collection { typ: CollectionType::List(element), .. } => {
            all(element, json).map(CqlValue::List)
        }
        ColumnType::Collection { typ: CollectionType::Set(element), .. } => {
            all(element, json.get("set").unwrap_or(json)).map(CqlValue::Set)
        }
        ColumnType::Collection { typ: CollectionType::Map(key, element), .. } => {
            let entries = json.as_object()?.iter();
            entries
                .map(|(k, v)| Some((some(key, &Json::from(k.as_str()))?, some(element, v)?)))
                .collect::<Option<_>>()
                .map(CqlValue::Map)
        }
        ColumnType::Tuple(types) => {
            let items = types.iter().zip(json.as_array()?);
            items.map(|(typ, json)| value(typ, json)).collect::<Option<_>>().map(CqlValue::Tuple)
        }
        _ => None,
    }
}

fn scalar(native: &NativeType, json: &Json) -> Option<CqlValue> {
    let uuid = || json.get("uuid")?.as_str()?.parse::<Uuid>().ok();
    let integer = || json.as_i64();
    Some(match native {
        NativeType::Ascii => CqlValue::Ascii(json.as_str()?.to_owned()),
        NativeType::Text => CqlValue::Text(json.as_str()?.to_owned()),
        NativeType::Boolean => CqlValue::Boolean(json.as_bool()?),
        NativeType::Blob => CqlValue::Blob(bytes(json.get("blob")?.as_str()?)?),
        NativeType::TinyInt => CqlValue::TinyInt(integer()?.try_into().ok()?),
        NativeType::SmallInt => CqlValue::SmallInt(integer()?.try_into().ok()?),
        NativeType::Int => CqlValue::Int(integer()?.try_into().ok()?),
        NativeType::BigInt => CqlValue::BigInt(integer()?),
        NativeType::Counter => CqlValue::Counter(Counter(integer()?)),
        NativeType::Double => CqlValue::Double(json.as_f64()?),
        NativeType::Float => CqlValue::Float(json.as_f64()? as f32),
        NativeType::Timestamp => CqlValue::Timestamp(CqlTimestamp(json.get("ts")?.as_i64()?)),
        NativeType::Uuid => CqlValue::Uuid(uuid()?),
        NativeType::Timeuuid => CqlValue::Timeuuid(CqlTimeuuid::from_bytes(uuid()?.into_bytes())),
        NativeType::Inet => CqlValue::Inet(json.as_str()?.parse().ok()?),
        _ => return None,
    })
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    if hex.len() % 2 == 1 {
        return None;
    }
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok()).collect()
}

//! Values and types as the recording shows them: as Python does, mostly.

use std::collections::HashMap;

use scylla::cluster::metadata::{CollectionType, ColumnType, NativeType};
use scylla::value::CqlValue;
use uuid::Uuid;

use crate::numbers;

/// Names for values that differ from run to run, numbered in order of appearance.
#[derive(Debug, Default)]
pub struct Names(HashMap<Uuid, usize>);

impl Names {
    fn time(&mut self, value: Uuid) -> String {
        let next = self.0.len() + 1;
        format!("<time#{}>", self.0.entry(value).or_insert(next))
    }
}

/// A column's value.
pub fn column(name: &str, value: Option<&CqlValue>, names: &mut Names) -> String {
    match (name, value) {
        (_, None) => "null".to_owned(),
        ("cdc$stream_id", _) => "<stream>".to_owned(),
        ("cdc$time", Some(CqlValue::Timeuuid(time))) => {
            names.time(Uuid::from_bytes(*time.as_bytes()))
        }
        (_, Some(value)) => show(value),
    }
}

/// A value.
pub fn show(value: &CqlValue) -> String {
    let all = |values: &[CqlValue]| values.iter().map(show).collect::<Vec<_>>().join(", ");
    let optional = |value: &Option<CqlValue>| match value {
        Some(value) => show(value),
        None => "null".to_owned(),
    };
    match value {
        CqlValue::Ascii(text) | CqlValue::Text(text) => {
            serde_json::Value::from(text.as_str()).to_string()
        }
        CqlValue::Boolean(value) => value.to_string(),
        CqlValue::Blob(bytes) => {
            bytes.iter().fold("0x".to_owned(), |text, byte| text + &format!("{byte:02x}"))
        }
        CqlValue::Counter(value) => value.0.to_string(),
        CqlValue::BigInt(value) => value.to_string(),
        CqlValue::Int(value) => value.to_string(),
        CqlValue::SmallInt(value) => value.to_string(),
        CqlValue::TinyInt(value) => value.to_string(),
        CqlValue::Double(value) => numbers::float(*value),
        CqlValue::Float(value) => numbers::float(f64::from(*value)),
        CqlValue::Varint(value) => numbers::varint(value.as_signed_bytes_be_slice()),
        CqlValue::Decimal(value) => {
            let (digits, scale) = value.as_signed_be_bytes_slice_and_exponent();
            numbers::decimal(digits, scale)
        }
        CqlValue::Date(date) => numbers::date(i64::from(date.0) - (1 << 31)),
        CqlValue::Time(time) => numbers::time(time.0),
        CqlValue::Timestamp(timestamp) => numbers::timestamp(timestamp.0),
        CqlValue::Duration(d) => format!("{}mo{}d{}ns", d.months, d.days, d.nanoseconds),
        CqlValue::Inet(address) => address.to_string(),
        CqlValue::Uuid(uuid) => uuid.to_string(),
        CqlValue::Timeuuid(uuid) => Uuid::from_bytes(*uuid.as_bytes()).to_string(),
        CqlValue::List(values) | CqlValue::Vector(values) => format!("[{}]", all(values)),
        CqlValue::Set(values) => format!("{{{}}}", all(values)),
        CqlValue::Map(entries) => {
            let entries = entries.iter().map(|(k, v)| format!("{}: {}", show(k), show(v)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
        }
        CqlValue::Tuple(values) => {
            format!("({})", values.iter().map(optional).collect::<Vec<_>>().join(", "))
        }
        CqlValue::UserDefinedType { fields, .. } => {
            let fields = fields.iter().map(|(name, value)| format!("{name}: {}", optional(value)));
            format!("{{{}}}", fields.collect::<Vec<_>>().join(", "))
        }
        // The recording client reads an empty value of a fixed size as null.
        CqlValue::Empty => "null".to_owned(),
        other => format!("{other:?}"),
    }
}

/// A type. The protocol does not say whether a collection is frozen; tuples and UDTs are
/// shown as if they were.
pub fn type_name(typ: &ColumnType) -> String {
    match typ {
        ColumnType::Native(NativeType::Text) => "varchar".to_owned(),
        ColumnType::Native(native) => format!("{native:?}").to_lowercase(),
        ColumnType::Collection { typ: CollectionType::List(element), .. } => {
            format!("list<{}>", type_name(element))
        }
        ColumnType::Collection { typ: CollectionType::Set(element), .. } => {
            format!("set<{}>", type_name(element))
        }
        ColumnType::Collection { typ: CollectionType::Map(key, value), .. } => {
            format!("map<{}, {}>", type_name(key), type_name(value))
        }
        ColumnType::Tuple(types) => {
            let types = types.iter().map(type_name).collect::<Vec<_>>().join(", ");
            format!("frozen<tuple<{types}>>")
        }
        ColumnType::UserDefinedType { definition, .. } => format!("frozen<{}>", definition.name),
        other => format!("{other:?}"),
    }
}

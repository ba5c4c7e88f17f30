//! The order of values.

use std::cmp::Ordering;

use bytes::Bytes;

use super::number::{Decimal, varint};
use super::{CqlType, collection};

/// The type's own order, as ScyllaDB compares (types.cc, `compare_visitor`). An empty value
/// comes before all others.
pub fn compare(cql_type: &CqlType, a: &[u8], b: &[u8]) -> Ordering {
    if a.is_empty() || b.is_empty() {
        return a.len().cmp(&b.len());
    }
    match cql_type {
        CqlType::Ascii
        | CqlType::Text
        | CqlType::Blob
        | CqlType::Inet
        | CqlType::Duration
        | CqlType::Boolean
        | CqlType::Date => a.cmp(b),
        // Two's complement: the first byte is signed, the others are not.
        CqlType::Bigint
        | CqlType::Counter
        | CqlType::Int
        | CqlType::Smallint
        | CqlType::Tinyint
        | CqlType::Time
        | CqlType::Timestamp => (a[0] as i8).cmp(&(b[0] as i8)).then_with(|| a[1..].cmp(&b[1..])),
        CqlType::Float => match (a.try_into(), b.try_into()) {
            (Ok(a), Ok(b)) => {
                compare_float(f64::from(f32::from_be_bytes(a)), f64::from(f32::from_be_bytes(b)))
            }
            _ => a.cmp(b),
        },
        CqlType::Double => match (a.try_into(), b.try_into()) {
            (Ok(a), Ok(b)) => compare_float(f64::from_be_bytes(a), f64::from_be_bytes(b)),
            _ => a.cmp(b),
        },
        CqlType::Uuid => compare_uuid(a, b),
        CqlType::Timeuuid => compare_timeuuid(a, b),
        CqlType::Varint => varint(a).cmp(&varint(b)),
        CqlType::Decimal => match (Decimal::decode(a), Decimal::decode(b)) {
            (Some(a), Some(b)) => a.compare(&b),
            _ => a.cmp(b),
        },
        CqlType::List { element, .. } | CqlType::Set { element, .. } => {
            match (decode_sequence(a), decode_sequence(b)) {
                (Some(a), Some(b)) => compare_all(&a, &b, |_, x, y| compare(element, x, y)),
                _ => a.cmp(b),
            }
        }
        CqlType::Map { key, value, .. } => {
            let decode = |bytes| collection::decode_map(&Bytes::copy_from_slice(bytes)).ok();
            match (decode(a), decode(b)) {
                (Some(a), Some(b)) => compare_all(&a, &b, |_, x, y| {
                    compare(key, &x.0, &y.0).then_with(|| compare(value, &x.1, &y.1))
                }),
                _ => a.cmp(b),
            }
        }
        CqlType::Tuple(fields) => compare_fields(|i| fields.get(i), a, b),
        CqlType::Udt { definition, .. } => {
            compare_fields(|i| definition.fields.get(i).map(|(_, field)| field), a, b)
        }
    }
}

fn decode_sequence(bytes: &[u8]) -> Option<Vec<Bytes>> {
    collection::decode_sequence(&Bytes::copy_from_slice(bytes)).ok()
}

fn compare_all<T>(a: &[T], b: &[T], by: impl Fn(usize, &T, &T) -> Ordering) -> Ordering {
    a.iter()
        .zip(b)
        .enumerate()
        .map(|(i, (x, y))| by(i, x, y))
        .find(|order| order.is_ne())
        .unwrap_or_else(|| a.len().cmp(&b.len()))
}

fn compare_fields<'a>(
    field: impl Fn(usize) -> Option<&'a CqlType>,
    a: &[u8],
    b: &[u8],
) -> Ordering {
    let decode = |bytes| collection::decode_tuple(&Bytes::copy_from_slice(bytes)).ok();
    match (decode(a), decode(b)) {
        (Some(a), Some(b)) => compare_all(&a, &b, |i, x, y| match (x, y, field(i)) {
            (Some(x), Some(y), Some(cql_type)) => compare(cql_type, x, y),
            (x, y, _) => x.cmp(y),
        }),
        _ => a.cmp(b),
    }
}

/// NaN is equal to itself and above all; −0 is below 0.
fn compare_float(a: f64, b: f64) -> Ordering {
    match (a.is_nan(), b.is_nan()) {
        (true, true) => Ordering::Equal,
        (true, false) => Ordering::Greater,
        (false, true) => Ordering::Less,
        (false, false) => a.total_cmp(&b),
    }
}

/// By version, then version 1 by time, others by bytes.
fn compare_uuid(a: &[u8], b: &[u8]) -> Ordering {
    let (Some(a), Some(b)) = (a.first_chunk::<16>(), b.first_chunk::<16>()) else {
        return a.cmp(b);
    };
    uuid_order(a).cmp(&uuid_order(b))
}

fn compare_timeuuid(a: &[u8], b: &[u8]) -> Ordering {
    let (Some(a), Some(b)) = (a.first_chunk::<16>(), b.first_chunk::<16>()) else {
        return a.cmp(b);
    };
    timeuuid_order(a).cmp(&timeuuid_order(b))
}

/// The 60 bits of a version 1 uuid's time.
fn time_bits(uuid: u128) -> u128 {
    let low = uuid >> 96;
    let mid = uuid >> 80 & 0xffff;
    let high = uuid >> 64 & 0x0fff;
    high << 48 | mid << 32 | low
}

fn without_time_bits(time: u128) -> u128 {
    let low = time & 0xffff_ffff;
    let mid = time >> 32 & 0xffff;
    let high = time >> 48 & 0x0fff;
    low << 96 | mid << 80 | high << 64
}

/// A number that orders uuids as the type `uuid` does: version, then for version 1 time and
/// the rest unsigned, otherwise all other bits in place.
pub(super) fn uuid_order(uuid: &[u8; 16]) -> u128 {
    let bits = u128::from_be_bytes(*uuid);
    let version = bits >> 76 & 0xf;
    let low = bits & u128::from(u64::MAX);
    let rest = if version == 1 {
        time_bits(bits)
    } else {
        // The 60 bits of the upper half that are not the version.
        (bits >> 80) << 12 | (bits >> 64 & 0x0fff)
    };
    version << 124 | rest << 64 | low
}

/// The uuid of its order number.
pub(super) fn uuid_from_order(order: u128) -> [u8; 16] {
    let version = order >> 124;
    let rest = order >> 64 & ((1 << 60) - 1);
    let low = order & u128::from(u64::MAX);
    let upper = if version == 1 {
        without_time_bits(rest)
    } else {
        (rest >> 12) << 80 | (rest & 0x0fff) << 64
    };
    (upper | version << 76 | low).to_be_bytes()
}

const SIGNED_BYTES: u128 = 0x8080_8080_8080_8080;

/// A number that orders uuids as the type `timeuuid` does: time, then the lower half as
/// signed bytes.
pub(super) fn timeuuid_order(uuid: &[u8; 16]) -> u128 {
    let bits = u128::from_be_bytes(*uuid);
    let low = (bits & u128::from(u64::MAX)) ^ SIGNED_BYTES;
    // The version decides nothing (a timeuuid has version 1) but must not get lost.
    time_bits(bits) << 68 | low << 4 | (bits >> 76 & 0xf)
}

/// The timeuuid of its order number.
pub(super) fn timeuuid_from_order(order: u128) -> [u8; 16] {
    let low = (order >> 4 & u128::from(u64::MAX)) ^ SIGNED_BYTES;
    (without_time_bits(order >> 68) | (order & 0xf) << 76 | low).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn timeuuids_go_by_time_then_by_signed_bytes() {
        let uuid = |text: &str| super::super::from_text(&CqlType::Timeuuid, text).unwrap();
        let early = uuid("50554d6e-29bb-11e5-b345-feff819cdc9f");
        let late = uuid("00000000-29bc-11e5-b345-feff819cdc9f");
        assert_eq!(compare(&CqlType::Timeuuid, &early, &late), Ordering::Less);
        let signed = uuid("50554d6e-29bb-11e5-7f45-feff819cdc9f");
        assert_eq!(compare(&CqlType::Timeuuid, &early, &signed), Ordering::Less);
        // As plain uuids of version 1 the lower half is unsigned.
        assert_eq!(compare(&CqlType::Uuid, &early, &signed), Ordering::Greater);
    }

    #[test]
    fn uuids_go_by_version_first() {
        let v1 = 0xffffffff_ffff_1fff_8000_000000000000u128.to_be_bytes();
        let v4 = 0x00000000_0000_4000_8000_000000000000u128.to_be_bytes();
        assert_eq!(compare(&CqlType::Uuid, &v1, &v4), Ordering::Less);
    }

    #[test]
    fn numbers_go_by_value() {
        let order = |t: &CqlType, a: &str, b: &str| {
            let value = |text| super::super::from_text(t, text).unwrap();
            compare(t, &value(a), &value(b))
        };
        assert_eq!(order(&CqlType::Int, "-1", "1"), Ordering::Less);
        assert_eq!(order(&CqlType::Varint, "-1000", "-999"), Ordering::Less);
        assert_eq!(order(&CqlType::Decimal, "1.10", "1.1"), Ordering::Equal);
        assert_eq!(order(&CqlType::Double, "nan", "inf"), Ordering::Greater);
        assert_eq!(order(&CqlType::Float, "-0.0", "0.0"), Ordering::Less);
    }

    proptest! {
        #[test]
        fn order_numbers_come_back_as_the_same_uuid(bits: u128) {
            let uuid = bits.to_be_bytes();
            prop_assert_eq!(uuid_from_order(uuid_order(&uuid)), uuid);
            prop_assert_eq!(timeuuid_from_order(timeuuid_order(&uuid)), uuid);
        }
    }
}

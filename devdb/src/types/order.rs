//! Clustering keys as bytes whose order is the table's.
//!
//! Every value's encoding says itself where it ends, so that a key of the first columns is
//! a prefix of exactly the keys that begin with those values; a descending column has all
//! its bytes inverted. `memcmp` of two encodings is [`super::compare`] of the values:
//!
//! | type | encoding |
//! |---|---|
//! | text, ascii, blob, inet, duration | bytes, `00` as `00 ff`, then `00 00` |
//! | integers, date, time, timestamp, boolean | `01`, big endian, sign bit flipped |
//! | float, double | `01`, IEEE bits, made monotonic |
//! | uuid, timeuuid | `01`, the bits in the order that decides |
//! | varint | length and sign, then two's complement |
//! | decimal | sign, exponent, digits |
//! | list, set, map, tuple, UDT | `01` before each element, `00` at the end |
//!
//! An empty value of a type that is not text is `00`.
//!
//! Some values are equal without being the same: 1.0 and 1.00 are one clustering key. Where
//! the encoding loses which it was, a full key ends with a supplement of the values as they
//! are; [`split_supplement`] tells it from what decides the order and the identity of a row.

use bytes::{Bytes, BytesMut};
use num_bigint::Sign;

use super::compare::{timeuuid_from_order, timeuuid_order, uuid_from_order, uuid_order};
use super::number::{Decimal, varint, varint_bytes};
use super::{CqlType, collection};
use crate::store::mutation::ClusteringKey;

/// The key of a row from its clustering columns' values, or of all rows with a prefix when
/// there are fewer values than columns. Columns: type and whether descending.
pub fn encode_clustering(columns: &[(&CqlType, bool)], values: &[Bytes]) -> ClusteringKey {
    let mut out = Vec::with_capacity(values.iter().map(|v| v.len() + 3).sum());
    let mut supplement: Vec<u8> = Vec::new();
    for (i, ((cql_type, descending), value)) in columns.iter().zip(values).enumerate() {
        let start = out.len();
        encode(cql_type, value, &mut out);
        if may_lose(cql_type) && values.len() == columns.len() {
            let mut back = BytesMut::new();
            decode(cql_type, &mut Input { rest: &out[start..], invert: false }, &mut back);
            if back != value {
                supplement.push(i as u8);
                supplement.extend((value.len() as u32).to_be_bytes());
                supplement.extend_from_slice(value);
            }
        }
        if *descending {
            out[start..].iter_mut().for_each(|b| *b = !*b);
        }
    }
    out.extend(supplement);
    ClusteringKey(Bytes::from(out))
}

/// The clustering columns' values of a key, as many as it has.
pub fn decode_clustering(columns: &[(&CqlType, bool)], key: &ClusteringKey) -> Vec<Bytes> {
    let mut rest = &key.0[..];
    let mut values = Vec::with_capacity(columns.len());
    for (cql_type, descending) in columns {
        if rest.is_empty() {
            break;
        }
        let mut input = Input { rest, invert: *descending };
        let mut value = BytesMut::new();
        decode(cql_type, &mut input, &mut value);
        rest = input.rest;
        values.push(value.freeze());
    }
    while let Some((head, after)) = rest.split_first_chunk::<5>() {
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
        let Some((value, after)) = after.split_at_checked(length) else { break };
        if let Some(place) = values.get_mut(usize::from(head[0])) {
            *place = Bytes::copy_from_slice(value);
        }
        rest = after;
    }
    values
}

/// Whether values of the type can be equal without being the same.
pub fn may_lose(cql_type: &CqlType) -> bool {
    match cql_type {
        CqlType::Decimal | CqlType::Varint | CqlType::Float | CqlType::Double => true,
        CqlType::List { element, .. } | CqlType::Set { element, .. } => may_lose(element),
        CqlType::Map { key, value, .. } => may_lose(key) || may_lose(value),
        CqlType::Tuple(fields) => fields.iter().any(may_lose),
        CqlType::Udt { definition, .. } => definition.fields.iter().any(|(_, t)| may_lose(t)),
        _ => false,
    }
}

/// A key as what orders and identifies it, and its supplement (mostly empty).
pub fn split_supplement<'a>(columns: &[(CqlType, bool)], key: &'a [u8]) -> (&'a [u8], &'a [u8]) {
    let mut rest = key;
    let mut value = BytesMut::new();
    for (cql_type, descending) in columns {
        if rest.is_empty() {
            break;
        }
        let mut input = Input { rest, invert: *descending };
        value.clear();
        decode(cql_type, &mut input, &mut value);
        rest = input.rest;
    }
    key.split_at(key.len() - rest.len())
}

/// Encoded bytes being read, inverted or not. Reading past the end gives nothing: keys are
/// made by `encode_clustering` alone.
struct Input<'a> {
    rest: &'a [u8],
    invert: bool,
}

impl Input<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(if self.invert { !first } else { *first })
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut array = [0; N];
        array.iter_mut().for_each(|b| *b = self.byte().unwrap_or(0));
        array
    }
}

fn fixed_size(cql_type: &CqlType) -> Option<usize> {
    match cql_type {
        CqlType::Boolean | CqlType::Tinyint => Some(1),
        CqlType::Smallint => Some(2),
        CqlType::Int | CqlType::Date | CqlType::Float => Some(4),
        CqlType::Bigint
        | CqlType::Counter
        | CqlType::Time
        | CqlType::Timestamp
        | CqlType::Double => Some(8),
        CqlType::Uuid | CqlType::Timeuuid => Some(16),
        _ => None,
    }
}

fn encode(cql_type: &CqlType, value: &[u8], out: &mut Vec<u8>) {
    if let Some(size) = fixed_size(cql_type) {
        if value.len() != size {
            out.push(0);
            return;
        }
        out.push(1);
        let start = out.len();
        match (cql_type, value.first_chunk::<16>()) {
            (CqlType::Uuid, Some(uuid)) => out.extend(uuid_order(uuid).to_be_bytes()),
            (CqlType::Timeuuid, Some(uuid)) => out.extend(timeuuid_order(uuid).to_be_bytes()),
            (CqlType::Boolean | CqlType::Date, _) => out.extend(value),
            (CqlType::Float | CqlType::Double, _) => {
                out.extend(value);
                if is_nan(value) {
                    // One NaN for all, above everything.
                    out.truncate(start);
                    out.extend([0xff].iter().chain([0xf0; 7].iter()).take(size));
                } else if value[0] & 0x80 != 0 {
                    out[start..].iter_mut().for_each(|b| *b = !*b);
                } else {
                    out[start] |= 0x80;
                }
            }
            _ => {
                out.extend(value);
                out[start] ^= 0x80;
            }
        }
        return;
    }
    match cql_type {
        CqlType::Varint if value.is_empty() => out.push(0),
        CqlType::Varint => encode_varint(value, out),
        CqlType::Decimal => encode_decimal(value, out),
        CqlType::List { element, .. } | CqlType::Set { element, .. } => {
            // The bytes were validated when they were bound; what is not a list is an empty one.
            let elements = collection::decode_sequence(&Bytes::copy_from_slice(value));
            if value.is_empty() {
                out.push(0);
                return;
            }
            out.push(1);
            for item in elements.unwrap_or_default() {
                out.push(1);
                encode(element, &item, out);
            }
            out.push(0);
        }
        CqlType::Map { key, value: value_type, .. } => {
            if value.is_empty() {
                out.push(0);
                return;
            }
            out.push(1);
            let entries = collection::decode_map(&Bytes::copy_from_slice(value));
            for (k, v) in entries.unwrap_or_default() {
                out.push(1);
                encode(key, &k, out);
                encode(value_type, &v, out);
            }
            out.push(0);
        }
        CqlType::Tuple(fields) => encode_fields(fields.iter(), value, out),
        CqlType::Udt { definition, .. } => {
            encode_fields(definition.fields.iter().map(|(_, field)| field), value, out);
        }
        _ => {
            for byte in value {
                out.push(*byte);
                if *byte == 0 {
                    out.push(0xff);
                }
            }
            out.extend([0, 0]);
        }
    }
}

fn encode_fields<'a>(types: impl Iterator<Item = &'a CqlType>, value: &[u8], out: &mut Vec<u8>) {
    let fields = collection::decode_tuple(&Bytes::copy_from_slice(value)).unwrap_or_default();
    for (cql_type, field) in types.zip(fields) {
        match field {
            Some(field) => {
                out.push(2);
                encode(cql_type, &field, out);
            }
            None => out.push(1),
        }
    }
    out.push(0);
}

fn is_nan(bytes: &[u8]) -> bool {
    match bytes.len() {
        4 => bytes.try_into().is_ok_and(|b| f32::from_be_bytes(b).is_nan()),
        _ => bytes.try_into().is_ok_and(|b| f64::from_be_bytes(b).is_nan()),
    }
}

/// Longest two's complement whose length fits into the first byte.
const SHORT_VARINT: usize = 100;

fn encode_varint(value: &[u8], out: &mut Vec<u8>) {
    let number = varint(value);
    let bytes = varint_bytes(&number);
    let negative = number.sign() == Sign::Minus;
    // A longer number is larger, a longer negative one smaller.
    match (bytes.len() <= SHORT_VARINT, negative) {
        (true, false) => out.push(0x80 + bytes.len() as u8),
        (true, true) => out.push(0x80 - bytes.len() as u8),
        (false, false) => {
            out.push(0xff);
            out.extend((bytes.len() as u32).to_be_bytes());
        }
        (false, true) => {
            out.push(0x01);
            out.extend((!(bytes.len() as u32)).to_be_bytes());
        }
    }
    out.extend(bytes);
}

fn decode_varint(input: &mut Input<'_>, out: &mut BytesMut) {
    let length = match input.byte() {
        None | Some(0) => return,
        Some(0xff) => u32::from_be_bytes(input.array()) as usize,
        Some(0x01) => !u32::from_be_bytes(input.array()) as usize,
        Some(head) => usize::from(head.abs_diff(0x80)),
    };
    for _ in 0..length {
        match input.byte() {
            Some(byte) => out.extend_from_slice(&[byte]),
            None => return,
        }
    }
}

/// `00` empty, `01` negative, `02` zero, `03` positive; then exponent (sign bit flipped) and
/// the digits as ASCII, ended by `00`; for a negative number exponent and digits inverted.
fn encode_decimal(value: &[u8], out: &mut Vec<u8>) {
    let Some(decimal) = Decimal::decode(value) else {
        out.push(0);
        return;
    };
    let (sign, exponent, digits) = decimal.normal_form();
    out.push(match sign {
        Sign::Minus => 1,
        Sign::NoSign => 2,
        Sign::Plus => 3,
    });
    if sign == Sign::NoSign {
        return;
    }
    let start = out.len();
    out.extend(((exponent as u64) ^ (1 << 63)).to_be_bytes());
    out.extend(digits.as_bytes());
    out.push(0);
    if sign == Sign::Minus {
        out[start..].iter_mut().for_each(|b| *b = !*b);
    }
}

fn decode_decimal(input: &mut Input<'_>, out: &mut BytesMut) {
    let negative = match input.byte() {
        None | Some(0) => return,
        Some(1) => true,
        Some(2) => {
            out.extend_from_slice(&[0; 5]);
            return;
        }
        Some(_) => false,
    };
    input.invert ^= negative;
    let exponent = (u64::from_be_bytes(input.array()) ^ (1 << 63)) as i64;
    let mut digits = String::new();
    while let Some(byte) = input.byte().filter(|b| *b != 0) {
        digits.push(char::from(byte));
    }
    input.invert ^= negative;
    let scale = digits.len() as i64 - exponent;
    // Digits were cut of their zeros, so a whole number has a negative scale: written out.
    let (digits, scale) = match scale {
        -64..0 => (format!("{digits}{}", "0".repeat(scale.unsigned_abs() as usize)), 0),
        _ => (digits, scale),
    };
    let unscaled: num_bigint::BigInt = digits.parse().unwrap_or_default();
    let unscaled = if negative { -unscaled } else { unscaled };
    let scale = i32::try_from(scale).unwrap_or(i32::MAX);
    out.extend_from_slice(&Decimal { scale, unscaled }.encode());
}

fn decode(cql_type: &CqlType, input: &mut Input<'_>, out: &mut BytesMut) {
    if let Some(size) = fixed_size(cql_type) {
        if input.byte() != Some(1) {
            return;
        }
        let start = out.len();
        match cql_type {
            CqlType::Uuid => {
                out.extend_from_slice(&uuid_from_order(u128::from_be_bytes(input.array())));
            }
            CqlType::Timeuuid => {
                out.extend_from_slice(&timeuuid_from_order(u128::from_be_bytes(input.array())));
            }
            _ => {
                for _ in 0..size {
                    out.extend_from_slice(&[input.byte().unwrap_or(0)]);
                }
                match cql_type {
                    CqlType::Boolean | CqlType::Date => {}
                    CqlType::Float | CqlType::Double => {
                        if out[start] & 0x80 != 0 {
                            out[start] &= 0x7f;
                        } else {
                            out[start..].iter_mut().for_each(|b| *b = !*b);
                        }
                        if is_nan(&out[start..]) {
                            out.truncate(start);
                            match cql_type {
                                CqlType::Float => out.extend_from_slice(&f32::NAN.to_be_bytes()),
                                _ => out.extend_from_slice(&f64::NAN.to_be_bytes()),
                            }
                        }
                    }
                    _ => out[start] ^= 0x80,
                }
            }
        }
        return;
    }
    match cql_type {
        CqlType::Varint => decode_varint(input, out),
        CqlType::Decimal => decode_decimal(input, out),
        CqlType::List { element, .. } | CqlType::Set { element, .. } => {
            if input.byte() != Some(1) {
                return;
            }
            let mut elements: Vec<BytesMut> = Vec::new();
            while input.byte() == Some(1) {
                let mut item = BytesMut::new();
                decode(element, input, &mut item);
                elements.push(item);
            }
            out.extend_from_slice(&collection::encode_sequence(elements.iter().map(|e| &e[..])));
        }
        CqlType::Map { key, value, .. } => {
            if input.byte() != Some(1) {
                return;
            }
            let mut entries: Vec<(BytesMut, BytesMut)> = Vec::new();
            while input.byte() == Some(1) {
                let (mut k, mut v) = (BytesMut::new(), BytesMut::new());
                decode(key, input, &mut k);
                decode(value, input, &mut v);
                entries.push((k, v));
            }
            let entries = entries.iter().map(|(k, v)| (&k[..], &v[..]));
            out.extend_from_slice(&collection::encode_map(entries));
        }
        CqlType::Tuple(fields) => decode_fields(fields.iter(), input, out),
        CqlType::Udt { definition, .. } => {
            decode_fields(definition.fields.iter().map(|(_, field)| field), input, out);
        }
        _ => {
            while let Some(byte) = input.byte() {
                if byte == 0 && input.byte() != Some(0xff) {
                    return;
                }
                out.extend_from_slice(&[byte]);
            }
        }
    }
}

fn decode_fields<'a>(
    mut types: impl Iterator<Item = &'a CqlType>,
    input: &mut Input<'_>,
    out: &mut BytesMut,
) {
    let mut fields: Vec<Option<BytesMut>> = Vec::new();
    loop {
        match (input.byte(), types.next()) {
            (Some(2), Some(cql_type)) => {
                let mut field = BytesMut::new();
                decode(cql_type, input, &mut field);
                fields.push(Some(field));
            }
            (Some(1), Some(_)) => fields.push(None),
            _ => break,
        }
    }
    out.extend_from_slice(&collection::encode_tuple(fields.iter().map(Option::as_deref)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{compare, from_text};
    use proptest::prelude::*;
    use std::cmp::Ordering;

    /// A value of a type from a seed of bytes.
    fn value(cql_type: &CqlType, seed: &[u8]) -> Bytes {
        let sized = |size: usize| {
            let mut bytes = seed.to_vec();
            bytes.resize(size, 0);
            Bytes::from(bytes)
        };
        match cql_type {
            CqlType::Decimal => {
                let scale = i32::from(seed.first().copied().unwrap_or(0) as i8) / 8;
                let unscaled = varint(seed.get(1..).unwrap_or(&[]));
                Bytes::from(Decimal { scale, unscaled }.encode())
            }
            CqlType::Timeuuid => {
                let mut bytes = sized(16).to_vec();
                bytes[6] = bytes[6] & 0x0f | 0x10;
                Bytes::from(bytes)
            }
            CqlType::List { element, .. } => {
                let items: Vec<Bytes> = seed.chunks(5).map(|c| value(element, c)).collect();
                collection::encode_sequence(items.iter().map(|b| &b[..]))
            }
            CqlType::Map { key, value: v, .. } => {
                let items: Vec<_> = seed.chunks(5).map(|c| (value(key, c), value(v, c))).collect();
                collection::encode_map(items.iter().map(|(k, v)| (&k[..], &v[..])))
            }
            CqlType::Tuple(fields) => {
                let items: Vec<_> = fields
                    .iter()
                    .zip(seed.chunks(4))
                    .map(|(t, c)| (c[0] % 4 != 0).then(|| value(t, c)))
                    .collect();
                collection::encode_tuple(items.iter().map(Option::as_deref))
            }
            other => match fixed_size(other) {
                Some(size) => sized(size),
                None => Bytes::copy_from_slice(seed),
            },
        }
    }

    fn types() -> Vec<CqlType> {
        let mut types = vec![
            CqlType::Ascii,
            CqlType::Bigint,
            CqlType::Blob,
            CqlType::Boolean,
            CqlType::Date,
            CqlType::Decimal,
            CqlType::Double,
            CqlType::Float,
            CqlType::Inet,
            CqlType::Int,
            CqlType::Smallint,
            CqlType::Text,
            CqlType::Time,
            CqlType::Timestamp,
            CqlType::Timeuuid,
            CqlType::Tinyint,
            CqlType::Uuid,
            CqlType::Varint,
        ];
        types.push(CqlType::List { element: CqlType::Text.into(), frozen: true });
        types.push(CqlType::List { element: CqlType::Varint.into(), frozen: true });
        types.push(CqlType::Map {
            key: CqlType::Blob.into(),
            value: CqlType::Int.into(),
            frozen: true,
        });
        types.push(CqlType::Tuple(vec![CqlType::Text, CqlType::Decimal].into()));
        types
    }

    /// Seeds that collide often: few bytes, few values.
    fn seed() -> impl Strategy<Value = Vec<u8>> {
        let byte = prop_oneof![Just(0u8), Just(1), Just(0x7f), Just(0x80), Just(0xff), any::<u8>()];
        proptest::collection::vec(byte, 0..18)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn bytes_compare_as_values_do_and_come_back(
            which in 0..types().len(), descending: bool, a in seed(), b in seed(), c in seed(),
        ) {
            let cql_type = &types()[which];
            let (a, b, c) = (value(cql_type, &a), value(cql_type, &b), value(cql_type, &c));
            let columns = [(cql_type, descending), (cql_type, !descending)];
            let key = |values: &[Bytes]| encode_clustering(&columns, values);
            let mut expected = compare(cql_type, &a, &b);
            if descending {
                expected = expected.reverse();
            }
            let first = |value: &Bytes| key(std::slice::from_ref(value));
            prop_assert_eq!(first(&a).cmp(&first(&b)), expected, "{:?} {:?}", a, b);
            let full = key(&[a.clone(), c.clone()]);
            let other = key(&[b.clone(), c.clone()]);
            let bare = |key: &ClusteringKey| {
                let columns = [(cql_type.clone(), descending), (cql_type.clone(), !descending)];
                split_supplement(&columns, &key.0).0.to_vec()
            };
            prop_assert_eq!(bare(&full).cmp(&bare(&other)), expected);
            prop_assert!(full.0.starts_with(&first(&a).0));
            prop_assert_eq!(other.0.starts_with(&first(&a).0), expected == Ordering::Equal);
            prop_assert_eq!(decode_clustering(&columns, &full), vec![a, c]);
        }
    }

    #[test]
    fn empty_values_come_first_and_come_back() {
        for cql_type in types() {
            let key = |v: &Bytes| encode_clustering(&[(&cql_type, false)], std::slice::from_ref(v));
            let one = value(&cql_type, &[1; 16]);
            assert!(key(&Bytes::new()) < key(&one), "{cql_type}");
            let back = decode_clustering(&[(&cql_type, false)], &key(&Bytes::new()));
            assert_eq!(back, [Bytes::new()], "{cql_type}");
        }
    }

    #[test]
    fn long_varints_keep_their_order() {
        let number = |text: String| from_text(&CqlType::Varint, &text).unwrap();
        let key = |v: Bytes| encode_clustering(&[(&CqlType::Varint, false)], &[v]);
        let nines = |n: usize| "9".repeat(n);
        let sorted = [
            number(format!("-{}", nines(400))),
            number(format!("-{}", nines(300))),
            number("-1".into()),
            number("0".into()),
            number("128".into()),
            number(nines(300)),
            number(nines(400)),
        ];
        for pair in sorted.windows(2) {
            assert!(key(pair[0].clone()) < key(pair[1].clone()));
        }
        for value in sorted {
            let columns = [(&CqlType::Varint, true)];
            let key = encode_clustering(&columns, std::slice::from_ref(&value));
            assert_eq!(decode_clustering(&columns, &key), [value]);
        }
    }
}

//! Restrictions with values: partition keys, token ranges and ranges of rows.

use std::cmp::Ordering;

use bytes::Bytes;

use super::bindings::Bindings;
use crate::error::{CqlError, Result};
use crate::plan::{
    ClusteringRestriction, Expression, KeyValues, SliceBound, TupleValue, TupleValues,
};
use crate::request::Value;
use crate::store::mutation::{ClusteringBound, ClusteringKey, ClusteringRange, PartitionKey};
use crate::store::read::TokenRange;
use crate::types::{CqlType, collection, compare, order, partition_key};

/// ScyllaDB refuses products of `IN`s that are larger (`max_partition_key_restrictions_per_query`
/// and its clustering twin are 100).
const MAX_PRODUCT: usize = 100;

/// What the clustering columns are.
pub type ClusteringTypes = [(CqlType, bool)];

/// A clustering key from (leading) values.
pub fn clustering_key(types: &ClusteringTypes, values: &[Bytes]) -> ClusteringKey {
    if types.is_empty() {
        return ClusteringKey::default();
    }
    let columns: Vec<(&CqlType, bool)> = types.iter().map(|(ty, desc)| (ty, *desc)).collect();
    order::encode_clustering(&columns, values)
}

/// The values of a clustering key.
pub fn clustering_values(types: &ClusteringTypes, key: &ClusteringKey) -> Vec<Bytes> {
    if types.is_empty() {
        return Vec::new();
    }
    let columns: Vec<(&CqlType, bool)> = types.iter().map(|(ty, desc)| (ty, *desc)).collect();
    order::decode_clustering(&columns, key)
}

/// Every combination of values, the first column's changing slowest.
fn product(columns: Vec<Vec<Bytes>>, what: &str) -> Result<Vec<Vec<Bytes>>> {
    let size = columns.iter().map(Vec::len).try_fold(1usize, usize::checked_mul);
    if size.is_none_or(|size| size > MAX_PRODUCT) {
        return Err(CqlError::invalid(format!(
            "{what} cartesian product size {} is greater than maximum {MAX_PRODUCT}",
            size.unwrap_or(usize::MAX)
        )));
    }
    let mut rows = vec![Vec::with_capacity(columns.len())];
    for values in columns {
        let mut next = Vec::with_capacity(rows.len() * values.len());
        for row in &rows {
            for value in &values {
                let mut row = row.clone();
                row.push(value.clone());
                next.push(row);
            }
        }
        rows = next;
    }
    Ok(rows)
}

/// The partition keys that a restriction names, in the order of their values. Empty when a
/// value is unset.
pub fn partition_keys(
    keys: &[KeyValues],
    columns: &[(String, CqlType)],
    bindings: Bindings<'_>,
) -> Result<Vec<PartitionKey>> {
    let mut values = Vec::with_capacity(keys.len());
    for (key, (name, ty)) in keys.iter().zip(columns) {
        let Some(given) = bindings.values_of(key)? else {
            return Ok(Vec::new());
        };
        let mut column = Vec::with_capacity(given.len());
        for value in given {
            column.push(value.ok_or_else(|| {
                CqlError::invalid(format!("Invalid null value in condition for column {name}"))
            })?);
        }
        if key.is_in() {
            column.sort_by(|a, b| compare(ty, a, b));
            column.dedup();
        }
        values.push(column);
    }
    let single = columns.len() == 1;
    let mut result = Vec::new();
    for row in product(values, "partition key")? {
        if single && row.first().is_some_and(Bytes::is_empty) {
            return Err(CqlError::invalid("Key may not be empty"));
        }
        result.push(partition_key::encode(&row)?);
    }
    Ok(result)
}

/// The tokens between two bounds; `None` when there are none.
pub fn token_range(
    start: Option<&SliceBound<Expression>>,
    end: Option<&SliceBound<Expression>>,
    bindings: Bindings<'_>,
) -> Result<Option<TokenRange>> {
    let token = |bound: &SliceBound<Expression>| -> Result<i64> {
        let bytes = bindings
            .known(&bound.value, "partition key token")?
            .ok_or_else(|| CqlError::invalid("Invalid null token value"))?;
        bytes
            .as_ref()
            .try_into()
            .map(i64::from_be_bytes)
            .map_err(|_| CqlError::invalid("Invalid token value"))
    };
    let mut range = TokenRange::ALL;
    if let Some(bound) = start {
        let value = token(bound)?;
        range.start = if bound.inclusive {
            value
        } else {
            match value.checked_add(1) {
                Some(next) => next,
                None => return Ok(None),
            }
        };
    }
    if let Some(bound) = end {
        let value = token(bound)?;
        // As an end the least token stands for the end of the ring.
        range.end = if value == i64::MIN {
            i64::MAX
        } else if bound.inclusive {
            value
        } else {
            value - 1
        };
    }
    Ok((range.start <= range.end).then_some(range))
}

fn bytes_of(value: Option<Bytes>) -> Result<Bytes> {
    value.ok_or_else(|| {
        CqlError::invalid("Invalid null value in condition for a clustering key column")
    })
}

/// The ranges of rows that a restriction names, in clustering order, not overlapping.
/// `None`: no row, since a value is unset or a list empty.
pub fn clustering_ranges(
    restriction: &ClusteringRestriction,
    types: &ClusteringTypes,
    bindings: Bindings<'_>,
) -> Result<Vec<ClusteringRange>> {
    if restriction.is_none() {
        return Ok(vec![ClusteringRange::all()]);
    }
    match restriction {
        ClusteringRestriction::Columns { equal, lower, upper } => {
            let mut columns = Vec::with_capacity(equal.len());
            for values in equal {
                let Some(given) = bindings.values_of(values)? else {
                    return Ok(Vec::new());
                };
                columns.push(given.into_iter().map(bytes_of).collect::<Result<Vec<_>>>()?);
            }
            let bound = |given: &Option<SliceBound<Expression>>| -> Result<Slice> {
                let Some(given) = given else {
                    return Ok(Slice::Open);
                };
                Ok(match bindings.value(&given.value)? {
                    Value::Bytes(bytes) => Slice::At(bytes, given.inclusive),
                    Value::Null => Slice::At(bytes_of(None)?, given.inclusive),
                    Value::Unset => Slice::Unset,
                })
            };
            let (lower, upper) = (bound(lower)?, bound(upper)?);
            if matches!(lower, Slice::Unset) || matches!(upper, Slice::Unset) {
                return Ok(Vec::new());
            }
            let mut ranges = Vec::new();
            for prefix in product(columns, "clustering key")? {
                ranges.push(column_slice(types, &prefix, &lower, &upper));
            }
            Ok(sorted(ranges))
        }
        ClusteringRestriction::Tuples { values, .. } => {
            let mut ranges = Vec::new();
            match values {
                TupleValues::Written(tuples) => {
                    for tuple in tuples {
                        let Some(parts) = tuple_parts(tuple, bindings)? else {
                            return Ok(Vec::new());
                        };
                        ranges.push(ClusteringRange::prefix(clustering_key(types, &parts)));
                    }
                }
                TupleValues::Bound(bound) => match bindings.value(bound)? {
                    Value::Bytes(bytes) => {
                        for tuple in collection::decode_sequence(&bytes)? {
                            let parts = collection::decode_tuple(&tuple)?
                                .into_iter()
                                .map(bytes_of)
                                .collect::<Result<Vec<_>>>()?;
                            ranges.push(ClusteringRange::prefix(clustering_key(types, &parts)));
                        }
                    }
                    Value::Null => {
                        return Err(CqlError::invalid("Invalid null value for IN relation"));
                    }
                    Value::Unset => return Ok(Vec::new()),
                },
            }
            Ok(sorted(ranges))
        }
        ClusteringRestriction::TupleSlice { lower, upper } => {
            let mut sides = [vec![ClusteringRange::all()], vec![ClusteringRange::all()]];
            for (side, (bound, is_lower)) in sides.iter_mut().zip([(lower, true), (upper, false)]) {
                let Some((_, bound)) = bound else {
                    continue;
                };
                let Some(parts) = tuple_parts(&bound.value, bindings)? else {
                    return Ok(Vec::new());
                };
                *side = tuple_slice(types, &parts, bound.inclusive, is_lower);
            }
            let [lower, upper] = sides;
            let mut ranges = Vec::new();
            for a in &lower {
                for b in &upper {
                    ranges.push(intersection(a, b));
                }
            }
            Ok(sorted(ranges))
        }
    }
}

fn tuple_parts(tuple: &TupleValue, bindings: Bindings<'_>) -> Result<Option<Vec<Bytes>>> {
    let mut parts = Vec::new();
    match tuple {
        TupleValue::Parts(expressions) => {
            for expression in expressions {
                match bindings.value(expression)? {
                    Value::Bytes(bytes) => parts.push(bytes),
                    Value::Null => parts.push(bytes_of(None)?),
                    Value::Unset => return Ok(None),
                }
            }
        }
        TupleValue::Whole(expression) => match bindings.value(expression)? {
            Value::Bytes(bytes) => {
                for part in collection::decode_tuple(&bytes)? {
                    parts.push(bytes_of(part)?);
                }
            }
            Value::Null => return Err(CqlError::invalid("Invalid null value for tuple")),
            Value::Unset => return Ok(None),
        },
    }
    Ok(Some(parts))
}

enum Slice {
    Open,
    At(Bytes, bool),
    Unset,
}

/// The rows with a prefix whose next column lies between two values of it.
fn column_slice(
    types: &ClusteringTypes,
    prefix: &[Bytes],
    lower: &Slice,
    upper: &Slice,
) -> ClusteringRange {
    let bound = |slice: &Slice| match slice {
        Slice::At(value, inclusive) => {
            let mut values = prefix.to_vec();
            values.push(value.clone());
            let key = clustering_key(types, &values);
            if *inclusive {
                ClusteringBound::Inclusive(key)
            } else {
                ClusteringBound::Exclusive(key)
            }
        }
        _ if prefix.is_empty() => ClusteringBound::Unbounded,
        _ => ClusteringBound::Inclusive(clustering_key(types, prefix)),
    };
    let descending = types.get(prefix.len()).is_some_and(|(_, descending)| *descending);
    if descending {
        ClusteringRange { start: bound(upper), end: bound(lower) }
    } else {
        ClusteringRange { start: bound(lower), end: bound(upper) }
    }
}

/// The rows on one side of a tuple. Where all columns run the same way that is one range;
/// else one for each column: equal before it, beyond in it.
fn tuple_slice(
    types: &ClusteringTypes,
    parts: &[Bytes],
    inclusive: bool,
    is_lower: bool,
) -> Vec<ClusteringRange> {
    let directions = &types[..parts.len().min(types.len())];
    let first = directions.first().is_some_and(|(_, descending)| *descending);
    let side = |prefix: &[Bytes], value: &Bytes, inclusive: bool| {
        let at = Slice::At(value.clone(), inclusive);
        if is_lower {
            column_slice(types, prefix, &at, &Slice::Open)
        } else {
            column_slice(types, prefix, &Slice::Open, &at)
        }
    };
    if directions.iter().all(|(_, descending)| *descending == first) {
        let key = clustering_key(types, parts);
        let bound = if inclusive {
            ClusteringBound::Inclusive(key)
        } else {
            ClusteringBound::Exclusive(key)
        };
        return vec![if is_lower != first {
            ClusteringRange { start: bound, end: ClusteringBound::Unbounded }
        } else {
            ClusteringRange { start: ClusteringBound::Unbounded, end: bound }
        }];
    }
    let last = parts.len().saturating_sub(1);
    parts
        .iter()
        .enumerate()
        .map(|(index, value)| side(&parts[..index], value, inclusive && index == last))
        .collect()
}

/// Before or after all rows that have the prefix.
pub fn position(bound: &ClusteringBound, is_start: bool) -> Option<(&[u8], bool)> {
    match bound {
        ClusteringBound::Unbounded => None,
        ClusteringBound::Inclusive(key) => Some((&key.0, !is_start)),
        ClusteringBound::Exclusive(key) => Some((&key.0, is_start)),
    }
}

/// In clustering order.
pub fn compare_positions(a: (&[u8], bool), b: (&[u8], bool)) -> Ordering {
    let side = |after: bool| if after { Ordering::Greater } else { Ordering::Less };
    if a.0 == b.0 {
        return a.1.cmp(&b.1);
    }
    if b.0.starts_with(a.0) {
        return side(a.1);
    }
    if a.0.starts_with(b.0) {
        return side(b.1).reverse();
    }
    a.0.cmp(b.0)
}

fn compare_starts(a: &ClusteringBound, b: &ClusteringBound) -> Ordering {
    match (position(a, true), position(b, true)) {
        (None, None) => Ordering::Equal,
        (None, _) => Ordering::Less,
        (_, None) => Ordering::Greater,
        (Some(a), Some(b)) => compare_positions(a, b),
    }
}

fn compare_ends(a: &ClusteringBound, b: &ClusteringBound) -> Ordering {
    match (position(a, false), position(b, false)) {
        (None, None) => Ordering::Equal,
        (None, _) => Ordering::Greater,
        (_, None) => Ordering::Less,
        (Some(a), Some(b)) => compare_positions(a, b),
    }
}

fn intersection(a: &ClusteringRange, b: &ClusteringRange) -> ClusteringRange {
    let start = if compare_starts(&a.start, &b.start).is_ge() { &a.start } else { &b.start };
    let end = if compare_ends(&a.end, &b.end).is_le() { &a.end } else { &b.end };
    ClusteringRange { start: start.clone(), end: end.clone() }
}

fn is_empty(range: &ClusteringRange) -> bool {
    match (position(&range.start, true), position(&range.end, false)) {
        (Some(start), Some(end)) => compare_positions(start, end).is_ge(),
        _ => false,
    }
}

/// In clustering order, without empty and repeated ranges.
fn sorted(mut ranges: Vec<ClusteringRange>) -> Vec<ClusteringRange> {
    ranges.retain(|range| !is_empty(range));
    ranges.sort_by(|a, b| compare_starts(&a.start, &b.start));
    let mut result: Vec<ClusteringRange> = Vec::with_capacity(ranges.len());
    for range in ranges {
        if let Some(last) = result.last_mut() {
            let overlaps = match (position(&range.start, true), position(&last.end, false)) {
                (Some(start), Some(end)) => compare_positions(start, end).is_lt(),
                _ => true,
            };
            if overlaps {
                if compare_ends(&range.end, &last.end).is_gt() {
                    last.end = range.end;
                }
                continue;
            }
        }
        result.push(range);
    }
    result
}

/// The full keys that a restriction names, where it names full keys.
pub fn full_keys(
    restriction: &ClusteringRestriction,
    types: &ClusteringTypes,
    bindings: Bindings<'_>,
) -> Result<Vec<ClusteringKey>> {
    if types.is_empty() {
        return Ok(vec![ClusteringKey::default()]);
    }
    // The common case, without the detour over ranges.
    if let ClusteringRestriction::Columns { equal, .. } = restriction
        && equal.iter().all(|values| !values.is_in())
    {
        let mut parts = Vec::with_capacity(equal.len());
        for values in equal {
            let KeyValues::One(value) = values else {
                continue;
            };
            match bindings.value(value)? {
                Value::Bytes(bytes) => parts.push(bytes),
                Value::Null => parts.push(bytes_of(None)?),
                Value::Unset => return Ok(Vec::new()),
            }
        }
        return Ok(vec![clustering_key(types, &parts)]);
    }
    let ranges = clustering_ranges(restriction, types, bindings)?;
    Ok(ranges
        .into_iter()
        .filter_map(|range| match range.start {
            ClusteringBound::Inclusive(key) => Some(key),
            _ => None,
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TYPES: [(CqlType, bool); 2] = [(CqlType::Int, false), (CqlType::Int, true)];

    fn int(value: i32) -> Bytes {
        Bytes::copy_from_slice(&value.to_be_bytes())
    }

    fn contains(range: &ClusteringRange, key: &ClusteringKey) -> bool {
        let row = (&key.0[..], false);
        position(&range.start, true).is_none_or(|start| {
            // A row is beyond a start that excludes its prefix only if it lacks the prefix.
            compare_positions(start, row).is_le()
        }) && position(&range.end, false)
            .is_none_or(|end| compare_positions((&key.0, true), end).is_le())
    }

    #[test]
    fn a_slice_over_columns_of_both_directions_is_the_tuple_comparison() {
        for inclusive in [false, true] {
            for is_lower in [false, true] {
                let at = (2, 2);
                let ranges =
                    sorted(tuple_slice(&TYPES, &[int(at.0), int(at.1)], inclusive, is_lower));
                for c in 0..5 {
                    for d in 0..5 {
                        let key = clustering_key(&TYPES, &[int(c), int(d)]);
                        let expected = match (c, d).cmp(&at) {
                            Ordering::Less => !is_lower,
                            Ordering::Equal => inclusive,
                            Ordering::Greater => is_lower,
                        };
                        let found = ranges.iter().any(|range| contains(range, &key));
                        assert_eq!(found, expected, "({c}, {d}) lower {is_lower} {inclusive}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_range_with_its_end_before_its_start_is_dropped() {
        let range = column_slice(&TYPES, &[], &Slice::At(int(3), false), &Slice::At(int(2), true));
        assert!(sorted(vec![range]).is_empty());
        let point = column_slice(&TYPES, &[], &Slice::At(int(2), true), &Slice::At(int(2), true));
        assert_eq!(sorted(vec![point]).len(), 1);
    }
}

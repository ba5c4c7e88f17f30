//! A row as queries see it: values by column, and selections over them.

use bytes::{BufMut, Bytes, BytesMut};

use super::bindings::Bindings;
use super::functions::call;
use crate::error::Result;
use crate::parse::ast::Operator;
use crate::plan::{ColumnRef, Filter, FilterTarget, FilterTest, Selection};
use crate::store::read::{LiveCell, LiveRow, LiveValue, PartitionView};
use crate::store::token;
use crate::types::{CqlType, collection, compare, like};

/// A row of a partition; without `row` the partition's static columns alone.
#[derive(Debug, Clone, Copy)]
pub struct RowView<'a> {
    /// The partition.
    pub view: &'a PartitionView,
    /// Values of its key.
    pub partition: &'a [Bytes],
    /// The row.
    pub row: Option<&'a LiveRow>,
    /// Values of its key; empty without a row.
    pub clustering: &'a [Bytes],
}

/// A column's live content in the protocol's form.
pub fn live_bytes(value: &LiveValue, ty: &CqlType) -> Bytes {
    match value {
        LiveValue::Atomic(cell) => cell.value.clone(),
        LiveValue::Collection(cells) => match ty {
            CqlType::Map { .. } => {
                collection::encode_map(cells.iter().map(|(key, cell)| (&key[..], &cell.value[..])))
            }
            CqlType::Set { .. } => {
                collection::encode_sequence(cells.iter().map(|(key, _)| &key[..]))
            }
            CqlType::Udt { definition, .. } => {
                let field = |index: usize| {
                    cells
                        .iter()
                        .find(|(key, _)| field_index(key) == Some(index))
                        .map(|(_, cell)| &cell.value[..])
                };
                collection::encode_tuple((0..definition.fields.len()).map(field))
            }
            _ => collection::encode_sequence(cells.iter().map(|(_, cell)| &cell.value[..])),
        },
    }
}

/// The field that a UDT's cell is.
pub fn field_index(key: &[u8]) -> Option<usize> {
    key.try_into().ok().and_then(|bytes| usize::try_from(i16::from_be_bytes(bytes)).ok())
}

impl<'a> RowView<'a> {
    /// A cell column's live content.
    pub fn live(&self, reference: ColumnRef) -> Option<&'a LiveValue> {
        match reference {
            ColumnRef::Static(id) => self.view.static_column(id),
            ColumnRef::Regular(id) => self.row.and_then(|row| row.column(id)),
            ColumnRef::Partition(_) | ColumnRef::Clustering(_) => None,
        }
    }

    fn cell(&self, reference: ColumnRef) -> Option<&'a LiveCell> {
        match self.live(reference) {
            Some(LiveValue::Atomic(cell)) => Some(cell),
            _ => None,
        }
    }

    /// A column's value.
    pub fn value(&self, reference: ColumnRef, ty: &CqlType) -> Option<Bytes> {
        match reference {
            ColumnRef::Partition(n) => self.partition.get(n).cloned(),
            ColumnRef::Clustering(n) => self.clustering.get(n).cloned(),
            _ => self.live(reference).map(|value| live_bytes(value, ty)),
        }
    }

    /// What a selection shows of the row.
    pub fn select(
        &self,
        selection: &Selection,
        bindings: Bindings<'_>,
        aggregates: &[Option<Bytes>],
    ) -> Result<Option<Bytes>> {
        Ok(match selection {
            Selection::Column(reference, ty) => self.value(*reference, ty),
            Selection::WriteTime(reference) => self
                .cell(*reference)
                .map(|cell| Bytes::copy_from_slice(&cell.timestamp.to_be_bytes())),
            Selection::Ttl(reference) => self
                .cell(*reference)
                .and_then(|cell| cell.ttl)
                .map(|ttl| Bytes::copy_from_slice(&ttl.to_be_bytes())),
            Selection::Value(expression) => bindings.known(expression, "selection")?,
            Selection::Call(function, arguments) => {
                let mut values = Vec::with_capacity(arguments.len());
                for argument in arguments {
                    values.push(self.select(argument, bindings, aggregates)?);
                }
                call(function, &values, bindings.context)?
            }
            Selection::Field(base, index) => match self.select(base, bindings, aggregates)? {
                Some(bytes) => collection::decode_tuple(&bytes)?.into_iter().nth(*index).flatten(),
                None => None,
            },
            Selection::Element(base, ty, key) => {
                let Some(bytes) = self.select(base, bindings, aggregates)? else {
                    return Ok(None);
                };
                let Some(key) = bindings.known(key, "element key")? else {
                    return Ok(None);
                };
                element(ty, &bytes, &key)?
            }
            Selection::Aggregate(index) => aggregates.get(*index).cloned().flatten(),
        })
    }

    /// Writes what a selection shows as a `[bytes]` of a result.
    pub fn write(
        &self,
        selection: &Selection,
        bindings: Bindings<'_>,
        aggregates: &[Option<Bytes>],
        out: &mut BytesMut,
    ) -> Result<()> {
        // Plain columns without a detour: nearly all of what is ever read.
        if let Selection::Column(reference, _) = selection {
            let plain = match reference {
                ColumnRef::Partition(n) => self.partition.get(*n).map(|v| &v[..]),
                ColumnRef::Clustering(n) => self.clustering.get(*n).map(|v| &v[..]),
                _ => match self.live(*reference) {
                    Some(LiveValue::Atomic(cell)) => Some(&cell.value[..]),
                    Some(LiveValue::Collection(_)) => {
                        put(out, self.select(selection, bindings, aggregates)?.as_deref());
                        return Ok(());
                    }
                    None => None,
                },
            };
            put(out, plain);
            return Ok(());
        }
        put(out, self.select(selection, bindings, aggregates)?.as_deref());
        Ok(())
    }
}

/// A value, or null, as a result has it.
pub fn put(out: &mut BytesMut, value: Option<&[u8]>) {
    match value {
        Some(value) => {
            out.put_i32(i32::try_from(value.len()).unwrap_or(i32::MAX));
            out.put_slice(value);
        }
        None => out.put_i32(-1),
    }
}

fn element(ty: &CqlType, bytes: &Bytes, key: &Bytes) -> Result<Option<Bytes>> {
    Ok(match ty {
        CqlType::Map { key: key_type, .. } => collection::decode_map(bytes)?
            .into_iter()
            .find(|(k, _)| compare(key_type, k, key).is_eq())
            .map(|(_, value)| value),
        CqlType::Set { element, .. } => collection::decode_sequence(bytes)?
            .into_iter()
            .find(|e| compare(element, e, key).is_eq()),
        _ => None,
    })
}

/// `a <op> b` of two values; a null on either side makes all but (in)equality false.
pub fn satisfies(
    ty: &CqlType,
    operator: Operator,
    a: Option<&[u8]>,
    b: Option<&[u8]>,
) -> Result<bool> {
    Ok(match (a, b) {
        (Some(a), Some(b)) => {
            let order = compare(ty, a, b);
            match operator {
                Operator::Eq => order.is_eq(),
                Operator::Ne => order.is_ne(),
                Operator::Lt => order.is_lt(),
                Operator::Le => order.is_le(),
                Operator::Gt => order.is_gt(),
                Operator::Ge => order.is_ge(),
                Operator::Contains => contains(ty, a, b, false)?,
                Operator::ContainsKey => contains(ty, a, b, true)?,
                Operator::Like => like(&String::from_utf8_lossy(b), &String::from_utf8_lossy(a)),
            }
        }
        (None, None) => operator == Operator::Eq,
        _ => operator == Operator::Ne,
    })
}

fn contains(ty: &CqlType, whole: &[u8], part: &[u8], keys: bool) -> Result<bool> {
    let whole = Bytes::copy_from_slice(whole);
    Ok(match ty {
        CqlType::List { element, .. } | CqlType::Set { element, .. } => {
            collection::decode_sequence(&whole)?.iter().any(|e| compare(element, e, part).is_eq())
        }
        CqlType::Map { key, value, .. } => collection::decode_map(&whole)?.iter().any(|(k, v)| {
            if keys { compare(key, k, part).is_eq() } else { compare(value, v, part).is_eq() }
        }),
        _ => false,
    })
}

/// Whether a row passes a filter.
pub fn passes(filter: &Filter, row: &RowView<'_>, bindings: Bindings<'_>) -> Result<bool> {
    let (value, ty) = match &filter.target {
        FilterTarget::Column(reference, ty) => (row.value(*reference, ty), ty.clone()),
        FilterTarget::Element(reference, ty, key) => {
            let key = bindings.known(key, "map key")?;
            let value = match (row.value(*reference, ty), key) {
                (Some(whole), Some(key)) => element(ty, &whole, &key)?,
                _ => None,
            };
            let value_type = match ty {
                CqlType::Map { value, .. } => (**value).clone(),
                other => other.clone(),
            };
            (value, value_type)
        }
        FilterTarget::Token(partitioner) => {
            let value = token(*partitioner, &row.view.key).to_be_bytes();
            (Some(Bytes::copy_from_slice(&value)), CqlType::Bigint)
        }
    };
    // In a WHERE clause nothing equals null.
    let Some(value) = value else {
        return Ok(false);
    };
    match &filter.test {
        FilterTest::Compare(operator, expression) => {
            match bindings.known(expression, "restriction")? {
                Some(wanted) => satisfies(&ty, *operator, Some(&value), Some(&wanted)),
                None => Ok(false),
            }
        }
        FilterTest::In(values) => {
            let wanted = bindings.values_of(values)?.unwrap_or_default();
            Ok(wanted.iter().flatten().any(|w| compare(&ty, &value, w).is_eq()))
        }
    }
}

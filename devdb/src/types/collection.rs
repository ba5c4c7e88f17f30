//! Collections, tuples and UDTs in the protocol's form (v4: counts and lengths are i32).

use bytes::{BufMut, Bytes, BytesMut};

use crate::error::{CqlError, Result};

fn put(out: &mut BytesMut, value: &[u8]) {
    out.put_i32(value.len() as i32);
    out.put_slice(value);
}

/// A list or set from its elements.
pub fn encode_sequence<'a>(elements: impl ExactSizeIterator<Item = &'a [u8]>) -> Bytes {
    let mut out = BytesMut::new();
    out.put_i32(elements.len() as i32);
    elements.for_each(|e| put(&mut out, e));
    out.freeze()
}

/// A map from its entries.
pub fn encode_map<'a>(entries: impl ExactSizeIterator<Item = (&'a [u8], &'a [u8])>) -> Bytes {
    let mut out = BytesMut::new();
    out.put_i32(entries.len() as i32);
    for (key, value) in entries {
        put(&mut out, key);
        put(&mut out, value);
    }
    out.freeze()
}

/// A tuple or UDT from its fields, `None` for null.
pub fn encode_tuple<'a>(fields: impl Iterator<Item = Option<&'a [u8]>>) -> Bytes {
    let mut out = BytesMut::new();
    for field in fields {
        match field {
            Some(value) => put(&mut out, value),
            None => out.put_i32(-1),
        }
    }
    out.freeze()
}

struct Reader<'a> {
    whole: &'a Bytes,
    at: usize,
}

impl Reader<'_> {
    fn int(&mut self) -> Result<i32> {
        let rest = &self.whole[self.at..];
        let head = rest.first_chunk::<4>().ok_or_else(|| truncated(self.whole.len()))?;
        self.at += 4;
        Ok(i32::from_be_bytes(*head))
    }

    fn value(&mut self) -> Result<Option<Bytes>> {
        let length = self.int()?;
        let Ok(length) = usize::try_from(length) else { return Ok(None) };
        if self.whole.len() - self.at < length {
            return Err(truncated(self.whole.len()));
        }
        let value = self.whole.slice(self.at..self.at + length);
        self.at += length;
        Ok(Some(value))
    }

    fn count(&mut self) -> Result<usize> {
        let count = self.int()?;
        // Every element takes at least its length: a giant count is a lie, not an allocation.
        usize::try_from(count)
            .ok()
            .filter(|count| count.saturating_mul(4) <= self.whole.len())
            .ok_or_else(|| truncated(self.whole.len()))
    }

    fn end(&self) -> Result<()> {
        match self.whole.len() - self.at {
            0 => Ok(()),
            left => Err(CqlError::invalid(format!(
                "Validation failed - unexpected {left} bytes left after the last element"
            ))),
        }
    }
}

fn truncated(length: usize) -> CqlError {
    CqlError::invalid(format!(
        "Not enough bytes to read a collection, tuple or UDT of {length} bytes"
    ))
}

/// The elements of a list or set. Null elements are refused.
pub fn decode_sequence(bytes: &Bytes) -> Result<Vec<Bytes>> {
    let mut reader = Reader { whole: bytes, at: 0 };
    let count = reader.count()?;
    let mut elements = Vec::with_capacity(count);
    for _ in 0..count {
        elements.push(reader.value()?.ok_or_else(null_element)?);
    }
    reader.end()?;
    Ok(elements)
}

/// The entries of a map. Null keys or values are refused.
pub fn decode_map(bytes: &Bytes) -> Result<Vec<(Bytes, Bytes)>> {
    let mut reader = Reader { whole: bytes, at: 0 };
    let count = reader.count()?;
    let mut entries = Vec::with_capacity(count);
    for _ in 0..count {
        let key = reader.value()?.ok_or_else(null_element)?;
        entries.push((key, reader.value()?.ok_or_else(null_element)?));
    }
    reader.end()?;
    Ok(entries)
}

fn null_element() -> CqlError {
    CqlError::invalid("null is not supported inside collections")
}

/// The fields of a tuple or UDT, `None` for null. May be fewer than the type has: the
/// missing ones are null.
pub fn decode_tuple(bytes: &Bytes) -> Result<Vec<Option<Bytes>>> {
    let mut reader = Reader { whole: bytes, at: 0 };
    let mut fields = Vec::new();
    while reader.at < bytes.len() {
        fields.push(reader.value()?);
    }
    Ok(fields)
}

//! The protocol's notations: how numbers, strings and bytes stand in a frame's body.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::error::CqlError;
use crate::request::{Consistency, Value};

/// A frame's body, read from front to back. Whatever is missing is a protocol error.
pub(super) struct BodyReader {
    bytes: Bytes,
}

fn truncated() -> CqlError {
    CqlError::protocol("truncated frame")
}

impl BodyReader {
    pub(super) fn new(bytes: Bytes) -> Self {
        Self { bytes }
    }

    fn need(&self, length: usize) -> Result<(), CqlError> {
        if self.bytes.remaining() < length { Err(truncated()) } else { Ok(()) }
    }

    pub(super) fn byte(&mut self) -> Result<u8, CqlError> {
        self.need(1)?;
        Ok(self.bytes.get_u8())
    }

    pub(super) fn short(&mut self) -> Result<u16, CqlError> {
        self.need(2)?;
        Ok(self.bytes.get_u16())
    }

    pub(super) fn int(&mut self) -> Result<i32, CqlError> {
        self.need(4)?;
        Ok(self.bytes.get_i32())
    }

    pub(super) fn long(&mut self) -> Result<i64, CqlError> {
        self.need(8)?;
        Ok(self.bytes.get_i64())
    }

    fn slice(&mut self, length: usize) -> Result<Bytes, CqlError> {
        self.need(length)?;
        Ok(self.bytes.split_to(length))
    }

    fn text(bytes: &[u8]) -> Result<String, CqlError> {
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(text.to_owned()),
            Err(_) => Err(CqlError::protocol("Cannot decode string as UTF8")),
        }
    }

    pub(super) fn string(&mut self) -> Result<String, CqlError> {
        let length = usize::from(self.short()?);
        Self::text(&self.slice(length)?)
    }

    pub(super) fn long_string(&mut self) -> Result<String, CqlError> {
        let length = usize::try_from(self.int()?).map_err(|_| truncated())?;
        Self::text(&self.slice(length)?)
    }

    /// `[bytes]`, null as `None`. A copy: what is stored must not keep the frame alive.
    pub(super) fn bytes(&mut self) -> Result<Option<Bytes>, CqlError> {
        match usize::try_from(self.int()?) {
            Ok(length) => Ok(Some(Bytes::copy_from_slice(&self.slice(length)?))),
            Err(_) => Ok(None),
        }
    }

    /// `[value]`: `[bytes]` with −2 for not set.
    pub(super) fn value(&mut self) -> Result<Value, CqlError> {
        let length = self.int()?;
        match usize::try_from(length) {
            Ok(length) => Ok(Value::Bytes(Bytes::copy_from_slice(&self.slice(length)?))),
            Err(_) if length == -1 => Ok(Value::Null),
            Err(_) if length == -2 => Ok(Value::Unset),
            Err(_) => Err(CqlError::protocol(format!("invalid value length: {length}"))),
        }
    }

    pub(super) fn short_bytes(&mut self) -> Result<Bytes, CqlError> {
        let length = usize::from(self.short()?);
        self.slice(length)
    }

    pub(super) fn string_map(&mut self) -> Result<Vec<(String, String)>, CqlError> {
        let count = self.short()?;
        (0..count).map(|_| Ok((self.string()?, self.string()?))).collect()
    }

    pub(super) fn string_list(&mut self) -> Result<Vec<String>, CqlError> {
        let count = self.short()?;
        (0..count).map(|_| self.string()).collect()
    }

    /// Reads over a `[bytes map]`: the custom payload, which nothing here uses.
    pub(super) fn skip_bytes_map(&mut self) -> Result<(), CqlError> {
        for _ in 0..self.short()? {
            self.string()?;
            if let Ok(length) = usize::try_from(self.int()?) {
                self.slice(length)?;
            }
        }
        Ok(())
    }

    pub(super) fn consistency(&mut self) -> Result<Consistency, CqlError> {
        Ok(match self.short()? {
            0x0 => Consistency::Any,
            0x1 => Consistency::One,
            0x2 => Consistency::Two,
            0x3 => Consistency::Three,
            0x4 => Consistency::Quorum,
            0x5 => Consistency::All,
            0x6 => Consistency::LocalQuorum,
            0x7 => Consistency::EachQuorum,
            0x8 => Consistency::Serial,
            0x9 => Consistency::LocalSerial,
            0xA => Consistency::LocalOne,
            other => {
                return Err(CqlError::protocol(format!(
                    "Unknown code {other} for a consistency level"
                )));
            }
        })
    }
}

/// Consistency as it stands in ERROR bodies.
pub(super) fn consistency_code(consistency: Consistency) -> u16 {
    match consistency {
        Consistency::Any => 0x0,
        Consistency::One => 0x1,
        Consistency::Two => 0x2,
        Consistency::Three => 0x3,
        Consistency::Quorum => 0x4,
        Consistency::All => 0x5,
        Consistency::LocalQuorum => 0x6,
        Consistency::EachQuorum => 0x7,
        Consistency::Serial => 0x8,
        Consistency::LocalSerial => 0x9,
        Consistency::LocalOne => 0xA,
    }
}

/// Writing the notations. Lengths beyond a notation's range cannot come up: names are
/// at most 65,535 bytes long because they came in the same notation, or are cut.
pub(super) trait BodyWriter {
    /// `[string]`; a longer text is cut at a character.
    fn put_string(&mut self, text: &str);
    /// `[short bytes]` of at most 65,535 bytes.
    fn put_short_bytes(&mut self, bytes: &[u8]);
    /// `[string multimap]`.
    fn put_string_multimap(&mut self, entries: &[(&str, Vec<String>)]);
    /// `[bytes]`.
    fn put_int_bytes(&mut self, bytes: &[u8]);
    /// A count that is small.
    fn put_count(&mut self, count: usize);
}

impl BodyWriter for BytesMut {
    fn put_string(&mut self, text: &str) {
        let mut end = text.len().min(usize::from(u16::MAX));
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        self.put_short_bytes(&text.as_bytes()[..end]);
    }

    fn put_short_bytes(&mut self, bytes: &[u8]) {
        self.put_count(bytes.len());
        self.put_slice(bytes);
    }

    fn put_string_multimap(&mut self, entries: &[(&str, Vec<String>)]) {
        self.put_count(entries.len());
        for (key, values) in entries {
            self.put_string(key);
            self.put_count(values.len());
            values.iter().for_each(|value| self.put_string(value));
        }
    }

    fn put_int_bytes(&mut self, bytes: &[u8]) {
        self.put_i32(i32::try_from(bytes.len()).unwrap_or(i32::MAX));
        self.put_slice(bytes);
    }

    fn put_count(&mut self, count: usize) {
        self.put_u16(u16::try_from(count).unwrap_or(u16::MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(bytes: &'static [u8]) -> BodyReader {
        BodyReader::new(Bytes::from_static(bytes))
    }

    #[test]
    fn lengths_that_lie_are_errors() {
        assert!(reader(&[0, 5, b'a']).string().is_err());
        assert!(reader(&[0x7f, 0xff, 0xff, 0xff, b'a']).long_string().is_err());
        assert!(reader(&[0xff, 0xff, 0xff, 0xff]).long_string().is_err());
        assert!(reader(&[0x7f, 0xff, 0xff, 0xff]).value().is_err());
        assert!(reader(&[0xff, 0xff, 0xff, 0xfd]).value().is_err());
        assert!(reader(&[0xff, 0xff]).string_map().is_err());
        assert!(reader(&[0, 1, 0xff]).string().is_err());
    }

    #[test]
    fn values_may_be_null_or_not_set() {
        assert_eq!(reader(&[0xff, 0xff, 0xff, 0xff]).value(), Ok(Value::Null));
        assert_eq!(reader(&[0xff, 0xff, 0xff, 0xfe]).value(), Ok(Value::Unset));
        assert_eq!(reader(&[0, 0, 0, 1, 7]).value(), Ok(Value::Bytes(Bytes::from_static(&[7]))));
    }

    #[test]
    fn a_string_too_long_is_cut_at_a_character() {
        let mut out = BytesMut::new();
        out.put_string(&"ä".repeat(40_000));
        assert_eq!(out.len(), 2 + 65_534);
    }
}

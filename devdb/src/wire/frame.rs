//! Frames: the envelope of every message.

use bytes::{Buf, Bytes, BytesMut};

use crate::error::CqlError;

use super::compression::Compression;

/// Bytes of a header: version, flags, stream, opcode, length.
pub(super) const HEADER_LENGTH: usize = 9;
/// The protocol's own limit for a body.
pub(super) const MAX_BODY_LENGTH: usize = 256 << 20;
/// The versions that ScyllaDB speaks.
const VERSIONS: std::ops::RangeInclusive<u8> = 3..=4;

const FLAG_COMPRESSED: u8 = 0x01;
const FLAG_CUSTOM_PAYLOAD: u8 = 0x04;

/// Kinds of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub(super) enum Opcode {
    Error = 0x00,
    Startup = 0x01,
    Ready = 0x02,
    Options = 0x05,
    Supported = 0x06,
    Query = 0x07,
    Result = 0x08,
    Prepare = 0x09,
    Execute = 0x0A,
    Register = 0x0B,
    Event = 0x0C,
    Batch = 0x0D,
    AuthResponse = 0x0F,
}

impl Opcode {
    /// The opcode of a request.
    fn of_request(byte: u8) -> Option<Self> {
        [
            Opcode::Startup,
            Opcode::Options,
            Opcode::Query,
            Opcode::Prepare,
            Opcode::Execute,
            Opcode::Register,
            Opcode::Batch,
            Opcode::AuthResponse,
        ]
        .into_iter()
        .find(|opcode| *opcode as u8 == byte)
    }
}

/// The beginning of a request frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub version: u8,
    flags: u8,
    pub stream: i16,
    opcode: u8,
    pub length: usize,
}

/// What makes the rest of a connection's bytes meaningless: it is answered and closed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BrokenFrame {
    /// Where the answer belongs.
    pub stream: i16,
    /// The answer.
    pub error: CqlError,
}

impl Header {
    /// Reads a header when enough bytes have come, without taking them.
    pub(super) fn peek(bytes: &[u8]) -> Result<Option<Header>, BrokenFrame> {
        let Some(&version) = bytes.first() else { return Ok(None) };
        // Versions 1 and 2 have a header of 8 bytes with a one-byte stream.
        if bytes.len() < HEADER_LENGTH && (version > 2 || bytes.len() < 8) {
            return Ok(None);
        }
        let mut rest = &bytes[1..];
        if !VERSIONS.contains(&version) {
            let (lowest, greatest) = (VERSIONS.start(), VERSIONS.end());
            let error = CqlError::protocol(format!(
                "Invalid or unsupported protocol version ({version}); the lowest supported \
                 version is {lowest} and the greatest is {greatest}"
            ));
            let stream = if version > 2 { i16::from_be_bytes([bytes[2], bytes[3]]) } else { 0 };
            return Err(BrokenFrame { stream, error });
        }
        let flags = rest.get_u8();
        let stream = rest.get_i16();
        let opcode = rest.get_u8();
        let length = rest.get_i32();
        match usize::try_from(length) {
            Ok(length) if length <= MAX_BODY_LENGTH => {
                Ok(Some(Header { version, flags, stream, opcode, length }))
            }
            _ => Err(BrokenFrame {
                stream,
                error: CqlError::protocol(format!(
                    "frame body length {length} is outside of 0 to {MAX_BODY_LENGTH}"
                )),
            }),
        }
    }

    /// The kind of request.
    pub(super) fn opcode(&self) -> Result<Opcode, CqlError> {
        Opcode::of_request(self.opcode)
            .ok_or_else(|| CqlError::protocol(format!("Unknown opcode {}", self.opcode)))
    }

    /// Whether a custom payload stands in front of the body.
    pub(super) fn has_custom_payload(&self) -> bool {
        self.flags & FLAG_CUSTOM_PAYLOAD != 0
    }

    /// The length that a compressed body says it has uncompressed.
    pub(super) fn claimed_length(&self, body: &[u8], compression: Compression) -> Option<usize> {
        if self.flags & FLAG_COMPRESSED == 0 {
            return None;
        }
        Some(compression.claimed_length(body)?.min(MAX_BODY_LENGTH))
    }

    /// The body as it was before compression.
    pub(super) fn plain_body(
        &self,
        body: Bytes,
        compression: Compression,
    ) -> Result<Bytes, CqlError> {
        if self.flags & FLAG_COMPRESSED == 0 {
            return Ok(body);
        }
        compression.decompress(&body)
    }
}

/// Appends a frame whose body `write` produces.
pub(super) fn put_frame(
    out: &mut BytesMut,
    version: u8,
    stream: i16,
    opcode: Opcode,
    compression: Compression,
    write: impl FnOnce(&mut BytesMut),
) {
    let start = out.len();
    let [high, low] = stream.to_be_bytes();
    out.extend_from_slice(&[0x80 | version, 0, high, low, opcode as u8, 0, 0, 0, 0]);
    write(out);
    let body_start = start + HEADER_LENGTH;
    if let Some(compressed) = compression.compress(&out[body_start..]) {
        out.truncate(body_start);
        out.extend_from_slice(&compressed);
        out[start + 1] = FLAG_COMPRESSED;
    }
    let length = u32::try_from(out.len() - body_start).unwrap_or(u32::MAX);
    out[start + 5..body_start].copy_from_slice(&length.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_read_when_it_is_there() {
        let bytes = [4, 0, 0, 7, 0x05, 0, 0, 0, 3, 1, 2, 3];
        for length in 0..HEADER_LENGTH {
            assert_eq!(Header::peek(&bytes[..length]), Ok(None));
        }
        let header = Header::peek(&bytes).unwrap().unwrap();
        assert_eq!((header.stream, header.length), (7, 3));
        assert_eq!(header.opcode(), Ok(Opcode::Options));
    }

    #[test]
    fn other_versions_are_refused_as_scylladb_refuses_them() {
        let broken = Header::peek(&[5, 0, 0, 9, 5, 0, 0, 0, 0]).unwrap_err();
        assert_eq!(broken.stream, 9);
        assert_eq!(
            broken.error.message,
            "Invalid or unsupported protocol version (5); the lowest supported version is 3 \
             and the greatest is 4"
        );
        assert!(Header::peek(&[2, 0, 0, 5, 0, 0, 0, 0]).is_err());
        assert!(Header::peek(&[0x84, 0, 0, 9, 5, 0, 0, 0, 0]).is_err());
    }

    #[test]
    fn giant_and_negative_lengths_are_refused() {
        assert!(Header::peek(&[4, 0, 0, 1, 7, 0x7f, 0xff, 0xff, 0xff]).is_err());
        assert!(Header::peek(&[4, 0, 0, 1, 7, 0xff, 0xff, 0xff, 0xff]).is_err());
    }

    #[test]
    fn a_frame_carries_its_length() {
        let mut out = BytesMut::new();
        put_frame(&mut out, 4, -1, Opcode::Event, Compression::None, |out| {
            out.extend_from_slice(b"abc");
        });
        assert_eq!(&out[..], b"\x84\x00\xff\xff\x0c\x00\x00\x00\x03abc");
    }
}

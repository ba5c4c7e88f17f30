//! Whatever comes through the socket is a request or an error.

use bytes::{BufMut, Bytes, BytesMut};
use proptest::prelude::*;

use super::body::BodyReader;
use super::compression::Compression;
use super::connection::plain;
use super::extensions::{Extensions, negotiate};
use super::frame::{HEADER_LENGTH, Header, MAX_BODY_LENGTH, Opcode};
use super::request::Request;
use crate::testing::{cases, damage};

const REQUESTS: [Opcode; 8] = [
    Opcode::Startup,
    Opcode::Options,
    Opcode::Query,
    Opcode::Prepare,
    Opcode::Execute,
    Opcode::Register,
    Opcode::Batch,
    Opcode::AuthResponse,
];

/// As a connection takes it: frame after frame until one breaks it or is not whole.
fn take(mut bytes: &[u8], extensions: Extensions) {
    while let Ok(Some(header)) = Header::peek(bytes) {
        assert!(header.length <= MAX_BODY_LENGTH);
        let Some(body) = bytes[HEADER_LENGTH..].get(..header.length) else { return };
        bytes = &bytes[HEADER_LENGTH + header.length..];
        let Ok(opcode) = header.opcode() else { return };
        let body = plain(&header, Bytes::copy_from_slice(body), extensions.compression);
        if let Ok(mut body) = body
            && let Ok(Request::Startup(options)) = Request::decode(opcode, &mut body, extensions)
        {
            let _ = negotiate(&options);
        }
    }
}

fn extensions() -> impl Strategy<Value = Extensions> {
    let compressions = vec![Compression::None, Compression::Lz4, Compression::Snappy];
    (prop::sample::select(compressions), any::<bool>()).prop_map(|(compression, metadata_id)| {
        Extensions { compression, lwt_mark: metadata_id, metadata_id }
    })
}

fn frame(opcode: Opcode, flags: u8, body: &[u8]) -> Vec<u8> {
    let mut frame = vec![4, flags, 0, 1, opcode as u8];
    frame.extend((body.len() as u32).to_be_bytes());
    frame.extend(body);
    frame
}

/// A request with all that its opcode can have.
fn whole(opcode: Opcode) -> Vec<u8> {
    let mut body = BytesMut::new();
    let parameters = |body: &mut BytesMut| {
        body.put_slice(b"\0\x06\x7f\0\x02\0\x01k\0\0\0\x01\x05\0\x01l\xff\xff\xff\xfe");
        body.put_i32(100);
        body.put_slice(b"\0\0\0\x02st\0\x09");
        body.put_i64(1234);
    };
    match opcode {
        Opcode::Startup => {
            body.put_slice(b"\0\x02\0\x0bCQL_VERSION\0\x053.0.0\0\x0bCOMPRESSION\0\x03lz4")
        }
        Opcode::Query => {
            body.put_slice(b"\0\0\0\x08SELECT 1");
            parameters(&mut body);
        }
        Opcode::Prepare => body.put_slice(b"\0\0\0\x08SELECT 1"),
        Opcode::Execute => {
            body.put_slice(b"\0\x10");
            body.put_slice(&[7; 16]);
            body.put_slice(b"\0\x10");
            body.put_slice(&[8; 16]);
            parameters(&mut body);
        }
        Opcode::Register => body.put_slice(b"\0\x01\0\x0dSCHEMA_CHANGE"),
        Opcode::Batch => {
            body.put_slice(b"\x01\0\x02\0\0\0\0\x01a\0\0\x01\0\x10");
            body.put_slice(&[7; 16]);
            body.put_slice(b"\0\x02\xff\xff\xff\xfe\0\0\0\x01\x05\0\x01\x30\0\x09");
            body.put_i64(1234);
        }
        _ => {}
    }
    body.to_vec()
}

proptest! {
    #![proptest_config(cases(500))]

    #[test]
    fn any_bytes_are_frames_or_errors(
        bytes in prop::collection::vec(any::<u8>(), 0..400), extensions in extensions(),
    ) {
        take(&bytes, extensions);
    }

    #[test]
    fn any_body_is_a_request_or_an_error(
        opcode in prop::sample::select(REQUESTS.to_vec()),
        flags in 0..8u8,
        body in prop::collection::vec(any::<u8>(), 0..200),
        extensions in extensions(),
    ) {
        take(&frame(opcode, flags, &body), extensions);
        let _ = Request::decode(opcode, &mut BodyReader::new(body.into()), extensions);
    }

    #[test]
    fn damaged_requests_are_requests_or_errors(
        opcodes in prop::collection::vec(prop::sample::select(REQUESTS.to_vec()), 1..4),
        damages in prop::collection::vec(damage(any::<u8>()), 1..6),
        compressed in any::<bool>(),
        extensions in extensions(),
    ) {
        let mut bytes = Vec::new();
        for opcode in opcodes {
            let body = whole(opcode);
            // Long enough to be compressed: what stands behind a request is ignored.
            let padded = [&body[..], &[0; 600]].concat();
            match extensions.compression.compress(&padded).filter(|_| compressed) {
                Some(body) => bytes.extend(frame(opcode, 1, &body)),
                None => bytes.extend(frame(opcode, 0, &body)),
            }
        }
        take(&bytes, extensions);
        for damage in &damages {
            damage.done_to(&mut bytes);
        }
        take(&bytes, extensions);
    }
}

#[test]
fn requests_that_are_whole_are_taken() {
    let extensions = Extensions { metadata_id: true, ..Extensions::default() };
    for opcode in REQUESTS.into_iter().filter(|opcode| *opcode != Opcode::AuthResponse) {
        let mut body = BodyReader::new(whole(opcode).into());
        if let Err(error) = Request::decode(opcode, &mut body, extensions) {
            panic!("{opcode:?}: {error}");
        }
    }
}

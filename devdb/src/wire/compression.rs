//! LZ4 of frame bodies: the uncompressed length (4 bytes, big-endian), then one block.

use bytes::Bytes;

use crate::error::CqlError;

use super::frame::MAX_BODY_LENGTH;

/// Smaller bodies are not worth the work; the flag says for each frame what it is.
const MIN_COMPRESSED: usize = 512;
/// No LZ4 block expands further: a length that claims more is a lie.
const MAX_RATIO: usize = 255;

/// What STARTUP agreed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Compression {
    /// Bodies travel as they are.
    #[default]
    None,
    /// `lz4`.
    Lz4,
}

impl Compression {
    /// By the name in STARTUP.
    pub(super) fn named(name: &str) -> Option<Self> {
        name.eq_ignore_ascii_case("lz4").then_some(Compression::Lz4)
    }

    /// The compressed body, if that makes it smaller.
    pub(super) fn compress(self, body: &[u8]) -> Option<Vec<u8>> {
        if self == Compression::None || body.len() < MIN_COMPRESSED {
            return None;
        }
        let length = u32::try_from(body.len()).ok()?;
        let mut out = vec![0; 4 + lz4_flex::block::get_maximum_output_size(body.len())];
        out[..4].copy_from_slice(&length.to_be_bytes());
        let written = lz4_flex::block::compress_into(body, &mut out[4..]).ok()?;
        out.truncate(4 + written);
        (out.len() < body.len()).then_some(out)
    }

    /// The body before compression.
    pub(super) fn decompress(self, body: &[u8]) -> Result<Bytes, CqlError> {
        if self == Compression::None {
            return Err(CqlError::protocol("compressed frame without agreed compression"));
        }
        let Some((length, block)) = body.split_first_chunk::<4>() else {
            return Err(CqlError::protocol("truncated compressed frame"));
        };
        let length = u32::from_be_bytes(*length) as usize;
        if length > MAX_BODY_LENGTH || length > block.len().saturating_mul(MAX_RATIO) {
            return Err(CqlError::protocol("invalid uncompressed length of a frame"));
        }
        if length == 0 {
            return Ok(Bytes::new());
        }
        let plain = lz4_flex::block::decompress(block, length)
            .map_err(|error| CqlError::protocol(format!("LZ4 decompression failure: {error}")))?;
        if plain.len() != length {
            return Err(CqlError::protocol("LZ4 decompression failure: wrong length"));
        }
        Ok(plain.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_compressed_comes_back() {
        let body: Vec<u8> = (0..5000u32).map(|n| (n / 50) as u8).collect();
        let compressed = Compression::Lz4.compress(&body).unwrap();
        assert!(compressed.len() < body.len());
        assert_eq!(Compression::Lz4.decompress(&compressed).unwrap(), body);
    }

    #[test]
    fn small_bodies_and_noise_stay_as_they_are() {
        assert_eq!(Compression::Lz4.compress(&[0; 100]), None);
        assert_eq!(Compression::None.compress(&[0; 5000]), None);
    }

    #[test]
    fn lies_and_garbage_are_errors() {
        let lz4 = Compression::Lz4;
        assert!(lz4.decompress(&[]).is_err());
        assert!(lz4.decompress(&[0x0f, 0xff, 0xff, 0xff, 1, 2, 3]).is_err());
        assert!(lz4.decompress(&[0, 0, 0, 10, 0xff, 0xff, 0xff]).is_err());
        assert!(Compression::None.decompress(&[0, 0, 0, 0]).is_err());
    }
}

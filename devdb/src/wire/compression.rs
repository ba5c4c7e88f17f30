//! Compression of frame bodies. LZ4: the uncompressed length (4 bytes, big-endian), then
//! one block. Snappy: one block, which begins with its length.

use bytes::Bytes;

use crate::error::CqlError;

use super::frame::MAX_BODY_LENGTH;

/// Smaller bodies are not worth the work; the flag says for each frame what it is.
const MIN_COMPRESSED: usize = 512;
/// No block expands further: a length that claims more is a lie.
const MAX_RATIO: usize = 255;

/// What STARTUP agreed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Compression {
    /// Bodies travel as they are.
    #[default]
    None,
    /// `lz4`.
    Lz4,
    /// `snappy`.
    Snappy,
}

impl Compression {
    /// What SUPPORTED offers.
    pub(super) const NAMES: [&str; 2] = ["lz4", "snappy"];

    /// By the name in STARTUP.
    pub(super) fn named(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "lz4" => Some(Compression::Lz4),
            "snappy" => Some(Compression::Snappy),
            _ => None,
        }
    }

    /// The compressed body, if that makes it smaller.
    pub(super) fn compress(self, body: &[u8]) -> Option<Vec<u8>> {
        if body.len() < MIN_COMPRESSED {
            return None;
        }
        let out = match self {
            Compression::None => return None,
            Compression::Lz4 => {
                let length = u32::try_from(body.len()).ok()?;
                let mut out = vec![0; 4 + lz4_flex::block::get_maximum_output_size(body.len())];
                out[..4].copy_from_slice(&length.to_be_bytes());
                let written = lz4_flex::block::compress_into(body, &mut out[4..]).ok()?;
                out.truncate(4 + written);
                out
            }
            Compression::Snappy => snap::raw::Encoder::new().compress_vec(body).ok()?,
        };
        (out.len() < body.len()).then_some(out)
    }

    /// The length that a compressed body says it had.
    pub(super) fn claimed_length(self, body: &[u8]) -> Option<usize> {
        match self {
            Compression::None => None,
            Compression::Lz4 => Some(u32::from_be_bytes(*body.first_chunk::<4>()?) as usize),
            Compression::Snappy => snap::raw::decompress_len(body).ok(),
        }
    }

    /// The body before compression.
    pub(super) fn decompress(self, body: &[u8]) -> Result<Bytes, CqlError> {
        match self {
            Compression::None => {
                Err(CqlError::protocol("compressed frame without agreed compression"))
            }
            Compression::Lz4 => decompress_lz4(body),
            Compression::Snappy => decompress_snappy(body),
        }
    }
}

/// Refuses to reserve memory for what cannot be.
fn check_length(length: usize, block: &[u8]) -> Result<(), CqlError> {
    if length > MAX_BODY_LENGTH || length > block.len().saturating_mul(MAX_RATIO) {
        return Err(CqlError::protocol("invalid uncompressed length of a frame"));
    }
    Ok(())
}

fn decompress_lz4(body: &[u8]) -> Result<Bytes, CqlError> {
    let Some((length, block)) = body.split_first_chunk::<4>() else {
        return Err(CqlError::protocol("truncated compressed frame"));
    };
    let length = u32::from_be_bytes(*length) as usize;
    check_length(length, block)?;
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

fn decompress_snappy(body: &[u8]) -> Result<Bytes, CqlError> {
    let failure = |error| CqlError::protocol(format!("Snappy decompression failure: {error}"));
    check_length(snap::raw::decompress_len(body).map_err(failure)?, body)?;
    let plain = snap::raw::Decoder::new().decompress_vec(body).map_err(failure)?;
    Ok(plain.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_compressed_comes_back() {
        let body: Vec<u8> = (0..5000u32).map(|n| (n / 50) as u8).collect();
        for compression in Compression::NAMES.map(|name| Compression::named(name).unwrap()) {
            let compressed = compression.compress(&body).unwrap();
            assert!(compressed.len() < body.len());
            assert_eq!(compression.decompress(&compressed).unwrap(), body);
        }
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
        let snappy = Compression::Snappy;
        assert!(snappy.decompress(&[]).is_err());
        assert!(snappy.decompress(&[0xff, 0xff, 0xff, 0xff, 0x0f, 1, 2, 3]).is_err());
        assert!(snappy.decompress(&[10, 0xff, 0xff, 0xff]).is_err());
    }
}

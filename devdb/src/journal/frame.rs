//! Files as sequences of framed records, and how damage is told from a torn end.
//!
//! A file begins with a header: magic, format, kind, number, checksum. A frame is
//!
//! | bytes | |
//! |---|---|
//! | 4 | length of the record |
//! | 4 | CRC-32 of the record |
//! | 8 | how much of the file was settled (as durable as the mode says) when this was written |
//! | 1 | kind of the record |
//! | 4 | CRC-32 of the above, of the file's number and of the frame's offset in it |
//!
//! and the record; numbers are little-endian. A record that cannot be read is a torn end if
//! no frame after it says that its place had been settled before: then it never was
//! acknowledged. Otherwise the file is damaged.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::error::JournalError;
use super::record::Kind;

/// Raised when files of before cannot be read any more.
pub(super) const FORMAT: u32 = 1;
const MAGIC: &[u8; 8] = b"MSNDEVDB";
pub(super) const FILE_HEADER: u64 = 25;
pub(super) const FRAME_HEADER: usize = 21;

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FileKind {
    Segment = 1,
    Snapshot = 2,
}

pub(super) fn file_header(kind: FileKind, number: u64) -> [u8; FILE_HEADER as usize] {
    let mut header = [0; FILE_HEADER as usize];
    header[..8].copy_from_slice(MAGIC);
    header[8..12].copy_from_slice(&FORMAT.to_le_bytes());
    header[12] = kind as u8;
    header[13..21].copy_from_slice(&number.to_le_bytes());
    let sum = crc32fast::hash(&header[..21]);
    header[21..].copy_from_slice(&sum.to_le_bytes());
    header
}

/// The header of a frame at `offset` of file `number`.
pub(super) fn frame_header(
    kind: Kind,
    length: u32,
    checksum: u32,
    settled: u64,
    number: u64,
    offset: u64,
) -> [u8; FRAME_HEADER] {
    let mut header = [0; FRAME_HEADER];
    header[..4].copy_from_slice(&length.to_le_bytes());
    header[4..8].copy_from_slice(&checksum.to_le_bytes());
    header[8..16].copy_from_slice(&settled.to_le_bytes());
    header[16] = kind as u8;
    let sum = header_checksum(&header[..17], number, offset);
    header[17..].copy_from_slice(&sum.to_le_bytes());
    header
}

fn header_checksum(header: &[u8], number: u64, offset: u64) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(header);
    hasher.update(&number.to_le_bytes());
    hasher.update(&offset.to_le_bytes());
    hasher.finalize()
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..at + 8).and_then(|b| b.try_into().ok()).map_or(0, u64::from_le_bytes)
}

#[derive(Debug, Clone, Copy)]
struct Header {
    length: u32,
    checksum: u32,
    kind: Kind,
}

impl Header {
    /// `None`: these bytes are no header of a frame at this place.
    fn parse(bytes: &[u8], number: u64, offset: u64, file_length: u64) -> Option<Self> {
        let kind = Kind::of(*bytes.get(16)?)?;
        let (length, settled) = (u32_at(bytes, 0), u64_at(bytes, 8));
        // Cheap before the checksum: most places in a file are no header.
        if settled > offset || settled > file_length {
            return None;
        }
        (u32_at(bytes, 17) == header_checksum(bytes.get(..17)?, number, offset)).then_some(Self {
            length,
            checksum: u32_at(bytes, 4),
            kind,
        })
    }
}

/// A record in a file, or why there is none.
#[derive(Debug)]
pub(super) enum Next {
    Record {
        offset: u64,
        kind: Kind,
        record: Bytes,
    },
    /// The end of the file, where a record could begin.
    End,
    /// From here on nothing can be read.
    Broken {
        offset: u64,
        reason: &'static str,
    },
}

/// Reads a file from its beginning.
#[derive(Debug)]
pub(super) struct FrameReader {
    file: BufReader<File>,
    path: PathBuf,
    number: u64,
    offset: u64,
    length: u64,
}

impl FrameReader {
    pub(super) fn open(path: &Path, number: u64) -> Result<Self, JournalError> {
        let file = File::open(path).map_err(JournalError::io("open", path))?;
        let length = file.metadata().map_err(JournalError::io("read", path))?.len();
        let file = BufReader::with_capacity(256 << 10, file);
        Ok(Self { file, path: path.to_owned(), number, offset: 0, length })
    }

    /// Reads the file's header, before anything else; `Some`: what is wrong with it.
    pub(super) fn check_header(
        &mut self,
        kind: FileKind,
    ) -> Result<Option<&'static str>, JournalError> {
        if self.length < FILE_HEADER {
            return Ok(Some("the file's header is cut short"));
        }
        let mut header = [0; FILE_HEADER as usize];
        self.file.read_exact(&mut header).map_err(JournalError::io("read", &self.path))?;
        if u32_at(&header, 21) != crc32fast::hash(&header[..21]) || &header[..8] != MAGIC {
            return Ok(Some("the file's header is not one"));
        }
        let found = u32_at(&header, 8);
        if found != FORMAT {
            return Err(JournalError::Format { path: self.path.clone(), found, known: FORMAT });
        }
        if header != file_header(kind, self.number) {
            return Ok(Some("the file's header is that of another file"));
        }
        self.offset = FILE_HEADER;
        Ok(None)
    }

    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    pub(super) fn next(&mut self) -> Result<Next, JournalError> {
        let offset = self.offset;
        let left = self.length - offset;
        if left == 0 {
            return Ok(Next::End);
        }
        let broken = |reason| Ok(Next::Broken { offset, reason });
        if left < FRAME_HEADER as u64 {
            return broken("a record's header is cut short");
        }
        let mut header = [0; FRAME_HEADER];
        self.file.read_exact(&mut header).map_err(JournalError::io("read", &self.path))?;
        let Some(header) = Header::parse(&header, self.number, offset, self.length) else {
            return broken("a record's header is not what was written");
        };
        if u64::from(header.length) > left - FRAME_HEADER as u64 {
            return broken("a record is cut short");
        }
        let mut record = vec![0; header.length as usize];
        self.file.read_exact(&mut record).map_err(JournalError::io("read", &self.path))?;
        if crc32fast::hash(&record) != header.checksum {
            return broken("a record is not what was written");
        }
        self.offset += (FRAME_HEADER + record.len()) as u64;
        Ok(Next::Record { offset, kind: header.kind, record: Bytes::from(record) })
    }

    /// Whether a frame after `offset` says that what is there had been settled.
    pub(super) fn was_settled(mut self, offset: u64) -> Result<bool, JournalError> {
        const CHUNK: usize = 1 << 20;
        let io = || JournalError::io("read", &self.path);
        self.file.seek(SeekFrom::Start(offset + 1)).map_err(io())?;
        let mut at = offset + 1;
        let mut window: Vec<u8> = Vec::with_capacity(CHUNK + FRAME_HEADER);
        loop {
            let read = (&mut self.file).take(CHUNK as u64).read_to_end(&mut window).map_err(io())?;
            let places = window.windows(FRAME_HEADER).enumerate();
            for (i, bytes) in places {
                // Before anything dearer: it has to speak of what is broken.
                if u64_at(bytes, 8) <= offset {
                    continue;
                }
                if Header::parse(bytes, self.number, at + i as u64, self.length).is_some() {
                    return Ok(true);
                }
            }
            if read == 0 {
                return Ok(false);
            }
            let done = (window.len() + 1).saturating_sub(FRAME_HEADER);
            window.drain(..done);
            at += done as u64;
        }
    }
}

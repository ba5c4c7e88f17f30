//! Snapshots: everything that segments before one of them say, in one file.
//!
//! A snapshot is taken while the node writes. It may hold parts of writes that came after
//! its beginning; those are in the segments after it too, and to apply a write twice changes
//! nothing. It counts from the moment it has its name: before that the one before it does,
//! whose segments are still there.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use super::directory::{forget_before, remove, snapshot_path, sync, unfinished_path};
use super::error::JournalError;
use super::frame::{FileKind, file_header, frame_header};
use super::record::{self, Kind};
use super::state::Persisted;
use super::writer::Shared;
use crate::store::ExportPosition;
use crate::store::mutation::Mutation;

/// The thread that takes snapshots when the journal has grown.
pub(super) fn run(shared: &Shared) {
    while shared.wait_until_grown() {
        match take(shared) {
            Ok(true) => {}
            Ok(false) => return,
            // The journal is whole without it. It is tried again when that has grown again.
            Err(error) if !shared.is_ending() => {
                tracing::warn!(%error, "no snapshot could be taken");
            }
            Err(_) => return,
        }
    }
}

/// False: given up, because the journal ends.
fn take(shared: &Shared) -> Result<bool, JournalError> {
    let directory = &shared.config.directory;
    let (number, persisted, late) = {
        let _alone = shared.gate.write();
        let number = shared.next_segment()?;
        (number, shared.persisted.lock().clone(), shared.db.late_mutations())
    };
    let unfinished = unfinished_path(directory);
    let written = match write(shared, number, &persisted, &late, &unfinished) {
        Ok(written) => written,
        Err(error) => {
            remove(&unfinished)?;
            return Err(error);
        }
    };
    let Some(size) = written else {
        remove(&unfinished)?;
        return Ok(false);
    };
    // It may hold half of a batch whose record is not on the disk yet.
    shared.force()?;
    let path = snapshot_path(directory, number);
    fs::rename(&unfinished, &path).map_err(JournalError::io("rename", &unfinished))?;
    sync(directory)?;
    shared.snapshot_taken(size);
    forget_before(directory, number)?;
    Ok(true)
}

/// Returns the file's size.
fn write(
    shared: &Shared,
    number: u64,
    persisted: &Persisted,
    late: &[Mutation],
    path: &Path,
) -> Result<Option<u64>, JournalError> {
    let mut file = SnapshotFile::create(path, number)?;
    let mark = shared.clock.mark();
    let mut record = Vec::new();
    if let Some(node) = &persisted.node {
        record::json(&mut record, mark, node)?;
        file.append(Kind::Node, &record)?;
    }
    record::json(&mut record, mark, &persisted.schema_record())?;
    file.append(Kind::Schema, &record)?;
    for table in persisted.catalog.keyspaces.values().flat_map(|k| k.tables.values()) {
        let mut position = ExportPosition::default();
        loop {
            if shared.is_ending() {
                return Ok(None);
            }
            let piece = match shared.db.export(table.id, &mut position) {
                Ok(Some(piece)) => piece,
                Ok(None) => break,
                // Dropped meanwhile.
                Err(_) if !shared.db.has_table(table.id) => break,
                Err(error) => return Err(JournalError::Unwritable(error.message)),
            };
            for ranges in &piece.ranges {
                record::ranges(&mut record, mark, ranges);
                file.append(Kind::Ranges, &record)?;
            }
            record::write(&mut record, mark, &piece.mutations);
            file.append(Kind::Write, &record)?;
        }
    }
    // Log rows that are not to be seen yet are after a restart: nobody keeps them late then.
    record::write(&mut record, mark, late);
    file.append(Kind::Write, &record)?;
    record::end(&mut record, mark);
    file.append(Kind::End, &record)?;
    file.finish().map(Some)
}

struct SnapshotFile {
    file: BufWriter<File>,
    path: PathBuf,
    number: u64,
    offset: u64,
}

impl SnapshotFile {
    fn create(path: &Path, number: u64) -> Result<Self, JournalError> {
        let file = File::create(path).map_err(JournalError::io("make", path))?;
        let file = BufWriter::with_capacity(256 << 10, file);
        let mut this = Self { file, path: path.to_owned(), number, offset: 0 };
        this.write(&file_header(FileKind::Snapshot, number))?;
        Ok(this)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), JournalError> {
        self.file.write_all(bytes).map_err(JournalError::io("write", &self.path))?;
        self.offset += bytes.len() as u64;
        Ok(())
    }

    fn append(&mut self, kind: Kind, record: &[u8]) -> Result<(), JournalError> {
        let length = u32::try_from(record.len())
            .map_err(|_| JournalError::Unwritable(format!("{} bytes at once", record.len())))?;
        let checksum = crc32fast::hash(record);
        self.write(&frame_header(kind, length, checksum, 0, self.number, self.offset))?;
        self.write(record)
    }

    fn finish(mut self) -> Result<u64, JournalError> {
        self.file
            .flush()
            .and_then(|()| self.file.get_ref().sync_all())
            .map_err(JournalError::io("write", &self.path))?;
        Ok(self.offset)
    }
}

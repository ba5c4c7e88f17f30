//! Reading a data directory at the start.

use std::fs::OpenOptions;
use std::path::Path;

use super::directory::{files, remove, segment_path, snapshot_path, unfinished_path};
use super::error::JournalError;
use super::frame::{FileKind, FrameReader, Next};
use super::record::{Kind, Record, decode};
use super::state::Persisted;
use crate::error::CqlError;
use crate::store::Database;
use crate::store::mutation::Mutation;

/// What a directory held besides the data.
#[derive(Debug, Default)]
pub(super) struct Recovery {
    pub(super) persisted: Persisted,
    /// The latest time on record.
    pub(super) mark: i64,
    /// The segment to go on in, and its length.
    pub(super) tail: Option<(u64, u64)>,
    /// The number and size of the snapshot that was read.
    pub(super) snapshot: Option<(u64, u64)>,
    /// Bytes of the segments that were read.
    pub(super) journal_bytes: u64,
}

const RESTORE: &str = "Restore the data directory from a copy";

/// Fills the database from the newest snapshot that is whole, then from the segments after it.
pub(super) fn recover(directory: &Path, db: &Database) -> Result<Recovery, JournalError> {
    let files = files(directory)?;
    let mut recovery = Recovery::default();
    remove(&unfinished_path(directory))?;
    let mut damage = None;
    for number in files.snapshots.iter().rev() {
        match check_snapshot(directory, *number)? {
            None => {
                recovery.snapshot =
                    Some((*number, recovery.read_snapshot(directory, *number, db)?));
                break;
            }
            Some(error) => {
                tracing::warn!(%error, "a snapshot is passed over");
                damage.get_or_insert(error);
            }
        }
    }
    let first = recovery.snapshot.map_or(1, |(number, _)| number);
    let segments: Vec<u64> = files.segments.into_iter().filter(|n| *n >= first).collect();
    let last = segments.last().copied();
    // The segments of what was passed over may be gone.
    for (expected, found) in (first..).zip(segments.iter().copied().map(Some).chain([None])) {
        match found {
            Some(found) if found == expected => {}
            None if expected > first || (files.snapshots.is_empty() && last.is_none()) => {}
            _ => {
                return Err(damage.unwrap_or_else(|| JournalError::Missing {
                    path: segment_path(directory, expected),
                }));
            }
        }
    }
    for number in segments {
        let length = recovery.read_segment(directory, number, Some(number) == last, db)?;
        recovery.tail = Some((number, length));
        recovery.journal_bytes += length;
    }
    Ok(recovery)
}

/// Whether a snapshot is whole; if not, what is wrong with it.
fn check_snapshot(directory: &Path, number: u64) -> Result<Option<JournalError>, JournalError> {
    let path = snapshot_path(directory, number);
    let damaged = |offset, reason: &str| {
        let (reason, advice) = (reason.to_owned(), RESTORE.to_owned());
        Ok(Some(JournalError::Damaged { path: path.clone(), offset, reason, advice }))
    };
    let mut reader = FrameReader::open(&path, number)?;
    if let Some(reason) = reader.check_header(FileKind::Snapshot)? {
        return damaged(0, reason);
    }
    let mut ended = false;
    loop {
        match reader.next()? {
            Next::Record { kind, .. } => ended = kind == Kind::End,
            Next::End if ended => return Ok(None),
            Next::End => return damaged(reader.offset(), "the snapshot is cut short"),
            Next::Broken { offset, reason } => return damaged(offset, reason),
        }
    }
}

impl Recovery {
    /// Returns the size of the snapshot.
    fn read_snapshot(
        &mut self,
        directory: &Path,
        number: u64,
        db: &Database,
    ) -> Result<u64, JournalError> {
        let path = snapshot_path(directory, number);
        let damaged = |offset, reason| JournalError::Damaged {
            path: path.clone(),
            offset,
            reason,
            advice: RESTORE.to_owned(),
        };
        let mut reader = FrameReader::open(&path, number)?;
        if let Some(reason) = reader.check_header(FileKind::Snapshot)? {
            return Err(damaged(0, reason.to_owned()));
        }
        loop {
            match reader.next()? {
                Next::Record { offset, kind, record } => {
                    let applied = decode(kind, record).and_then(|r| self.apply(r, db));
                    applied.map_err(|reason| damaged(offset, reason))?;
                }
                Next::End => return Ok(reader.offset()),
                Next::Broken { offset, reason } => return Err(damaged(offset, reason.to_owned())),
            }
        }
    }

    /// Returns the segment's length, without a torn end.
    fn read_segment(
        &mut self,
        directory: &Path,
        number: u64,
        is_last: bool,
        db: &Database,
    ) -> Result<u64, JournalError> {
        let path = segment_path(directory, number);
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let damaged = |offset: u64, reason: String| JournalError::Damaged {
            path: path.clone(),
            offset,
            reason,
            advice: format!(
                "{RESTORE}; or give up everything from there on: shorten the file \
                 (truncate -s {offset} {name}) and delete the journal files with higher numbers"
            ),
        };
        let mut reader = FrameReader::open(&path, number)?;
        if let Some(reason) = reader.check_header(FileKind::Segment)? {
            if !is_last || reader.was_settled(0)? {
                return Err(damaged(0, reason.to_owned()));
            }
            // Its name got to the disk, its beginning did not.
            tracing::warn!(file = name, reason, "a segment that was just begun is begun again");
            remove(&path)?;
            return Ok(0);
        }
        loop {
            match reader.next()? {
                Next::Record { offset, kind, record } => {
                    let applied = decode(kind, record).and_then(|r| self.apply(r, db));
                    applied.map_err(|reason| damaged(offset, reason))?;
                }
                Next::End => return Ok(reader.offset()),
                Next::Broken { offset, reason } => {
                    if !is_last || reader.was_settled(offset)? {
                        return Err(damaged(offset, reason.to_owned()));
                    }
                    tracing::warn!(file = name, offset, reason, "the journal's torn end is cut");
                    cut(&path, offset)?;
                    return Ok(offset);
                }
            }
        }
    }

    fn apply(&mut self, (record, mark): (Record, i64), db: &Database) -> Result<(), String> {
        self.mark = self.mark.max(mark);
        let told = |error: CqlError| error.message;
        match record {
            Record::Write(mutations) => mutations.iter().try_for_each(|m| write(m, db)),
            Record::Ranges(ranges) if !db.has_table(ranges.table) => Ok(()),
            Record::Ranges(ranges) => db.import_ranges(ranges).map_err(told),
            Record::Truncate(table) => {
                db.truncate(table);
                Ok(())
            }
            Record::Schema(schema) => {
                let changes = self.persisted.apply(schema);
                for table in changes.dropped {
                    db.drop_table(table);
                }
                for table in changes.put {
                    if db.has_table(table.id) {
                        db.alter_table(&table);
                    } else {
                        db.create_table(&table);
                    }
                }
                Ok(())
            }
            Record::Node(node) => {
                self.persisted.node = Some(node);
                Ok(())
            }
            Record::Streams(streams) => {
                self.persisted.apply_streams(streams);
                Ok(())
            }
            Record::End => Ok(()),
        }
    }
}

fn write(mutation: &Mutation, db: &Database) -> Result<(), String> {
    // A write that met DROP TABLE: its statement was refused after it was recorded.
    if !db.has_table(mutation.table) {
        return Ok(());
    }
    db.apply(mutation).map_err(|error| error.message)
}

fn cut(path: &Path, length: u64) -> Result<(), JournalError> {
    OpenOptions::new()
        .write(true)
        .open(path)
        .and_then(|file| {
            file.set_len(length)?;
            file.sync_all()
        })
        .map_err(JournalError::io("shorten", path))
}

//! How records get to the disk: appended in memory, written by a thread of its own in as
//! few pieces as there is time for, so that writers that wait at once share one fsync.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex, RwLock};
use tokio::sync::watch;

use super::config::{Fsync, JournalConfig};
use super::directory::{segment_path, sync};
use super::error::JournalError;
use super::frame::{FILE_HEADER, FRAME_HEADER, FileKind, file_header, frame_header};
use super::record::Kind;
use super::state::Persisted;
use crate::store::{Clock, Database};

/// Who appends waits while this much is not yet written.
const MAX_QUEUED: usize = 64 << 20;
/// The pause of [`Fsync::Batch`].
const BATCH_PAUSE: Duration = Duration::from_millis(10);

/// A place in the journal: segment and offset.
type Place = (u64, u64);

/// What the threads of a journal share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) config: JournalConfig,
    pub(super) db: Arc<Database>,
    pub(super) clock: Arc<Clock>,
    /// Held by who records and applies a write; alone by who must not meet one half done.
    pub(super) gate: RwLock<()>,
    pub(super) persisted: Mutex<Persisted>,
    queue: Mutex<Queue>,
    /// There is something to write.
    filled: Condvar,
    /// Something was written.
    written: Condvar,
    /// Something is to be forced to the disk.
    unsettled: Condvar,
    /// A snapshot is due.
    grown: Condvar,
    progress: watch::Sender<Progress>,
}

/// How far the journal is as durable as its mode says.
#[derive(Debug, Clone, Default)]
struct Progress {
    position: u64,
    failed: Option<JournalError>,
}

#[derive(Debug)]
struct Chunk {
    segment: u64,
    bytes: Vec<u8>,
}

#[derive(Debug)]
struct Queue {
    chunks: VecDeque<Chunk>,
    queued: usize,
    /// Where the next record goes.
    end: Place,
    /// The same as a number that only grows, of this run: what is waited for.
    position: u64,
    /// The file that is written to, and how far it is.
    file: Option<(Arc<File>, Place)>,
    written: u64,
    settled: Place,
    since_snapshot: u64,
    snapshot_after: u64,
    closing: bool,
    failed: Option<JournalError>,
}

impl Queue {
    fn begin_segment(&mut self) -> u64 {
        let segment = self.end.0 + 1;
        let bytes = file_header(FileKind::Segment, segment).to_vec();
        self.position += bytes.len() as u64;
        self.queued += bytes.len();
        self.end = (segment, bytes.len() as u64);
        self.chunks.push_back(Chunk { segment, bytes });
        segment
    }

    fn check(&self) -> Result<(), JournalError> {
        match &self.failed {
            Some(error) => Err(JournalError::Failed(Arc::new(error.clone()))),
            None if self.closing => Err(JournalError::Closed),
            None => Ok(()),
        }
    }
}

impl Shared {
    /// Goes on after `tail`, a segment and its length; `None`: with the first segment.
    pub(super) fn new(
        config: JournalConfig,
        (db, clock): (Arc<Database>, Arc<Clock>),
        persisted: Persisted,
        tail: Option<Place>,
        since_snapshot: u64,
    ) -> Result<Self, JournalError> {
        let (end, file) = match tail {
            Some((segment, length)) if length >= FILE_HEADER => {
                let path = segment_path(&config.directory, segment);
                let file = OpenOptions::new()
                    .append(true)
                    .open(&path)
                    .and_then(|file| file.sync_all().map(|()| file))
                    .map_err(JournalError::io("open", &path))?;
                ((segment, length), Some((Arc::new(file), (segment, length))))
            }
            Some((segment, _)) => ((segment - 1, 0), None),
            None => ((0, 0), None),
        };
        let mut queue = Queue {
            chunks: VecDeque::new(),
            queued: 0,
            end,
            position: 0,
            written: 0,
            settled: end,
            since_snapshot,
            snapshot_after: config.snapshot_after,
            closing: false,
            failed: None,
            file,
        };
        if queue.file.is_none() {
            queue.begin_segment();
        }
        Ok(Self {
            config,
            db,
            clock,
            gate: RwLock::new(()),
            persisted: Mutex::new(persisted),
            queue: Mutex::new(queue),
            filled: Condvar::new(),
            written: Condvar::new(),
            unsettled: Condvar::new(),
            grown: Condvar::new(),
            progress: watch::Sender::new(Progress::default()),
        })
    }

    /// Appends a record.
    pub(super) fn append(&self, kind: Kind, record: &[u8]) -> Result<(), JournalError> {
        let length = u32::try_from(record.len())
            .map_err(|_| JournalError::Unwritable(format!("{} bytes at once", record.len())))?;
        let checksum = crc32fast::hash(record);
        let mut queue = self.queue.lock();
        while queue.queued > MAX_QUEUED && queue.check().is_ok() {
            self.written.wait(&mut queue);
        }
        queue.check()?;
        if queue.end.1 >= self.config.segment_bytes {
            queue.begin_segment();
        }
        let (segment, offset) = queue.end;
        let settled = if queue.settled.0 == segment { queue.settled.1 } else { 0 };
        let header = frame_header(kind, length, checksum, settled, segment, offset);
        if queue.chunks.back().is_none_or(|chunk| chunk.segment != segment) {
            queue.chunks.push_back(Chunk { segment, bytes: Vec::new() });
        }
        if let Some(chunk) = queue.chunks.back_mut() {
            chunk.bytes.extend_from_slice(&header);
            chunk.bytes.extend_from_slice(record);
        }
        let size = FRAME_HEADER + record.len();
        queue.queued += size;
        queue.position += size as u64;
        queue.end.1 += size as u64;
        queue.since_snapshot += size as u64;
        let is_grown = queue.since_snapshot >= queue.snapshot_after;
        drop(queue);
        self.filled.notify_one();
        if is_grown {
            self.grown.notify_one();
        }
        Ok(())
    }

    /// Ends the segment; returns the number of the next one. What was appended so far is in
    /// segments before it.
    pub(super) fn next_segment(&self) -> Result<u64, JournalError> {
        let mut queue = self.queue.lock();
        queue.check()?;
        let segment = queue.begin_segment();
        queue.since_snapshot = 0;
        drop(queue);
        self.filled.notify_one();
        Ok(segment)
    }

    /// Up to where records were appended.
    pub(super) fn position(&self) -> u64 {
        self.queue.lock().position
    }

    /// Returns when the journal is as durable up to `position` as its mode says.
    pub(super) async fn settled(&self, position: u64) -> Result<(), JournalError> {
        let mut progress = self.progress.subscribe();
        let reached = progress.wait_for(|p| p.position >= position || p.failed.is_some()).await;
        match reached.as_deref() {
            Ok(Progress { position: reached, .. }) if *reached >= position => Ok(()),
            Ok(Progress { failed: Some(error), .. }) => Err(error.clone()),
            _ => Err(JournalError::Closed),
        }
    }

    /// Forces all that was appended so far to the disk, whatever the mode.
    pub(super) fn force(&self) -> Result<(), JournalError> {
        let mut queue = self.queue.lock();
        let position = queue.position;
        while queue.written < position {
            if let Some(error) = &queue.failed {
                return Err(error.clone());
            }
            self.written.wait(&mut queue);
        }
        drop(queue);
        self.sync_file()
    }

    fn sync_file(&self) -> Result<(), JournalError> {
        let Some((file, place)) = self.queue.lock().file.clone() else { return Ok(()) };
        let path = segment_path(&self.config.directory, place.0);
        file.sync_data().map_err(JournalError::io("fsync", &path))?;
        let mut queue = self.queue.lock();
        queue.settled = queue.settled.max(place);
        Ok(())
    }

    /// Nothing is written any more: what is in memory is not what is on disk.
    fn fail(&self, error: JournalError) {
        tracing::error!(%error, "the journal failed; the node takes no more writes");
        let mut queue = self.queue.lock();
        queue.failed.get_or_insert(error.clone());
        queue.chunks.clear();
        queue.queued = 0;
        drop(queue);
        self.progress.send_modify(|progress| progress.failed = Some(error));
        self.written.notify_all();
        self.unsettled.notify_all();
        self.grown.notify_all();
    }

    /// Takes no more records; the threads end when all is written.
    pub(super) fn begin_closing(&self) {
        self.queue.lock().closing = true;
        self.filled.notify_all();
        self.written.notify_all();
        self.unsettled.notify_all();
        self.grown.notify_all();
    }

    /// Whether the journal is being closed or failed.
    pub(super) fn is_ending(&self) -> bool {
        self.queue.lock().check().is_err()
    }

    /// The thread that writes.
    pub(super) fn write_out(&self) {
        let _fuse = Fuse(self);
        loop {
            let (chunks, position) = {
                let mut queue = self.queue.lock();
                while queue.chunks.is_empty() && queue.check().is_ok() {
                    self.filled.wait(&mut queue);
                }
                if queue.chunks.is_empty() {
                    return;
                }
                queue.queued = 0;
                (std::mem::take(&mut queue.chunks), queue.position)
            };
            if let Err(error) = self.write_chunks(chunks) {
                self.fail(error);
                return;
            }
            self.queue.lock().written = position;
            self.written.notify_all();
            self.unsettled.notify_one();
            self.progress.send_modify(|progress| progress.position = position);
        }
    }

    fn write_chunks(&self, chunks: VecDeque<Chunk>) -> Result<(), JournalError> {
        for chunk in chunks {
            let path = segment_path(&self.config.directory, chunk.segment);
            let current = self.queue.lock().file.clone();
            let (file, offset) = match current {
                Some((file, (segment, offset))) if segment == chunk.segment => (file, offset),
                _ => {
                    // Only the last segment may have a torn end.
                    self.sync_file()?;
                    let file = OpenOptions::new()
                        .append(true)
                        .create_new(true)
                        .open(&path)
                        .map_err(JournalError::io("make", &path))?;
                    sync(&self.config.directory)?;
                    (Arc::new(file), 0)
                }
            };
            (&*file).write_all(&chunk.bytes).map_err(JournalError::io("write", &path))?;
            let place = (chunk.segment, offset + chunk.bytes.len() as u64);
            let mut queue = self.queue.lock();
            queue.file = Some((file, place));
            if self.config.fsync == Fsync::Never {
                queue.settled = place;
            }
        }
        match self.config.fsync {
            Fsync::Always => self.sync_file(),
            Fsync::Batch | Fsync::Never => Ok(()),
        }
    }

    /// The thread of [`Fsync::Batch`].
    pub(super) fn sync_now_and_then(&self) {
        let _fuse = Fuse(self);
        loop {
            {
                let mut queue = self.queue.lock();
                let is_settled =
                    |queue: &Queue| queue.file.as_ref().is_none_or(|(_, p)| *p <= queue.settled);
                while is_settled(&queue) && queue.check().is_ok() {
                    self.unsettled.wait(&mut queue);
                }
                if queue.check().is_err() {
                    return;
                }
            }
            std::thread::sleep(BATCH_PAUSE);
            if let Err(error) = self.sync_file() {
                self.fail(error);
                return;
            }
        }
    }

    /// Waits until a snapshot is due; false: the journal ends.
    pub(super) fn wait_until_grown(&self) -> bool {
        let mut queue = self.queue.lock();
        while queue.since_snapshot < queue.snapshot_after && queue.check().is_ok() {
            self.grown.wait(&mut queue);
        }
        queue.check().is_ok()
    }

    /// The next snapshot is due when the journal has grown by as much as this one takes.
    pub(super) fn snapshot_taken(&self, size: u64) {
        self.queue.lock().snapshot_after = self.config.snapshot_after.max(size);
    }
}

/// Fails the journal when its thread panics: nobody shall wait for it.
struct Fuse<'a>(&'a Shared);

impl Drop for Fuse<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.fail(JournalError::Unwritable("its thread panicked".to_owned()));
        }
    }
}

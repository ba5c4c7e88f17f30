//! The journal as the engine holds it.

use std::cell::RefCell;
use std::sync::Arc;
use std::thread::JoinHandle;

use parking_lot::{Mutex, RwLockReadGuard, RwLockWriteGuard};
use uuid::Uuid;

use super::config::{Fsync, JournalConfig};
use super::directory::Directory;
use super::error::JournalError;
use super::record::{self, Kind, StreamsRecord};
use super::recovery::recover;
use super::snapshot;
use super::state::{NodeState, Persisted, record_of};
use super::writer::Shared;
use crate::cdc::{GenerationInfo, StreamsState};
use crate::schema::SchemaEdit;
use crate::store::mutation::Mutation;
use crate::store::{Clock, Database};

/// What a thread keeps of its scratch space for the next record.
const SCRATCH_LIMIT: usize = 256 << 10;

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Records what is written, before it is applied. Dropping it closes it.
#[derive(Debug)]
pub struct Journal {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    directory: Mutex<Option<Directory>>,
}

/// What a data directory held.
#[derive(Debug)]
pub struct Opened {
    /// The journal, to be gone on with.
    pub journal: Journal,
    /// The data.
    pub database: Arc<Database>,
    /// The clock: not behind anything on record.
    pub clock: Arc<Clock>,
    pub(crate) persisted: Persisted,
}

/// A write that is recorded; to be held until it is applied.
#[derive(Debug)]
pub struct Recorded<'a> {
    _gate: RwLockReadGuard<'a, ()>,
}

/// Nobody else writes as long as this is held: for changes that have to be applied in the
/// order in which they are recorded.
#[derive(Debug)]
pub struct Alone<'a> {
    shared: &'a Shared,
    _gate: RwLockWriteGuard<'a, ()>,
}

impl Journal {
    /// Takes a data directory, reads what is in it, and goes on with it.
    ///
    /// # Errors
    /// When another process has the directory, the disk refuses something, or a file is
    /// damaged or missing.
    pub fn open(config: JournalConfig) -> Result<Opened, JournalError> {
        let directory = Directory::open(&config.directory)?;
        let (database, clock) = (Arc::new(Database::new()), Arc::new(Clock::new()));
        let recovery = recover(&config.directory, &database)?;
        clock.not_before(recovery.mark);
        let fsync = config.fsync;
        let threads_of = config.directory.clone();
        let shared = Arc::new(Shared::new(
            config,
            (database.clone(), clock.clone()),
            recovery.persisted.clone(),
            recovery.tail,
            recovery.journal_bytes,
        )?);
        if let Some((_, size)) = recovery.snapshot {
            shared.snapshot_taken(size);
        }
        let journal =
            Journal { shared, threads: Mutex::default(), directory: Mutex::new(Some(directory)) };
        let spawn = |name: &str, run: fn(&Shared)| {
            let shared = journal.shared.clone();
            std::thread::Builder::new()
                .name(format!("messina-devdb-{name}"))
                .spawn(move || run(&shared))
                .map(|thread| journal.threads.lock().push(thread))
                .map_err(JournalError::io("start a thread for", &threads_of))
        };
        spawn("journal", Shared::write_out)?;
        spawn("snapshot", snapshot::run)?;
        if fsync == Fsync::Batch {
            spawn("fsync", Shared::sync_now_and_then)?;
        }
        Ok(Opened { journal, database, clock, persisted: recovery.persisted })
    }

    /// Records a write: all of it or, after a crash, nothing.
    pub fn write<'m>(
        &self,
        mutations: impl IntoIterator<Item = &'m Mutation>,
    ) -> Result<Recorded<'_>, JournalError> {
        let gate = self.shared.gate.read();
        let mark = self.shared.clock.mark();
        SCRATCH.with_borrow_mut(|scratch| {
            record::write(scratch, mark, mutations);
            let appended = self.shared.append(Kind::Write, scratch);
            if scratch.capacity() > SCRATCH_LIMIT {
                *scratch = Vec::new();
            }
            appended
        })?;
        Ok(Recorded { _gate: gate })
    }

    /// Waits until every recorded write is applied, and keeps others from coming.
    pub fn alone(&self) -> Alone<'_> {
        Alone { shared: &self.shared, _gate: self.shared.gate.write() }
    }

    /// Returns when everything that was recorded before is as durable as the mode says.
    ///
    /// # Errors
    /// When the disk refused it: it is then not known what is on it.
    pub async fn settled(&self) -> Result<(), JournalError> {
        self.shared.settled(self.shared.position()).await
    }

    /// The same on the disk, whatever the mode; blocks.
    pub fn force(&self) -> Result<(), JournalError> {
        self.shared.force()
    }

    /// Writes what is left, forces it to the disk and lets the directory go. Writes after it
    /// are refused.
    pub fn close(&self) {
        let mut directory = self.directory.lock();
        if directory.is_none() {
            return;
        }
        let closed = self.shared.force().and_then(|()| {
            let mut end = Vec::new();
            record::end(&mut end, self.shared.clock.mark());
            // After the rest is settled, which it says: no damage passes for a torn end then.
            self.shared.append(Kind::End, &end)?;
            self.shared.force()
        });
        if let Err(error) = closed {
            tracing::error!(%error, "the journal was not closed in good order");
        }
        self.shared.begin_closing();
        for thread in self.threads.lock().drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the journal panicked");
            }
        }
        *directory = None;
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.close();
    }
}

impl Alone<'_> {
    fn append(
        &self,
        kind: Kind,
        encode: impl FnOnce(&mut Vec<u8>, i64) -> Result<(), JournalError>,
    ) -> Result<(), JournalError> {
        let mut record = Vec::new();
        encode(&mut record, self.shared.clock.mark())?;
        self.shared.append(kind, &record)
    }

    /// Records who the node is.
    pub fn node(&self, node: NodeState) -> Result<(), JournalError> {
        self.append(Kind::Node, |out, mark| record::json(out, mark, &node))?;
        self.shared.persisted.lock().node = Some(node);
        Ok(())
    }

    /// Records what a schema statement changes. `streams`: as they are after it.
    pub fn schema(&self, edit: &SchemaEdit, streams: &StreamsState) -> Result<(), JournalError> {
        let schema = record_of(edit, streams);
        if schema.keyspaces.is_empty() {
            return Ok(());
        }
        self.append(Kind::Schema, |out, mark| record::json(out, mark, &schema))?;
        self.shared.persisted.lock().apply(schema);
        Ok(())
    }

    /// Records TRUNCATE.
    pub fn truncate(&self, table: Uuid) -> Result<(), JournalError> {
        self.append(Kind::Truncate, |out, mark| {
            record::truncate(out, mark, table);
            Ok(())
        })
    }

    /// Records the generations of streams that there are now: of a log table on tablets, or
    /// with `None` of all keyspaces on vnodes.
    pub fn streams(
        &self,
        log: Option<Uuid>,
        generations: Vec<GenerationInfo>,
    ) -> Result<(), JournalError> {
        let streams = StreamsRecord { log, generations };
        self.append(Kind::Streams, |out, mark| record::json(out, mark, &streams))?;
        self.shared.persisted.lock().apply_streams(streams);
        Ok(())
    }
}

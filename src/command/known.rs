//! What a handler knows of an aggregate.

use uuid::Uuid;

use crate::aggregate::Loaded;

/// An aggregate, and how sure it is.
#[derive(Debug, Clone)]
pub(super) struct Known<A> {
    pub(super) loaded: Loaded<A>,
    /// Everything that its commits promised is known to be written, the answer to the last
    /// command included. Rows of one batch become visible one after the other: who reads an
    /// event has not seen its command's answer yet.
    pub(super) settled: bool,
    /// The last snapshot.
    pub(super) snapshot: SnapshotMark,
}

/// Version and time (µs) of a snapshot; 0 without one.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct SnapshotMark {
    pub(super) version: i64,
    pub(super) at: i64,
}

impl SnapshotMark {
    /// In place of one that cannot be used.
    pub(super) fn due() -> Self {
        Self { version: i64::MIN, at: i64::MIN }
    }
}

impl<A> Known<A> {
    /// As read from the tables.
    pub(super) fn read(loaded: Loaded<A>) -> Self {
        Self { loaded, settled: false, snapshot: SnapshotMark::default() }
    }

    /// The last commit, if it is one whose answer should be stored (its id is of version 5,
    /// made of a key) and may not be visible yet. After `oldest` (µs) an answer expires.
    pub(super) fn unsettled_command(&self, oldest: i64) -> Option<Uuid> {
        let last = self.loaded.last_commit?.0;
        let awaited =
            !self.settled && last.get_version_num() == 5 && self.loaded.last_committed_at >= oldest;
        awaited.then_some(last)
    }
}

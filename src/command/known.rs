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
}

impl<A> Known<A> {
    /// As read from the tables.
    pub(super) fn read(loaded: Loaded<A>) -> Self {
        Self { loaded, settled: false }
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

//! The journal: what was written, on disk, so that it outlives the process.
//!
//! A data directory holds a lock file, segments (`journal-NUMBER.log`) and, once the journal
//! has grown, a snapshot (`snapshot-NUMBER.snap`: everything before segment NUMBER). Each is
//! a sequence of framed records: `frame.rs` has the bytes, `record.rs` what they say,
//! `recovery.rs` how they are read at the start, `writer.rs` how they get to the disk, and
//! `snapshot.rs` how old segments become superfluous.
mod codec;
mod config;
mod directory;
mod error;
mod frame;
mod handle;
mod mutations;
mod record;
mod recovery;
mod snapshot;
mod state;
mod writer;
pub use config::{Fsync, JournalConfig};
pub use error::JournalError;
pub use handle::{Alone, Journal, Opened, Recorded};
pub use state::NodeState;
pub(crate) use state::Persisted;

#[cfg(test)]
mod tests;

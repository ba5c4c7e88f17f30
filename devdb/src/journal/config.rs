//! What a journal is told at its start.

use std::path::PathBuf;
use std::str::FromStr;

/// When written data is forced to the disk. In every mode a write is acknowledged only after
/// the system has its record, so that a killed process loses nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fsync {
    /// When the system does. A power cut may lose anything that was written since the last
    /// snapshot.
    Never,
    /// Every 10 ms, in the background. A power cut loses the last moments.
    #[default]
    Batch,
    /// Before it is acknowledged; writers that wait at the same time share one fsync.
    Always,
}

impl FromStr for Fsync {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "never" => Ok(Fsync::Never),
            "batch" => Ok(Fsync::Batch),
            "always" => Ok(Fsync::Always),
            _ => Err(format!("'{text}' is none of never, batch, always")),
        }
    }
}

/// Where the journal is and how it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalConfig {
    /// The data directory; made if it is not there.
    pub directory: PathBuf,
    /// When written data is forced to the disk.
    pub fsync: Fsync,
    /// Bytes of journal after which a snapshot is taken (or as many as the last snapshot has,
    /// if that is more, so that snapshots cost no more than the journal itself).
    pub snapshot_after: u64,
    /// Bytes after which a segment ends and the next one begins.
    pub segment_bytes: u64,
}

impl JournalConfig {
    /// A journal in this directory, with fsync in the background.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            fsync: Fsync::default(),
            snapshot_after: 64 << 20,
            segment_bytes: 32 << 20,
        }
    }
}

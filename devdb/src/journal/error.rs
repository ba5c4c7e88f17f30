//! What goes wrong with a journal.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::CqlError;

/// Why a data directory cannot be used, or no longer.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// Another node has the directory.
    #[error("the data directory {} is in use by another process", path.display())]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// The system refused something.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the system says.
        source: Arc<std::io::Error>,
    },
    /// A file does not hold what was written to it.
    #[error("{} is damaged at byte {offset}: {reason}. {advice}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where what cannot be read begins.
        offset: u64,
        /// What is wrong there.
        reason: String,
        /// What can be done about it.
        advice: String,
    },
    /// A file that has to be there is not.
    #[error("{} is missing: the journal goes on after it. Restore it from a copy", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// A file of another version of this program.
    #[error(
        "{} has format {found}, and this program knows format {known}: use the program that \
         wrote it, or an empty directory",
        path.display()
    )]
    Format {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// This program's format.
        known: u32,
    },
    /// Something that could not be read back, and so is not written.
    #[error("the journal cannot hold this: {0}")]
    Unwritable(String),
    /// An earlier error of the disk: what is in memory is no longer what is on disk, so that
    /// nothing more is written.
    #[error("the journal failed, and nothing can be written before a restart: {0}")]
    Failed(Arc<JournalError>),
    /// The node is being stopped.
    #[error("the node is shut down")]
    Closed,
}

impl JournalError {
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| JournalError::Io { action, path, source: Arc::new(source) }
    }
}

impl From<JournalError> for CqlError {
    fn from(error: JournalError) -> Self {
        CqlError::server(error.to_string())
    }
}

//! The files of a data directory.

use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};

use fs4::fs_std::FileExt;

use super::error::JournalError;

/// A data directory that is ours as long as this lives.
#[derive(Debug)]
pub(super) struct Directory {
    lock: File,
}

/// The numbers of the files that a directory holds, each sorted.
#[derive(Debug, Default)]
pub(super) struct Files {
    pub(super) segments: Vec<u64>,
    pub(super) snapshots: Vec<u64>,
}

pub(super) fn segment_path(directory: &Path, number: u64) -> PathBuf {
    directory.join(format!("journal-{number:010}.log"))
}

pub(super) fn snapshot_path(directory: &Path, number: u64) -> PathBuf {
    directory.join(format!("snapshot-{number:010}.snap"))
}

/// What a snapshot is called until it is whole.
pub(super) fn unfinished_path(directory: &Path) -> PathBuf {
    directory.join("snapshot.tmp")
}

/// Makes names that came or went survive a power cut.
pub(super) fn sync(directory: &Path) -> Result<(), JournalError> {
    // Elsewhere a directory cannot be opened as a file, and need not be.
    if cfg!(unix) {
        File::open(directory)
            .and_then(|file| file.sync_all())
            .map_err(JournalError::io("fsync", directory))?;
    }
    Ok(())
}

pub(super) fn remove(path: &Path) -> Result<(), JournalError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(JournalError::io("remove", path)(error))
        }
        _ => Ok(()),
    }
}

impl Directory {
    /// Takes a directory, which is made if it is not there.
    pub(super) fn open(path: &Path) -> Result<Self, JournalError> {
        fs::create_dir_all(path).map_err(JournalError::io("make", path))?;
        let lock_path = path.join("lock");
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock_path)
            .map_err(JournalError::io("open", &lock_path))?;
        // The system lets it go with the process, however that ends.
        match FileExt::try_lock_exclusive(&lock) {
            Ok(true) => Ok(Self { lock }),
            Ok(false) => Err(JournalError::InUse { path: path.to_owned() }),
            Err(error) => Err(JournalError::io("lock", &lock_path)(error)),
        }
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // Closing alone would not do: a program that another thread is just starting holds a
        // copy of the file, and the lock with it, until it has replaced itself.
        if let Err(error) = FileExt::unlock(&self.lock) {
            tracing::warn!(%error, "the data directory was not let go before its file is closed");
        }
    }
}

pub(super) fn files(directory: &Path) -> Result<Files, JournalError> {
    let io = || JournalError::io("list", directory);
    let mut files = Files::default();
    for entry in fs::read_dir(directory).map_err(io())? {
        let name = entry.map_err(io())?.file_name();
        let Some(name) = name.to_str() else { continue };
        let number = |prefix: &str, suffix: &str| {
            name.strip_prefix(prefix)?.strip_suffix(suffix)?.parse::<u64>().ok()
        };
        files.segments.extend(number("journal-", ".log"));
        files.snapshots.extend(number("snapshot-", ".snap"));
    }
    files.segments.sort_unstable();
    files.snapshots.sort_unstable();
    Ok(files)
}

/// Deletes what a snapshot makes superfluous: segments and snapshots before it.
pub(super) fn forget_before(directory: &Path, snapshot: u64) -> Result<(), JournalError> {
    let files = files(directory)?;
    // Older snapshots first: one without the segments after it would be of no use.
    for number in files.snapshots.into_iter().filter(|n| *n < snapshot) {
        remove(&snapshot_path(directory, number))?;
    }
    for number in files.segments.into_iter().filter(|n| *n < snapshot) {
        remove(&segment_path(directory, number))?;
    }
    sync(directory)
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::Directory;

    /// A copy of the file is what a program has that is started at the wrong moment.
    #[test]
    fn it_is_let_go_although_somebody_has_a_copy_of_the_file() {
        let directory = TempDir::new().unwrap();
        let ours = Directory::open(directory.path()).unwrap();
        let _copy = ours.lock.try_clone().unwrap();
        Directory::open(directory.path()).unwrap_err();
        drop(ours);
        Directory::open(directory.path()).unwrap();
    }
}

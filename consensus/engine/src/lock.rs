//! One process per data folder.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

/// Why the folder is not ours.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Somebody else holds it.
    #[error("another process uses the data folder {0}: stop it, or choose another folder")]
    Taken(PathBuf),
    /// The file system failed.
    #[error("data folder {0}: {1}")]
    Io(PathBuf, std::io::Error),
}

/// Name of the lock file.
const FILE: &str = "consensus.lock";

/// An exclusive lock on a folder, released when dropped or when the process ends, however it ends.
#[derive(Debug)]
pub(crate) struct FolderLock {
    _file: File,
}

impl FolderLock {
    /// Takes the lock; the folder is created if absent.
    pub(crate) fn take(folder: &Path) -> Result<Self, LockError> {
        let io = |error| LockError::Io(folder.to_owned(), error);
        std::fs::create_dir_all(folder).map_err(io)?;
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(folder.join(FILE)).map_err(io)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(LockError::Taken(folder.to_owned())),
            Err(TryLockError::Error(error)) => Err(io(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holder_is_refused_until_the_first_lets_go() {
        let folder = tempfile::tempdir().unwrap();
        let first = FolderLock::take(folder.path()).unwrap();
        assert!(matches!(FolderLock::take(folder.path()), Err(LockError::Taken(_))));
        drop(first);
        FolderLock::take(folder.path()).unwrap();
    }
}

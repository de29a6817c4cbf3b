//! One process per project: a lock that the operating system drops with the process.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

use crate::error::AtPath as _;
use crate::{Result, StoreError};

const LOCK_FILE: &str = ".lock";
/// Apart from the lock file, because on Windows a locked file cannot be read by others.
const HOLDER_FILE: &str = ".lock-holder";

/// Who has the project open; all that writes is refused meanwhile.
#[derive(Debug, Clone)]
pub(crate) struct Holder {
    dir: PathBuf,
    pid: Option<u32>,
}

impl Holder {
    /// Whoever was noted last in the project in `root`.
    pub(crate) fn of(root: &Path) -> Self {
        let pid = fs::read_to_string(root.join(HOLDER_FILE))
            .ok()
            .and_then(|text| text.trim().parse().ok());
        Self {
            dir: root.to_owned(),
            pid,
        }
    }

    /// Process id, where it could be read.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.pid
    }

    /// Why nothing is written.
    pub(crate) fn refusal(&self) -> StoreError {
        StoreError::Locked {
            dir: self.dir.clone(),
            pid: self.pid,
        }
    }
}

/// Held for as long as the project is open. A lock left by a killed process is free again.
#[derive(Debug)]
pub(crate) struct ProjectLock {
    file: File,
}

impl ProjectLock {
    /// Locks the project in `root`.
    pub(crate) fn take(root: &Path) -> Result<Self> {
        let path = root.join(LOCK_FILE);
        let holder = root.join(HOLDER_FILE);
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .at(&path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Holder::of(root).refusal()),
            Err(TryLockError::Error(error)) => return Err(error).at(&path),
        }
        fs::write(&holder, std::process::id().to_string()).at(&holder)?;
        Ok(Self { file })
    }
}

impl Drop for ProjectLock {
    /// Unlocked by name: a child process that another thread is starting holds the file as well
    /// until its program begins, so that closing it here alone would leave it locked for a while.
    fn drop(&mut self) {
        self.file.unlock().ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_free_once_dropped_though_a_starting_child_holds_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let lock = ProjectLock::take(dir.path()).unwrap();
        // What a child process has between fork and exec.
        let _inherited = lock.file.try_clone().unwrap();
        assert!(matches!(
            ProjectLock::take(dir.path()),
            Err(StoreError::Locked { .. })
        ));
        drop(lock);
        ProjectLock::take(dir.path()).unwrap();
    }
}

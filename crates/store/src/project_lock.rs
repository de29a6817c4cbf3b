//! One process per project: a lock that the operating system drops with the process.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::path::Path;

use crate::error::AtPath as _;
use crate::{Result, StoreError};

const LOCK_FILE: &str = ".lock";
/// Apart from the lock file, because on Windows a locked file cannot be read by others.
const HOLDER_FILE: &str = ".lock-holder";

/// Held for as long as the project is open. A lock left by a killed process is free again.
#[derive(Debug)]
pub(crate) struct ProjectLock {
    _file: File,
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
            Err(TryLockError::WouldBlock) => {
                let pid = fs::read_to_string(&holder)
                    .ok()
                    .and_then(|text| text.trim().parse().ok());
                return Err(StoreError::Locked {
                    dir: root.to_owned(),
                    pid,
                });
            }
            Err(TryLockError::Error(error)) => return Err(error).at(&path),
        }
        fs::write(&holder, std::process::id().to_string()).at(&holder)?;
        Ok(Self { _file: file })
    }
}

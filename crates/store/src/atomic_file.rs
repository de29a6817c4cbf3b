//! Files that appear whole under their final name, or not at all.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use crate::Result;
use crate::error::AtPath as _;

/// What a file must survive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// A killed process.
    Process,
    /// A power cut: the file and its name are synced to the disk.
    PowerCut,
}

/// Writes `bytes` to a temporary name beside `path`, then renames it to `path`.
///
/// # Errors
/// [`crate::StoreError::Io`] if the disk refuses.
pub fn write_atomically(path: &Path, bytes: &[u8], durability: Durability) -> Result<()> {
    let temporary = temporary_name(path);
    let write = || -> std::io::Result<()> {
        let mut file = File::create(&temporary)?;
        file.write_all(bytes)?;
        if durability == Durability::PowerCut {
            file.sync_all()?;
        }
        Ok(())
    };
    if let Err(error) = write().and_then(|()| fs::rename(&temporary, path)) {
        fs::remove_file(&temporary).ok();
        return Err(error).at(path);
    }
    if durability == Durability::PowerCut {
        sync_folder_of(path)?;
    }
    Ok(())
}

/// Whether `name` is one that [`write_atomically`] uses while it writes.
pub(crate) fn is_temporary(name: &str) -> bool {
    name.starts_with('.') && name.ends_with(".partial")
}

/// The name a file has while it is written.
pub(crate) fn temporary_name(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.partial"))
}

/// Makes a rename or a new file in the folder of `path` survive a power cut, where the system
/// offers that.
pub(crate) fn sync_folder_of(path: &Path) -> Result<()> {
    if cfg!(unix)
        && let Some(folder) = path.parent()
    {
        // The parent of a bare file name is the empty path, which means the current folder.
        let folder = if folder.as_os_str().is_empty() {
            Path::new(".")
        } else {
            folder
        };
        File::open(folder).and_then(|f| f.sync_all()).at(folder)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_old_file_stays_when_the_new_one_cannot_be_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.json");
        write_atomically(&path, b"old", Durability::PowerCut).unwrap();
        fs::create_dir(temporary_name(&path)).unwrap();
        assert!(write_atomically(&path, b"new", Durability::Process).is_err());
        assert_eq!(fs::read(&path).unwrap(), b"old");
    }
}

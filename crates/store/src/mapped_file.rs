//! A file of plain numbers, mapped into memory and read in place.

use std::fs::File;
use std::marker::PhantomData;
use std::path::Path;

use bytemuck::AnyBitPattern;
use memmap2::Mmap;

use crate::error::AtPath as _;
use crate::{Result, StoreError};

/// A whole file as a slice of `T`.
#[derive(Debug)]
pub(crate) struct MappedFile<T> {
    /// `None` for an empty file, which cannot be mapped everywhere.
    map: Option<Mmap>,
    element: PhantomData<T>,
}

impl<T: AnyBitPattern> MappedFile<T> {
    /// Maps the file at `path`, which must hold `length` elements.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] if it has another length; [`StoreError::Io`].
    pub(crate) fn open(path: &Path, length: u64) -> Result<Self> {
        let file = File::open(path).at(path)?;
        let bytes = file.metadata().at(path)?.len();
        let expected = length.checked_mul(size_of::<T>() as u64);
        if expected != Some(bytes) {
            let place = if expected.is_some_and(|expected| bytes < expected) {
                "it is truncated: "
            } else {
                ""
            };
            let what = format!(
                "{place}it has {bytes} bytes where {length} elements of {} were expected",
                size_of::<T>()
            );
            return Err(StoreError::damaged(path, what));
        }
        let map = if bytes == 0 {
            None
        } else {
            Some(map_file(&file).at(path)?)
        };
        Ok(Self {
            map,
            element: PhantomData,
        })
    }

    /// All elements.
    pub(crate) fn as_slice(&self) -> &[T] {
        // A map begins at a page, so it is aligned for every plain number.
        self.map
            .as_deref()
            .map_or(&[], |bytes| bytemuck::cast_slice(bytes))
    }
}

#[expect(unsafe_code, reason = "memory maps are unsafe by nature; see SAFETY")]
fn map_file(file: &File) -> std::io::Result<Mmap> {
    // SAFETY: a file must not be changed while it is mapped. Files of finished artefacts and of
    // drafts are never written again under their name, only replaced by renaming, which leaves the
    // mapped file alive; and the project's lock keeps other processes of this program away.
    unsafe { Mmap::map(file) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_is_checked() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.bin");
        std::fs::write(&path, [1, 0, 0, 0, 2, 0, 0, 0]).unwrap();
        let mapped = MappedFile::<u32>::open(&path, 2).unwrap();
        assert_eq!(mapped.as_slice(), [1, 2]);
        let error = MappedFile::<u32>::open(&path, 3).unwrap_err().to_string();
        assert!(
            error.contains("a.bin") && error.contains("truncated"),
            "{error}"
        );
        std::fs::write(dir.path().join("empty"), []).unwrap();
        let empty = MappedFile::<u64>::open(&dir.path().join("empty"), 0).unwrap();
        assert!(empty.as_slice().is_empty());
    }
}

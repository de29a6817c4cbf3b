//! Matrices of a checkpoint in another coding, kept on disk so that they are coded once.
//!
//! A safetensors file of bytes: each matrix under its name in the checkpoint, its shape that of the
//! coded bytes, `[rows, bytes of a row]`. The file's name holds the hash of the checkpoint and the
//! coding, so that another checkpoint never meets it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use memmap2::Mmap;
use safetensors::SafeTensors;

use super::{CodedMatrix, Coding};
use crate::ModelError;

/// Where the coded matrices of one checkpoint are, or will be.
#[derive(Debug)]
pub(crate) struct CodedCache {
    path: PathBuf,
    coding: Coding,
    /// The file and where each matrix lies in it, by name with its shape; where it is there and
    /// whole.
    kept: Option<(Arc<Mmap>, Places)>,
}

/// Shape and bytes of each tensor of a file.
type Places = BTreeMap<String, (Vec<usize>, Range<usize>)>;

impl CodedCache {
    /// The cache of the checkpoint with this hash; a file that is damaged counts as absent.
    pub(crate) fn open(folder: &Path, hash: &str, coding: Coding) -> Self {
        let path = folder.join(format!("{hash}-{}.safetensors", coding.name()));
        let kept = File::open(&path).ok().and_then(|file| {
            #[expect(unsafe_code, reason = "mapping a file has no safe entrance")]
            // SAFETY: the map is read only, and the file is replaced by renaming, never changed in
            // place.
            let map = unsafe { Mmap::map(&file) }.ok()?;
            let base = map.as_ptr().addr();
            let places = SafeTensors::deserialize(&map).ok()?.tensors().into_iter();
            let places = places.map(|(name, view)| {
                let start = view.data().as_ptr().addr() - base;
                let range = start..start + view.data().len();
                (name, (view.shape().to_vec(), range))
            });
            let places = places.collect();
            Some((Arc::new(map), places))
        });
        Self { path, coding, kept }
    }

    /// Whether there is nothing to read from.
    pub(crate) fn is_empty(&self) -> bool {
        self.kept.is_none()
    }

    /// The matrix `name`, if it is there with this shape.
    pub(crate) fn get(&self, name: &str, [rows, columns]: [usize; 2]) -> Option<CodedMatrix> {
        let (map, places) = self.kept.as_ref()?;
        let (shape, range) = places.get(name)?;
        if *shape != [rows, self.coding.bytes_of(columns)] {
            return None;
        }
        let map = Arc::clone(map);
        Some(CodedMatrix::mapped(
            self.coding,
            [rows, columns],
            map,
            range.clone(),
        ))
    }

    /// Writes the matrices, under a temporary name first.
    ///
    /// # Errors
    /// [`ModelError::Write`].
    pub(crate) fn write(&self, matrices: &[(String, Arc<CodedMatrix>)]) -> Result<(), ModelError> {
        let failed = |source| ModelError::Write {
            path: self.path.clone(),
            source,
        };
        if let Some(folder) = self.path.parent() {
            std::fs::create_dir_all(folder).map_err(failed)?;
        }
        let temporary = self
            .path
            .with_extension(format!("{}.tmp", std::process::id()));
        let written = self.write_to(&temporary, matrices);
        if written.is_err() {
            std::fs::remove_file(&temporary).ok();
        }
        written
            .and_then(|()| std::fs::rename(&temporary, &self.path))
            .map_err(failed)
    }

    /// Streams header and bytes, so that nothing is held twice.
    fn write_to(
        &self,
        path: &Path,
        matrices: &[(String, Arc<CodedMatrix>)],
    ) -> std::io::Result<()> {
        let mut header = serde_json::Map::new();
        let mut at = 0;
        for (name, matrix) in matrices {
            let [rows, columns] = matrix.shape();
            let width = self.coding.bytes_of(columns);
            let entry = serde_json::json!({
                "dtype": "U8",
                "shape": [rows, width],
                "data_offsets": [at, at + rows * width],
            });
            header.insert(name.clone(), entry);
            at += rows * width;
        }
        let mut header = serde_json::Value::Object(header).to_string().into_bytes();
        header.resize(header.len().next_multiple_of(8), b' ');
        let mut file = BufWriter::new(File::create(path)?);
        file.write_all(&(header.len() as u64).to_le_bytes())?;
        file.write_all(&header)?;
        for (_, matrix) in matrices {
            file.write_all(matrix.bytes())?;
        }
        file.into_inner()
            .map_err(std::io::IntoInnerError::into_error)?
            .sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix(seed: f32) -> Arc<CodedMatrix> {
        let values: Vec<f32> = (0..3 * 64).map(|i| (i as f32 * 0.3 + seed).sin()).collect();
        let coded = CodedMatrix::from_f32([3, 64], &values).recoded(Coding::Q8_0);
        Arc::new(coded.unwrap())
    }

    #[test]
    fn what_was_coded_once_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let open = || CodedCache::open(folder.path(), "abc", Coding::Q8_0);
        assert!(open().is_empty());
        let all = [("a".to_owned(), matrix(0.0)), ("b".to_owned(), matrix(1.0))];
        open().write(&all).unwrap();
        let cache = open();
        for (name, matrix) in &all {
            let read = cache.get(name, [3, 64]).unwrap();
            assert_eq!(read.bytes(), matrix.bytes());
        }
        assert!(cache.get("a", [2, 64]).is_none() && cache.get("c", [3, 64]).is_none());
        let other = CodedCache::open(folder.path(), "abc", Coding::Q4_1);
        assert!(other.is_empty());

        let path = folder.path().join("abc-Q8_0.safetensors");
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
        assert!(open().is_empty());
    }
}

//! `hashes.json`: what each file of an artefact must be, and what the artefact was made from.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::atomic_file::is_temporary;
use crate::error::AtPath as _;
use crate::{ArtefactId, Result, StoreError};

/// Name of the file in each finished artefact.
pub(crate) const HASHES_FILE: &str = "hashes.json";

/// One file and what it must be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileHash {
    /// Path relative to the artefact's folder, `/`-separated; absolute for a file outside the
    /// project.
    pub path: String,
    /// Its length.
    pub bytes: u64,
    /// BLAKE3 of its bytes, in hexadecimal.
    pub blake3: String,
}

/// One artefact that another was made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParentHash {
    /// Which artefact.
    #[serde(flatten)]
    pub artefact: ArtefactId,
    /// BLAKE3 of its `hashes.json` when it was used.
    pub hash: String,
}

/// Content of `hashes.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArtefactHashes {
    /// Which artefact it belongs to.
    #[serde(flatten)]
    pub artefact: ArtefactId,
    /// What it was made from.
    pub parents: Vec<ParentHash>,
    /// Its files, by path.
    pub files: Vec<FileHash>,
    /// Files outside the project that it needs, such as a model's weights.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outside: Vec<FileHash>,
}

impl ArtefactHashes {
    /// The record of one file of the artefact.
    pub fn file(&self, path: &str) -> Option<&FileHash> {
        self.files.iter().find(|file| file.path == path)
    }

    /// Bytes of all files in the project.
    pub fn total_bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// The one text that `hashes.json` may have.
    pub(crate) fn to_text(&self) -> Result<String> {
        let mut text = serde_json::to_string_pretty(self)
            .map_err(|error| StoreError::invalid(error.to_string()))?;
        text.push('\n');
        Ok(text)
    }

    /// Reads `hashes.json` in `folder`.
    pub(crate) fn read(folder: &Path) -> Result<(Self, String)> {
        let path = folder.join(HASHES_FILE);
        let text = fs::read(&path).at(&path)?;
        let hashes = serde_json::from_slice(&text)
            .map_err(|error| StoreError::damaged(&path, error.to_string()))?;
        Ok((hashes, blake3_of_bytes(&text)))
    }
}

/// BLAKE3 of `bytes`, in hexadecimal.
pub fn blake3_of_bytes(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

/// BLAKE3 and length of the file at `path`, which is read in pieces.
///
/// # Errors
/// [`StoreError::Io`] if it cannot be read.
pub fn blake3_of_file(path: &Path) -> Result<(String, u64)> {
    let mut file = File::open(path).at(path)?;
    let mut hasher = blake3::Hasher::new();
    let mut piece = vec![0_u8; 1 << 20];
    let mut bytes = 0_u64;
    loop {
        let n = file.read(&mut piece).at(path)?;
        if n == 0 {
            return Ok((hasher.finalize().to_hex().to_string(), bytes));
        }
        hasher.update(&piece[..n]);
        bytes += n as u64;
    }
}

/// Records every file of `folder` but `hashes.json`; leftovers of interrupted writes are removed.
pub(crate) fn hash_folder(folder: &Path) -> Result<Vec<FileHash>> {
    let mut files = Vec::new();
    for path in files_below(folder)? {
        if path == HASHES_FILE {
            continue;
        }
        let full = folder.join(&path);
        if is_temporary(path.rsplit('/').next().unwrap_or_default()) {
            fs::remove_file(&full).at(&full)?;
            continue;
        }
        let (blake3, bytes) = blake3_of_file(&full)?;
        files.push(FileHash {
            path,
            bytes,
            blake3,
        });
    }
    Ok(files)
}

/// Relative, `/`-separated paths of all files below `folder`, sorted.
pub(crate) fn files_below(folder: &Path) -> Result<Vec<String>> {
    fn walk(folder: &Path, prefix: &str, found: &mut Vec<String>) -> Result<()> {
        for entry in fs::read_dir(folder).at(folder)? {
            let entry = entry.at(folder)?;
            let path: PathBuf = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            let relative = if prefix.is_empty() {
                name
            } else {
                format!("{prefix}/{name}")
            };
            if entry.file_type().at(&path)?.is_dir() {
                walk(&path, &relative, found)?;
            } else {
                found.push(relative);
            }
        }
        Ok(())
    }
    let mut found = Vec::new();
    walk(folder, "", &mut found)?;
    found.sort();
    Ok(found)
}

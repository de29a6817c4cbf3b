//! An artefact being written: in a scratch folder until it is whole.

use std::fs;
use std::path::{Path, PathBuf};

use crate::atomic_file::sync_folder_of;
use crate::error::AtPath as _;
use crate::hashes::HASHES_FILE;
use crate::names::validate_file_path;
use crate::{ArtefactHashes, ArtefactId, Durability, Project, Result, write_atomically};

/// An artefact being written. Dropped before [`Self::finish`], it leaves nothing behind.
#[derive(Debug)]
pub struct ArtefactDraft<'a> {
    project: &'a Project,
    id: ArtefactId,
    folder: PathBuf,
}

impl<'a> ArtefactDraft<'a> {
    pub(crate) fn new(project: &'a Project, id: ArtefactId) -> Result<Self> {
        let folder = project
            .scratch()?
            .join(format!("{}-{}", id.kind().folder(), id.name()));
        match fs::create_dir(&folder) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                Err(project.exists(id))
            }
            other => {
                other.at(&folder)?;
                Ok(Self {
                    project,
                    id,
                    folder,
                })
            }
        }
    }

    /// Which artefact it becomes.
    pub fn id(&self) -> &ArtefactId {
        &self.id
    }

    /// The folder to write files into; every file in it belongs to the artefact.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Writes one file, at a relative, `/`-separated path.
    ///
    /// # Errors
    /// [`crate::StoreError::BadFilePath`] if `path` leaves the artefact;
    /// [`crate::StoreError::Io`].
    pub fn write(&self, path: &str, bytes: &[u8]) -> Result<()> {
        validate_file_path(&self.id, path)?;
        let full = self.folder.join(path);
        if let Some(parent) = full.parent() {
            fs::create_dir_all(parent).at(parent)?;
        }
        fs::write(&full, bytes).at(&full)
    }

    /// Hashes all files, moves them to their final place (what was there is replaced) and records
    /// the artefact with its `parents` and the files `outside` the project that it needs.
    ///
    /// # Errors
    /// [`crate::StoreError::Missing`] or [`crate::StoreError::Unfinished`] if a parent is;
    /// [`crate::StoreError::Io`].
    pub fn finish(self, parents: &[ArtefactId], outside: &[PathBuf]) -> Result<ArtefactHashes> {
        let hashes = self
            .project
            .hash_artefact(&self.id, &self.folder, parents, outside)?;
        let text = hashes.to_text()?;
        let path = self.folder.join(HASHES_FILE);
        write_atomically(&path, text.as_bytes(), Durability::PowerCut)?;
        let place = self.project.dir_of(&self.id);
        if let Some(parent) = place.parent() {
            fs::create_dir_all(parent).at(parent)?;
        }
        if place.exists() {
            self.project.forget(&self.id)?;
            self.project.discard(&place)?;
        }
        fs::rename(&self.folder, &place).at(&place)?;
        sync_folder_of(&place)?;
        self.project.record(&hashes, &text)?;
        Ok(hashes)
    }
}

impl Drop for ArtefactDraft<'_> {
    fn drop(&mut self) {
        // Gone after `finish`; what cannot be removed now is removed when the project is opened.
        fs::remove_dir_all(&self.folder).ok();
    }
}

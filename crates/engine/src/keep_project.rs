//! Keeping a project sound: check, backup, restore, and lists of what it holds.

use std::path::Path;

use schema::HarvestManifest;
use store::{ArtefactKind, HarvestReader};

use crate::error::{EngineError, Result};
use crate::jobs::JobContext;
use crate::session::Session;

impl Session {
    /// Verifies every file against its recorded hash and every record against its parents.
    /// Returns the number of files read, and each fault as file and sentence.
    ///
    /// # Errors
    /// When the project cannot be read at all.
    pub fn check(&self, job: &JobContext) -> Result<(u64, Vec<(String, String)>)> {
        let mut n_files = 0;
        let faults = self.project.check(&mut |progress| {
            n_files += 1;
            job.step(
                "Checking files",
                progress.done_bytes,
                progress.total_bytes,
                "bytes",
            )
        })?;
        Ok((
            n_files,
            faults
                .into_iter()
                .map(|fault| (fault.file.display().to_string(), fault.what))
                .collect(),
        ))
    }

    /// Writes the project to one file.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn backup(&self, file: &Path, job: &JobContext) -> Result<()> {
        self.project.backup(file, &mut |progress| {
            job.step(
                "Writing backup",
                progress.done as u64,
                progress.total as u64,
                "files",
            )
        })?;
        Ok(())
    }

    /// Harvests of the project.
    ///
    /// # Errors
    /// When one is damaged.
    pub fn harvests(&self) -> Result<Vec<HarvestManifest>> {
        self.finished(ArtefactKind::Harvest)?
            .iter()
            .map(|name| Ok(HarvestReader::open(&self.project, name)?.manifest().clone()))
            .collect()
    }

    /// What a finished harvest holds.
    ///
    /// # Errors
    /// When there is none of that name, or it is damaged.
    pub fn harvest_manifest(&self, name: &str) -> Result<HarvestManifest> {
        Ok(HarvestReader::open(&self.project, name)?.manifest().clone())
    }

    /// Name of the dataset whose samples a dictionary's features fire on.
    ///
    /// # Errors
    /// When there is no such dictionary.
    pub fn dataset_of(&self, sae: &str) -> Result<String> {
        let harvest = self.dictionary(sae)?.harvest;
        let reader = HarvestReader::open(&self.project, &harvest)?;
        Ok(reader.manifest().dataset.clone())
    }
}

/// Makes a project in `dir` from a backup.
///
/// # Errors
/// When the file is damaged or no backup, or the folder holds something already.
pub fn restore(file: &Path, dir: &Path, job: &JobContext) -> Result<()> {
    store::Project::restore(file, dir, &mut |progress| {
        job.step(
            "Restoring",
            progress.done as u64,
            progress.total as u64,
            "files",
        )
    })?;
    Ok(())
}

/// Writes a colour picture (red, green, blue, alpha per pixel, row-major) as a PNG file.
///
/// # Errors
/// When the sizes do not fit or the file cannot be written.
pub fn write_picture(file: &Path, width: u32, height: u32, rgba: &[u8]) -> Result<()> {
    let bytes = datasets::film::encode_colour_png(width, height, rgba)
        .map_err(|error| EngineError::other(error.to_string()))?;
    Ok(store::write_atomically(
        file,
        &bytes,
        store::Durability::Process,
    )?)
}

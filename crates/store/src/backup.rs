//! One-file backup of a project, and its inverse.

use std::fs::{self, File};
use std::io::{BufReader, BufWriter, Read, Write as _};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use zip::result::ZipError;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use crate::atomic_file::{is_temporary, temporary_name};
use crate::error::AtPath as _;
use crate::hashes::files_below;
use crate::reviews::DATABASE_LINES;
use crate::{Project, Result, StoreError};

/// Folders of a project that are not backed up as they are.
const LEFT_OUT: [&str; 3] = ["db", ".scratch", crate::thumbnails::CACHE];

/// How far a backup or its inverse has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackupProgress {
    /// Files done.
    pub done: usize,
    /// Files in all.
    pub total: usize,
}

type Observer<'a> = &'a mut dyn FnMut(BackupProgress) -> ControlFlow<()>;

impl Project {
    /// Writes the whole project, its database as text, to one zip file, which appears when it is
    /// complete. Files outside the project, such as the user's films, are not part of it. Returns
    /// the number of files.
    ///
    /// # Errors
    /// [`StoreError::Stopped`] if `progress` says so; [`StoreError::Io`].
    pub fn backup(
        &self,
        file: &Path,
        progress: &mut dyn FnMut(BackupProgress) -> ControlFlow<()>,
    ) -> Result<usize> {
        let partial = temporary_name(file);
        let result = self
            .write_backup(file, &partial, progress)
            .and_then(|n| fs::rename(&partial, file).at(file).map(|()| n));
        if result.is_err() {
            fs::remove_file(&partial).ok();
        }
        result
    }

    fn write_backup(&self, file: &Path, partial: &Path, progress: Observer<'_>) -> Result<usize> {
        let paths = self.files_to_back_up(file)?;
        let failed = |error| zip_error(file, error);
        let output = File::create(partial).at(file)?;
        let mut zip = ZipWriter::new(BufWriter::with_capacity(1 << 20, output));
        for (done, path) in paths.iter().enumerate() {
            report(progress, done, paths.len())?;
            let full = self.root().join(path);
            let mut source = File::open(&full).at(&full)?;
            let length = source.metadata().at(&full)?.len();
            zip.start_file(path.as_str(), options(path, length))
                .map_err(failed)?;
            std::io::copy(&mut source, &mut zip).at(file)?;
        }
        zip.start_file(DATABASE_LINES, options(DATABASE_LINES, 0))
            .map_err(failed)?;
        zip.write_all(&self.reviews.database_lines()?).at(file)?;
        let output = zip.finish().map_err(failed)?;
        output
            .into_inner()
            .map_err(std::io::IntoInnerError::into_error)
            .and_then(|output| output.sync_all())
            .at(file)?;
        Ok(paths.len() + 1)
    }

    fn files_to_back_up(&self, backup: &Path) -> Result<Vec<String>> {
        let backup = std::path::absolute(backup).at(backup)?;
        let root = std::path::absolute(self.root()).at(self.root())?;
        let mut paths = files_below(self.root())?;
        paths.retain(|path| {
            let top = path.split('/').next().unwrap_or_default();
            let name = path.rsplit('/').next().unwrap_or_default();
            !LEFT_OUT.contains(&top)
                && !top.starts_with("db.damaged-")
                && !path.starts_with(".lock")
                && !is_temporary(name)
                && root.join(path) != backup
        });
        Ok(paths)
    }

    /// Unpacks a backup into `dir`, which must not exist or be empty, and opens the project. It
    /// appears whole or not at all. [`Self::check`] tells whether every file is as it was.
    ///
    /// # Errors
    /// [`StoreError::CannotCreate`] if `dir` holds something; [`StoreError::Damaged`] if the file
    /// is no backup of a project or is damaged; [`StoreError::Stopped`]; those of
    /// [`Self::open`].
    pub fn restore(
        file: &Path,
        dir: &Path,
        progress: &mut dyn FnMut(BackupProgress) -> ControlFlow<()>,
    ) -> Result<Self> {
        let occupied =
            dir.is_file() || (dir.is_dir() && fs::read_dir(dir).at(dir)?.next().is_some());
        if occupied {
            return Err(StoreError::CannotCreate {
                dir: dir.to_owned(),
                reason: "it exists and is not empty",
            });
        }
        let dir = std::path::absolute(dir).at(dir)?;
        let partial = temporary_name(&dir);
        if partial.exists() {
            fs::remove_dir_all(&partial).at(&partial)?;
        }
        fs::create_dir_all(&partial).at(&partial)?;
        let mut place = || -> Result<()> {
            unpack(file, &partial, progress)?;
            crate::project::read_project_file(&partial)?;
            if dir.exists() {
                fs::remove_dir(&dir).at(&dir)?;
            }
            fs::rename(&partial, &dir).at(&dir)
        };
        if let Err(error) = place() {
            fs::remove_dir_all(&partial).ok();
            return Err(error);
        }
        Self::open(&dir)
    }
}

fn unpack(file: &Path, into: &Path, progress: Observer<'_>) -> Result<()> {
    let failed = |error| zip_error(file, error);
    let source = File::open(file).at(file)?;
    let mut zip = ZipArchive::new(BufReader::new(source)).map_err(failed)?;
    if zip.index_for_name("project.json").is_none() {
        let what = "it holds no project.json, so it is not a backup of a project";
        return Err(StoreError::damaged(file, what));
    }
    let total = zip.len();
    for done in 0..total {
        report(progress, done, total)?;
        let mut entry = zip.by_index(done).map_err(failed)?;
        let Some(path) = entry.enclosed_name().filter(|_| entry.is_file()) else {
            let what = format!("\"{}\" would lie outside the project", entry.name());
            return Err(StoreError::damaged(file, what));
        };
        write_entry(&mut entry, &into.join(path), file)?;
    }
    Ok(())
}

fn write_entry(entry: &mut impl Read, path: &PathBuf, archive: &Path) -> Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).at(parent)?;
    }
    let mut output = BufWriter::new(File::create(path).at(path)?);
    let mut piece = vec![0_u8; 1 << 16];
    loop {
        // Reading compares the checksum at the end of the entry.
        let n = entry
            .read(&mut piece)
            .map_err(|error| StoreError::damaged(archive, error.to_string()))?;
        if n == 0 {
            return output.flush().at(path);
        }
        output.write_all(&piece[..n]).at(path)?;
    }
}

/// Files that are dense already are stored as they are.
fn options(path: &str, length: u64) -> SimpleFileOptions {
    let dense = [".safetensors", ".bin", ".png", ".jpg", ".jpeg", ".gguf"]
        .iter()
        .any(|ending| path.ends_with(ending));
    let method = if dense {
        CompressionMethod::Stored
    } else {
        CompressionMethod::Deflated
    };
    SimpleFileOptions::default()
        .compression_method(method)
        .large_file(length >= u64::from(u32::MAX) / 2)
}

fn zip_error(file: &Path, error: ZipError) -> StoreError {
    match error {
        ZipError::Io(source) if source.kind() != std::io::ErrorKind::UnexpectedEof => {
            StoreError::Io {
                path: file.to_owned(),
                source,
            }
        }
        other => StoreError::damaged(file, format!("it is not a whole zip file ({other})")),
    }
}

fn report(progress: Observer<'_>, done: usize, total: usize) -> Result<()> {
    match progress(BackupProgress { done, total }) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(StoreError::Stopped),
    }
}

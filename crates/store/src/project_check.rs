//! `project check`: every file against its recorded hash, every record against its parents.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use crate::error::AtPath as _;
use crate::hashes::{ArtefactHashes, HASHES_FILE, blake3_of_file, files_below};
use crate::project::project_file_fault;
use crate::project_link;
use crate::{ArtefactId, ArtefactKind, FileHash, Project, Result, StoreError};

/// One thing that is wrong with a project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The file.
    pub file: PathBuf,
    /// What is wrong with it, a clause.
    pub what: String,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.file.display(), self.what)
    }
}

/// How far a check has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CheckProgress<'a> {
    /// Bytes of artefacts read so far.
    pub done_bytes: u64,
    /// Bytes of all finished artefacts.
    pub total_bytes: u64,
    /// File that is read next.
    pub file: &'a Path,
}

/// Called before each file; [`ControlFlow::Break`] stops the check.
pub(crate) type CheckObserver<'a> = &'a mut dyn FnMut(CheckProgress<'_>) -> ControlFlow<()>;

impl Project {
    /// Verifies every file against its recorded hash and every record against its parents, and
    /// returns what is wrong; nothing is changed. Artefacts that were never finished are not
    /// judged.
    ///
    /// # Errors
    /// [`StoreError::Stopped`] if `progress` says so; [`StoreError::Io`] if a file that is there
    /// cannot be read.
    pub fn check(
        &self,
        progress: &mut dyn FnMut(CheckProgress<'_>) -> ControlFlow<()>,
    ) -> Result<Vec<Fault>> {
        let records: Vec<(ArtefactId, String, u64)> = self
            .ledger()
            .records()
            .map(|(id, record)| (id.clone(), record.hash.clone(), record.bytes))
            .collect();
        let mut check = Check {
            project: self,
            faults: Vec::new(),
            done_bytes: 0,
            total_bytes: records.iter().map(|(_, _, bytes)| bytes).sum(),
            progress,
        };
        if let Some(what) = project_file_fault(self.root())? {
            check.fault(self.root().join("project.json"), what);
        }
        for (file, what) in project_link::faults(self.root())? {
            check.fault(file, what);
        }
        check.ledger()?;
        for (file, what) in self.reviews.faults()? {
            check.fault(file, what);
        }
        for (id, hash, bytes) in &records {
            check.artefact(id, hash, *bytes)?;
        }
        Ok(check.faults)
    }
}

struct Check<'a> {
    project: &'a Project,
    faults: Vec<Fault>,
    done_bytes: u64,
    total_bytes: u64,
    progress: CheckObserver<'a>,
}

impl Check<'_> {
    fn fault(&mut self, file: PathBuf, what: impl Into<String>) {
        self.faults.push(Fault {
            file,
            what: what.into(),
        });
    }

    fn ledger(&mut self) -> Result<()> {
        let ledger = self.project.ledger();
        let path = ledger.path().to_owned();
        let n_damaged = ledger.n_damaged();
        let on_disk = ledger.is_on_disk()?;
        drop(ledger);
        if n_damaged > 0 {
            self.fault(path, format!("{n_damaged} of its lines cannot be read"));
        } else if !on_disk {
            self.fault(path, "it is not as it was written");
        }
        for kind in ArtefactKind::ALL {
            for entry in self.project.list(kind)? {
                let hashes = self
                    .project
                    .artefact_dir(kind, &entry.name)?
                    .join(HASHES_FILE);
                if !self.project.is_finished(kind, &entry.name) && hashes.is_file() {
                    self.fault(hashes, "artefacts.jsonl has no line for it");
                }
            }
        }
        Ok(())
    }

    fn artefact(&mut self, id: &ArtefactId, recorded: &str, bytes: u64) -> Result<()> {
        let folder = self.project.dir_of(id);
        let path = folder.join(HASHES_FILE);
        if !path.is_file() {
            self.fault(path, "it is missing");
            return Ok(());
        }
        let hashes = match ArtefactHashes::read(&folder) {
            Ok((hashes, hash)) if hash == recorded => hashes,
            Ok(_) | Err(StoreError::Damaged { .. }) => {
                self.fault(path, "its own hash is not the one in artefacts.jsonl");
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        if hashes.artefact != *id || hashes.total_bytes() != bytes {
            self.fault(path.clone(), "artefacts.jsonl says otherwise about it");
        }
        let mut known = BTreeSet::new();
        for file in &hashes.files {
            known.insert(file.path.as_str());
            self.file(folder.join(&file.path), file)?;
        }
        for file in &hashes.outside {
            self.file(PathBuf::from(&file.path), file)?;
        }
        for extra in files_below(&folder)? {
            if extra != HASHES_FILE && !known.contains(extra.as_str()) {
                self.fault(
                    folder.join(extra),
                    "it was not there when its artefact was finished",
                );
            }
        }
        self.parents(&path, &hashes);
        if id.kind() == ArtefactKind::Dataset {
            self.films(id)?;
        }
        Ok(())
    }

    fn file(&mut self, path: PathBuf, expected: &FileHash) -> Result<()> {
        self.report(&path)?;
        if !path.is_file() {
            self.fault(path, "it is missing");
            return Ok(());
        }
        let length = path.metadata().at(&path)?.len();
        if length != expected.bytes {
            let what = format!("it has {length} bytes, recorded were {}", expected.bytes);
            self.fault(path, what);
        } else if blake3_of_file(&path)?.0 != expected.blake3 {
            self.fault(path, "its content is not what was recorded");
        }
        self.done_bytes += expected.bytes;
        Ok(())
    }

    fn parents(&mut self, path: &Path, hashes: &ArtefactHashes) {
        for parent in &hashes.parents {
            let now = self
                .project
                .ledger()
                .record(&parent.artefact)
                .map(|record| record.hash.clone());
            let what = match now {
                None => "is missing",
                Some(hash) if hash != parent.hash => "has changed since",
                Some(_) => continue,
            };
            let child = &hashes.artefact;
            self.fault(
                path.to_owned(),
                format!("{child} was made from {}, which {what}", parent.artefact),
            );
        }
    }

    /// The user's own films, which a dataset names by absolute path.
    fn films(&mut self, id: &ArtefactId) -> Result<()> {
        let Ok(dataset) = self.project.load_dataset(id.name()) else {
            // What is wrong with its files was named above.
            return Ok(());
        };
        for record in &dataset.records {
            let Some(image) = &record.image else { continue };
            let path = PathBuf::from(&image.path);
            if path.is_relative() {
                continue;
            }
            self.report(&path)?;
            if !path.is_file() {
                self.fault(path, format!("this film of {id} is missing"));
            } else if !image.hash.is_empty() && blake3_of_file(&path)?.0 != image.hash {
                self.fault(
                    path,
                    format!("this film has changed since {id} was imported"),
                );
            }
        }
        Ok(())
    }

    fn report(&mut self, file: &Path) -> Result<()> {
        let progress = CheckProgress {
            done_bytes: self.done_bytes,
            total_bytes: self.total_bytes,
            file,
        };
        match (self.progress)(progress) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(StoreError::Stopped),
        }
    }
}

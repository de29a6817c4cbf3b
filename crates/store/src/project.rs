//! A project folder: made, opened by one process at a time, and what it holds.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use crate::artefact::{ArtefactEntry, ArtefactId, ArtefactKind, ArtefactState};
use crate::draft::ArtefactDraft;
use crate::error::AtPath as _;
use crate::hashes::{ArtefactHashes, HASHES_FILE, hash_folder};
use crate::ledger::{Ledger, folder_names};
use crate::project_lock::{Holder, ProjectLock};
use crate::reading::Reading;
use crate::reviews::Reviews;
use crate::thumbnails::Thumbnails;
use crate::{Durability, ParentHash, Result, StoreError, hashes, project_link, write_atomically};

/// Newest project format this build reads and writes.
pub(crate) const FORMAT: u64 = 1;
const PROJECT_FILE: &str = "project.json";
const SCRATCH: &str = ".scratch";

/// Content of `project.json`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProjectFile {
    format: u64,
    made_by: String,
    /// BLAKE3 of the two above, so that a flipped byte is found.
    blake3: String,
}

impl ProjectFile {
    fn hash(&self) -> String {
        hashes::blake3_of_bytes(format!("{} {}", self.format, self.made_by).as_bytes())
    }

    /// The one text a `project.json` of this record may have.
    fn to_text(&self) -> Result<String> {
        serde_json::to_string(self)
            .map(|text| text + "\n")
            .map_err(|error| StoreError::invalid(error.to_string()))
    }
}

/// An open project. One process at a time, beside others that only read; shared by reference among
/// its threads.
#[derive(Debug)]
pub struct Project {
    root: PathBuf,
    ledger: Mutex<Ledger>,
    /// Hashes of finished artefacts that were read already.
    known: Mutex<BTreeMap<ArtefactId, ArtefactHashes>>,
    pub(crate) reviews: Reviews,
    notices: Vec<String>,
    thumbnails: Thumbnails,
    /// These last, so that they are dropped after the database.
    reading: Option<Reading>,
    _lock: Option<ProjectLock>,
}

impl Drop for Project {
    /// An empty scratch folder is not left behind.
    fn drop(&mut self) {
        if self.reading.is_none() {
            fs::remove_dir(self.root.join(SCRATCH)).ok();
        }
    }
}

impl Project {
    /// Whether `dir` holds a project, of any version.
    pub fn is_project(dir: &Path) -> bool {
        dir.join(PROJECT_FILE).is_file()
    }

    /// Whether `path` is a file by whose name a desktop opens a project; it may be damaged.
    pub fn is_link(path: &Path) -> bool {
        project_link::is_link(path) && path.is_file()
    }

    /// Makes an empty project in `dir`, which must not exist or be empty, and opens it.
    ///
    /// # Errors
    /// [`StoreError::CannotCreate`] if `dir` holds something; [`StoreError::Io`] if the disk
    /// refuses.
    pub fn create(dir: &Path) -> Result<Self> {
        let refuse = |reason| {
            Err(StoreError::CannotCreate {
                dir: dir.to_owned(),
                reason,
            })
        };
        if Self::is_project(dir) {
            return refuse("it holds a project already");
        }
        if dir.is_file() {
            return refuse("it is a file");
        }
        if dir.is_dir() && fs::read_dir(dir).at(dir)?.next().is_some() {
            return refuse("it is not empty");
        }
        fs::create_dir_all(dir).at(dir)?;
        let mut file = ProjectFile {
            format: FORMAT,
            made_by: format!("fluoroscope {}", env!("CARGO_PKG_VERSION")),
            blake3: String::new(),
        };
        file.blake3 = file.hash();
        write_atomically(
            &dir.join(PROJECT_FILE),
            file.to_text()?.as_bytes(),
            Durability::PowerCut,
        )?;
        Self::open(dir)
    }

    /// The folder that `path` opens: the one it lies in where it is a project's `.fluoroscope`
    /// file, else `path` itself, whether there is a project in it or not.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] or [`StoreError::NewerVersion`] if the file is not as expected.
    pub fn folder_of(path: &Path) -> Result<PathBuf> {
        project_link::folder_of(path)
    }

    /// Opens the project in the folder `dir`, or the one whose `.fluoroscope` file `dir` is;
    /// leftovers of jobs that were killed are cleared away.
    ///
    /// # Errors
    /// [`StoreError::NotAProject`], [`StoreError::NewerVersion`] (nothing is changed then),
    /// [`StoreError::Locked`] while another process has it open, [`StoreError::Damaged`] if
    /// `project.json` cannot be read.
    pub fn open(dir: &Path) -> Result<Self> {
        let dir = &project_link::folder_of(dir)?;
        read_project_file(dir)?;
        let lock = ProjectLock::take(dir)?;
        let scratch = dir.join(SCRATCH);
        if scratch.exists() {
            fs::remove_dir_all(&scratch).at(&scratch)?;
        }
        let (reviews, mut notices) = Reviews::open(dir)?;
        if let Err(error) = project_link::ensure(dir) {
            notices.push(format!(
                "The file that the desktop opens this project by cannot be written: {error}"
            ));
        }
        Ok(Self {
            root: dir.to_owned(),
            ledger: Mutex::new(Ledger::open(dir)?),
            known: Mutex::default(),
            reviews,
            notices,
            thumbnails: Thumbnails::new(dir),
            reading: None,
            _lock: Some(lock),
        })
    }

    /// Opens a project as it is now, though another process has it open: nothing in its folder is
    /// written, neither lock nor repair, and all that would write is refused. The database is a
    /// copy in a folder for temporary files.
    ///
    /// # Errors
    /// As [`Self::open`], but never [`StoreError::Locked`].
    pub fn open_to_read(dir: &Path) -> Result<Self> {
        let dir = &project_link::folder_of(dir)?;
        read_project_file(dir)?;
        let reading = Reading::of(Holder::of(dir))?;
        let (reviews, notices) = Reviews::read(dir, reading.copies(), reading.holder())?;
        Ok(Self {
            root: dir.to_owned(),
            ledger: Mutex::new(Ledger::read(dir)?),
            known: Mutex::default(),
            reviews,
            notices,
            thumbnails: Thumbnails::new(reading.copies()),
            reading: Some(reading),
            _lock: None,
        })
    }

    /// Whether the project was opened only to read, beside another process.
    pub fn is_read_only(&self) -> bool {
        self.reading.is_some()
    }

    /// Id of the process that has a project open that was opened only to read, where it is known.
    pub fn open_in_process(&self) -> Option<u32> {
        self.reading.as_ref()?.holder().pid()
    }

    /// Refuses what would write while another process has the project open.
    pub(crate) fn writable(&self) -> Result<()> {
        match &self.reading {
            None => Ok(()),
            Some(reading) => Err(reading.holder().refusal()),
        }
    }

    /// What was put right when the project was opened and the user should know, a sentence each.
    pub fn notices(&self) -> &[String] {
        &self.notices
    }

    /// Small copies of films, kept from one start to the next.
    pub fn thumbnails(&self) -> &Thumbnails {
        &self.thumbnails
    }

    /// The project's folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where the artefact `name` of `kind` is or would be.
    ///
    /// # Errors
    /// [`StoreError::BadName`] if `name` cannot be a folder's name.
    pub fn artefact_dir(&self, kind: ArtefactKind, name: &str) -> Result<PathBuf> {
        Ok(self.dir_of(&ArtefactId::new(kind, name)?))
    }

    /// Artefacts of `kind` by name, finished or not.
    ///
    /// # Errors
    /// [`StoreError::Io`] if the folder cannot be listed.
    pub fn list(&self, kind: ArtefactKind) -> Result<Vec<ArtefactEntry>> {
        let ledger = self.ledger();
        let mut entries = Vec::new();
        for name in folder_names(&self.root.join(kind.folder()))? {
            let id = ArtefactId::new(kind, &name)?;
            let state = match ledger.record(&id) {
                Some(record) => ArtefactState::Finished {
                    hash: record.hash.clone(),
                    bytes: record.bytes,
                },
                None => ArtefactState::Unfinished,
            };
            entries.push(ArtefactEntry { name, state });
        }
        Ok(entries)
    }

    /// Whether the artefact is finished.
    pub fn is_finished(&self, kind: ArtefactKind, name: &str) -> bool {
        ArtefactId::new(kind, name).is_ok_and(|id| self.ledger().record(&id).is_some())
    }

    /// Recorded files and parents of a finished artefact.
    ///
    /// # Errors
    /// [`StoreError::Missing`] or [`StoreError::Unfinished`] if it is not there or not finished;
    /// [`StoreError::Damaged`] if its `hashes.json` is not the recorded one.
    pub fn hashes(&self, kind: ArtefactKind, name: &str) -> Result<ArtefactHashes> {
        let id = ArtefactId::new(kind, name)?;
        if let Some(hashes) = self.known().get(&id) {
            return Ok(hashes.clone());
        }
        let recorded = self.recorded_hash(&id)?;
        let folder = self.dir_of(&id);
        let (hashes, hash) = ArtefactHashes::read(&folder)?;
        if hash != recorded {
            return Err(StoreError::damaged(
                &folder.join(HASHES_FILE),
                "its own hash is not the one in artefacts.jsonl",
            ));
        }
        self.known().insert(id, hashes.clone());
        Ok(hashes)
    }

    /// BLAKE3 of one file of a finished artefact as recorded, e.g. `sae.safetensors` of a
    /// dictionary or `samples.jsonl` of a dataset.
    ///
    /// # Errors
    /// As [`Self::hashes`]; [`StoreError::Invalid`] if the artefact has no such file.
    pub fn file_hash(&self, kind: ArtefactKind, name: &str, file: &str) -> Result<String> {
        let hashes = self.hashes(kind, name)?;
        match hashes.file(file) {
            Some(file) => Ok(file.blake3.clone()),
            None => Err(StoreError::invalid(format!(
                "{} has no file {file}",
                hashes.artefact
            ))),
        }
    }

    /// Begins an artefact in a scratch folder; it appears under its name when it is finished.
    ///
    /// # Errors
    /// [`StoreError::BadName`]; [`StoreError::Exists`] if there is one of that name, finished
    /// or not, or another job is writing it.
    pub fn begin(&self, kind: ArtefactKind, name: &str) -> Result<ArtefactDraft<'_>> {
        let id = ArtefactId::new(kind, name)?;
        if self.dir_of(&id).exists() {
            return Err(self.exists(id));
        }
        ArtefactDraft::new(self, id)
    }

    /// Like [`Self::begin`], but what is there under that name is replaced when the new artefact
    /// is finished.
    ///
    /// # Errors
    /// [`StoreError::BadName`]; [`StoreError::Exists`] if another job is writing it.
    pub fn begin_replacing(&self, kind: ArtefactKind, name: &str) -> Result<ArtefactDraft<'_>> {
        ArtefactDraft::new(self, ArtefactId::new(kind, name)?)
    }

    /// Declares the artefact finished that was written in place in [`Self::artefact_dir`]:
    /// hashes its files and records them together with its `parents` and the files `outside` the
    /// project that it needs. Sealing again after a change replaces the record.
    ///
    /// # Errors
    /// [`StoreError::Missing`] or [`StoreError::Unfinished`] if a parent is; [`StoreError::Io`].
    pub fn seal(
        &self,
        kind: ArtefactKind,
        name: &str,
        parents: &[ArtefactId],
        outside: &[PathBuf],
    ) -> Result<ArtefactHashes> {
        self.writable()?;
        let id = ArtefactId::new(kind, name)?;
        let folder = self.dir_of(&id);
        let hashes = self.hash_artefact(&id, &folder, parents, outside)?;
        let text = hashes.to_text()?;
        let path = folder.join(HASHES_FILE);
        // Killed between the two writes, the artefact is taken in when the project is opened.
        if self.ledger().record(&id).is_some() {
            self.forget(&id)?;
        }
        write_atomically(&path, text.as_bytes(), Durability::PowerCut)?;
        self.record(&hashes, &text)?;
        Ok(hashes)
    }

    /// Declares a finished artefact unfinished again, before its files are changed in place, e.g.
    /// to train a dictionary further.
    ///
    /// # Errors
    /// [`StoreError::BadName`]; [`StoreError::Io`].
    pub fn unseal(&self, kind: ArtefactKind, name: &str) -> Result<()> {
        self.writable()?;
        let id = ArtefactId::new(kind, name)?;
        self.forget(&id)?;
        let path = self.dir_of(&id).join(HASHES_FILE);
        if path.exists() {
            fs::remove_file(&path).at(&path)?;
        }
        Ok(())
    }

    /// Deletes an artefact, finished or not. What was made from it stays, and is named by
    /// [`Self::check`] until it is made anew.
    ///
    /// # Errors
    /// [`StoreError::Missing`]; [`StoreError::Io`].
    pub fn remove(&self, kind: ArtefactKind, name: &str) -> Result<()> {
        self.writable()?;
        let id = ArtefactId::new(kind, name)?;
        let folder = self.dir_of(&id);
        if !folder.exists() && self.ledger().record(&id).is_none() {
            return Err(self.missing(id)?);
        }
        self.ledger().remove(&id)?;
        self.known().remove(&id);
        self.discard(&folder)
    }

    /// Moves a folder out of sight, then deletes it: killed in between, it is gone all the same.
    pub(crate) fn discard(&self, folder: &Path) -> Result<()> {
        if !folder.exists() {
            return Ok(());
        }
        let scratch = self.scratch()?;
        let mut n = 0;
        let doomed = loop {
            let candidate = scratch.join(format!("discarded-{n}"));
            if !candidate.exists() {
                break candidate;
            }
            n += 1;
        };
        fs::rename(folder, &doomed).at(folder)?;
        fs::remove_dir_all(&doomed).at(&doomed)
    }

    /// The folder for what is not finished; emptied when the project is opened.
    pub(crate) fn scratch(&self) -> Result<PathBuf> {
        self.writable()?;
        let scratch = self.root.join(SCRATCH);
        fs::create_dir_all(&scratch).at(&scratch)?;
        Ok(scratch)
    }

    pub(crate) fn dir_of(&self, id: &ArtefactId) -> PathBuf {
        self.root.join(id.kind().folder()).join(id.name())
    }

    /// Hashes the files of `id` that lie in `folder`.
    pub(crate) fn hash_artefact(
        &self,
        id: &ArtefactId,
        folder: &Path,
        parents: &[ArtefactId],
        outside: &[PathBuf],
    ) -> Result<ArtefactHashes> {
        let parents = parents
            .iter()
            .map(|parent| {
                Ok(ParentHash {
                    artefact: parent.clone(),
                    hash: self.recorded_hash(parent)?,
                })
            })
            .collect::<Result<_>>()?;
        let outside = outside
            .iter()
            .map(|path| {
                let path = std::path::absolute(path).at(path)?;
                let (blake3, bytes) = hashes::blake3_of_file(&path)?;
                Ok(hashes::FileHash {
                    path: path.to_string_lossy().into_owned(),
                    bytes,
                    blake3,
                })
            })
            .collect::<Result<_>>()?;
        Ok(ArtefactHashes {
            artefact: id.clone(),
            parents,
            files: hash_folder(folder)?,
            outside,
        })
    }

    /// Puts a finished artefact, whose `hashes.json` holds `text`, into the ledger.
    pub(crate) fn record(&self, hashes: &ArtefactHashes, text: &str) -> Result<()> {
        let id = &hashes.artefact;
        let hash = hashes::blake3_of_bytes(text.as_bytes());
        self.ledger().put(id, hash, hashes.total_bytes())?;
        self.known().insert(id.clone(), hashes.clone());
        Ok(())
    }

    /// Forgets what was read of `id` before.
    pub(crate) fn forget(&self, id: &ArtefactId) -> Result<()> {
        self.known().remove(id);
        self.ledger().remove(id)
    }

    /// The hash of a finished artefact, or why there is none.
    pub(crate) fn recorded_hash(&self, id: &ArtefactId) -> Result<String> {
        let recorded = self.ledger().record(id).map(|record| record.hash.clone());
        match recorded {
            Some(hash) => Ok(hash),
            None if self.dir_of(id).exists() => Err(StoreError::Unfinished {
                project: self.root.clone(),
                artefact: id.clone(),
            }),
            None => Err(self.missing(id.clone())?),
        }
    }

    pub(crate) fn exists(&self, artefact: ArtefactId) -> StoreError {
        StoreError::Exists {
            project: self.root.clone(),
            artefact,
        }
    }

    fn missing(&self, artefact: ArtefactId) -> Result<StoreError> {
        let names = folder_names(&self.root.join(artefact.kind().folder()))?;
        let known = if names.is_empty() {
            String::new()
        } else {
            format!(" (it has {})", names.join(", "))
        };
        Ok(StoreError::Missing {
            project: self.root.clone(),
            artefact,
            known,
        })
    }

    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<ArtefactId, ArtefactHashes>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads `project.json` and refuses formats this build does not know.
pub(crate) fn read_project_file(dir: &Path) -> Result<ProjectFile> {
    let path = dir.join(PROJECT_FILE);
    if !path.is_file() {
        let reason = if dir.is_file() {
            "it is a file, expected a folder with project.json in it"
        } else if dir.is_dir() {
            "it has no project.json"
        } else {
            "there is no such folder"
        };
        return Err(StoreError::NotAProject {
            dir: dir.to_owned(),
            reason,
        });
    }
    let bytes = fs::read(&path).at(&path)?;
    let unreadable = |error: serde_json::Error| StoreError::damaged(&path, error.to_string());
    let value: serde_json::Value = serde_json::from_slice(&bytes).map_err(unreadable)?;
    let Some(found) = value.get("format").and_then(serde_json::Value::as_u64) else {
        return Err(StoreError::damaged(
            &path,
            "it has no whole number under \"format\"",
        ));
    };
    if found > FORMAT {
        return Err(StoreError::NewerVersion {
            dir: dir.to_owned(),
            found,
            known: FORMAT,
        });
    }
    if found == 0 {
        return Err(StoreError::damaged(&path, "format 0 never existed"));
    }
    serde_json::from_value(value).map_err(unreadable)
}

/// What is wrong with the bytes of `project.json`, if anything.
pub(crate) fn project_file_fault(dir: &Path) -> Result<Option<String>> {
    let path = dir.join(PROJECT_FILE);
    Ok(match read_project_file(dir) {
        Err(error @ StoreError::Io { .. }) => return Err(error),
        Err(error) => Some(error.to_string()),
        Ok(file) => {
            let as_written = file.blake3 == file.hash()
                && fs::read(&path).at(&path)? == file.to_text()?.as_bytes();
            (!as_written).then(|| "it is not as it was written".to_owned())
        }
    })
}

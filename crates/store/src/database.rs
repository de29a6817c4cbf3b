//! The database of a project: what is looked up by dictionary and feature, and settings.
//!
//! sled 0.34 survives a killed process, but upstream reports damage after power cuts. So nothing
//! is kept here alone that a person decided: the journal is the truth, and a damaged database is
//! moved aside and made anew.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::AtPath as _;
use crate::project_lock::Holder;
use crate::{Result, StoreError};

const FOLDER: &str = "db";
const CACHE_BYTES: u64 = 64 << 20;
/// A database that was closed a moment ago lets go of its lock in the background.
const LOCK_ATTEMPTS: u32 = 100;
/// How often a database that changes while it is copied is copied again.
const COPY_ATTEMPTS: u32 = 40;

/// One table of the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Table {
    /// Decisions by dictionary, feature and line of the journal.
    Reviews,
    /// Explanations by dictionary and feature.
    Explanations,
    /// Associations by dictionary and feature.
    Associations,
    /// Settings by name.
    Settings,
    /// How far the journal was taken in.
    Journal,
}

impl Table {
    /// Those that hold what no other file holds.
    pub(crate) const KEPT: [Self; 3] = [Self::Explanations, Self::Associations, Self::Settings];

    /// Its name in the database.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Reviews => "reviews",
            Self::Explanations => "explanations",
            Self::Associations => "associations",
            Self::Settings => "settings",
            Self::Journal => "journal",
        }
    }
}

/// The open database.
#[derive(Debug)]
pub(crate) struct Database {
    path: PathBuf,
    sled: sled::Db,
    /// Who has the project open, where this is a copy: then nothing is put into it.
    holder: Option<Holder>,
}

impl Database {
    /// Opens the database of the project in `root`. A damaged one is moved aside, and a notice
    /// says so.
    pub(crate) fn open(root: &Path) -> Result<(Self, Option<String>)> {
        let path = root.join(FOLDER);
        match Self::try_open(&path) {
            Ok(database) => Ok((database, None)),
            Err(what) if path.is_dir() && is_damage(&what) => {
                let aside = Self::move_aside(&path)?;
                let database = Self::try_open(&path).map_err(|what| Self::error(&path, &what))?;
                let notice = format!(
                    "the database {} was damaged ({what}); it was moved to {} and made anew from \
                     the journal, without explanations and settings",
                    path.display(),
                    aside.display()
                );
                Ok((database, Some(notice)))
            }
            Err(what) => Err(Self::error(&path, &what)),
        }
    }

    /// Copies the database of the project in `root`, which another process has open, into the
    /// folder `into`, and opens the copy. Where it cannot be copied it is empty, and a notice says
    /// so: what the journal has is taken in as ever.
    pub(crate) fn copy(root: &Path, into: &Path) -> Result<(Self, Option<String>)> {
        let (from, to) = (root.join(FOLDER), into.join(FOLDER));
        let what = match copy_at_rest(&from, &to).map_err(|error| error.to_string()) {
            Ok(()) => match Self::try_open(&to) {
                Ok(database) => return Ok((database, None)),
                Err(what) => what,
            },
            Err(what) => what,
        };
        let to = into.join("made-anew");
        let database = Self::try_open(&to).map_err(|what| Self::error(&to, &what))?;
        let notice = format!(
            "the database {} could not be read beside the process that has it open ({what}); \
             decisions are shown, explanations, associations and settings are not",
            from.display()
        );
        Ok((database, Some(notice)))
    }

    /// From now on nothing is put into this copy.
    pub(crate) fn refuse_writing(&mut self, holder: &Holder) {
        self.holder = Some(holder.clone());
    }

    fn try_open(path: &Path) -> std::result::Result<Self, String> {
        let config = sled::Config::new()
            .path(path)
            .cache_capacity(CACHE_BYTES)
            .flush_every_ms(Some(500));
        let mut attempt = 0;
        loop {
            // sled answers some kinds of damage with a panic.
            let opened = catch_unwind(AssertUnwindSafe(|| {
                let sled = config.open()?;
                for table in [Table::Reviews, Table::Journal, Table::Settings] {
                    for pair in &sled.open_tree(table.name())? {
                        pair?;
                    }
                }
                Ok(sled)
            }));
            let what = match opened {
                Ok(Ok(sled)) => {
                    return Ok(Self {
                        path: path.to_owned(),
                        sled,
                        holder: None,
                    });
                }
                Ok(Err(error)) => {
                    let error: sled::Error = error;
                    error.to_string()
                }
                Err(_panic) => "its files contradict each other".to_owned(),
            };
            attempt += 1;
            if !is_locked(&what) || attempt == LOCK_ATTEMPTS {
                return Err(what);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn move_aside(path: &Path) -> Result<PathBuf> {
        let mut n = 1;
        loop {
            let aside = path.with_file_name(format!("{FOLDER}.damaged-{n}"));
            if !aside.exists() {
                fs::rename(path, &aside).at(path)?;
                return Ok(aside);
            }
            n += 1;
        }
    }

    /// Folder of the database.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The value under `key`.
    pub(crate) fn get<T: DeserializeOwned>(&self, table: Table, key: &[u8]) -> Result<Option<T>> {
        let bytes = self.run(|| self.sled.open_tree(table.name())?.get(key))?;
        bytes.map(|bytes| self.decode(&bytes)).transpose()
    }

    /// The keys that begin with `prefix` and their values, ascending.
    pub(crate) fn scan<T: DeserializeOwned>(
        &self,
        table: Table,
        prefix: &[u8],
    ) -> Result<Vec<(Vec<u8>, T)>> {
        let pairs = self.run(|| {
            self.sled
                .open_tree(table.name())?
                .scan_prefix(prefix)
                .collect::<sled::Result<Vec<_>>>()
        })?;
        pairs
            .into_iter()
            .map(|(key, bytes)| Ok((key.to_vec(), self.decode(&bytes)?)))
            .collect()
    }

    /// Puts values under their keys, all of them or none.
    pub(crate) fn put<T: Serialize>(&self, table: Table, pairs: &[(Vec<u8>, T)]) -> Result<()> {
        if let Some(holder) = &self.holder {
            return Err(holder.refusal());
        }
        let mut batch = sled::Batch::default();
        for (key, value) in pairs {
            let bytes = serde_json::to_vec(value)
                .map_err(|error| Self::error(&self.path, &error.to_string()))?;
            batch.insert(key.as_slice(), bytes);
        }
        self.run(|| self.sled.open_tree(table.name())?.apply_batch(batch))
    }

    /// Empties a table.
    pub(crate) fn clear(&self, table: Table) -> Result<()> {
        self.run(|| self.sled.open_tree(table.name())?.clear())
    }

    /// Number of values in a table.
    pub(crate) fn len(&self, table: Table) -> Result<usize> {
        self.run(|| Ok(self.sled.open_tree(table.name())?.len()))
    }

    /// Hands everything to the operating system.
    pub(crate) fn flush(&self) -> Result<()> {
        self.run(|| self.sled.flush().map(drop))
    }

    fn run<T>(&self, request: impl FnOnce() -> sled::Result<T>) -> Result<T> {
        match catch_unwind(AssertUnwindSafe(request)) {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(Self::error(&self.path, &error.to_string())),
            Err(_panic) => Err(Self::error(&self.path, "its files contradict each other")),
        }
    }

    fn decode<T: DeserializeOwned>(&self, bytes: &[u8]) -> Result<T> {
        serde_json::from_slice(bytes).map_err(|error| Self::error(&self.path, &error.to_string()))
    }

    fn error(path: &Path, what: &str) -> StoreError {
        StoreError::Database {
            path: path.to_owned(),
            what: what.to_owned(),
        }
    }
}

/// Copies a folder that another process may be writing to: again and again, until no file changed
/// meanwhile.
fn copy_at_rest(from: &Path, to: &Path) -> std::io::Result<()> {
    let mut attempt = 1;
    loop {
        if to.exists() {
            fs::remove_dir_all(to)?;
        }
        let copied = files_in(from).and_then(|before| {
            copy_files(from, to)?;
            Ok(files_in(from)? == before)
        });
        match copied {
            Ok(true) => return Ok(()),
            Ok(false) if attempt == COPY_ATTEMPTS => {
                return Err(std::io::Error::other("it changed all the while"));
            }
            Err(error) if attempt == COPY_ATTEMPTS => return Err(error),
            // A file may go between listing and copying.
            Ok(false) | Err(_) => {}
        }
        attempt += 1;
        std::thread::sleep(Duration::from_millis(25));
    }
}

fn copy_files(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let (path, name) = entry.map(|entry| (entry.path(), entry.file_name()))?;
        if path.is_dir() {
            copy_files(&path, &to.join(name))?;
        } else {
            fs::copy(&path, to.join(name))?;
        }
    }
    Ok(())
}

/// Path, size and time of change of each file below a folder, sorted.
fn files_in(folder: &Path) -> std::io::Result<Vec<(PathBuf, u64, SystemTime)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let facts = fs::metadata(&path)?;
        if facts.is_dir() {
            found.extend(files_in(&path)?);
        } else {
            found.push((path, facts.len(), facts.modified()?));
        }
    }
    found.sort();
    Ok(found)
}

fn is_locked(what: &str) -> bool {
    what.contains("acquire lock")
}

fn is_damage(what: &str) -> bool {
    !is_locked(what) && !what.contains("Permission denied") && !what.contains("No space left")
}

//! `artefacts.jsonl`: one line per finished artefact, with the hash of its `hashes.json`.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::AtPath as _;
use crate::hashes::{ArtefactHashes, HASHES_FILE};
use crate::{
    ArtefactId, ArtefactKind, Durability, Result, StoreError, validate_name, write_atomically,
};

/// One finished artefact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LedgerRecord {
    kind: ArtefactKind,
    name: String,
    /// BLAKE3 of its `hashes.json`.
    pub(crate) hash: String,
    /// Bytes of its files together.
    pub(crate) bytes: u64,
}

/// The finished artefacts of a project.
#[derive(Debug)]
pub(crate) struct Ledger {
    path: PathBuf,
    records: Vec<(ArtefactId, LedgerRecord)>,
    /// Lines that cannot be read; kept as they are.
    damaged: Vec<String>,
}

impl Ledger {
    /// Reads the ledger of the project in `root`, and adds artefacts whose job was killed after
    /// it had written `hashes.json` and before it had written the ledger.
    pub(crate) fn open(root: &Path) -> Result<Self> {
        let mut ledger = Self::read(root)?;
        if ledger.adopt(root)? {
            ledger.write()?;
        }
        Ok(ledger)
    }

    /// Reads the ledger of the project in `root` as it is.
    pub(crate) fn read(root: &Path) -> Result<Self> {
        let path = root.join("artefacts.jsonl");
        let bytes = match fs::read(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            other => other.at(&path)?,
        };
        let mut ledger = Self {
            path,
            records: Vec::new(),
            damaged: Vec::new(),
        };
        for line in String::from_utf8_lossy(&bytes).lines() {
            match parse_line(line) {
                Some(record) => ledger.records.push(record),
                None => ledger.damaged.push(line.to_owned()),
            }
        }
        Ok(ledger)
    }

    fn adopt(&mut self, root: &Path) -> Result<bool> {
        let mut adopted = false;
        for kind in ArtefactKind::ALL {
            for name in folder_names(&root.join(kind.folder()))? {
                let Ok(id) = ArtefactId::new(kind, &name) else {
                    continue;
                };
                let folder = root.join(kind.folder()).join(&name);
                if self.record(&id).is_some() || !folder.join(HASHES_FILE).is_file() {
                    continue;
                }
                if let Ok((hashes, hash)) = ArtefactHashes::read(&folder)
                    && hashes.artefact == id
                {
                    self.set(&id, hash, hashes.total_bytes());
                    adopted = true;
                }
            }
        }
        Ok(adopted)
    }

    /// The record of `id`, if it is finished.
    pub(crate) fn record(&self, id: &ArtefactId) -> Option<&LedgerRecord> {
        self.records
            .iter()
            .find(|(other, _)| other == id)
            .map(|(_, record)| record)
    }

    /// All records.
    pub(crate) fn records(&self) -> impl Iterator<Item = (&ArtefactId, &LedgerRecord)> {
        self.records.iter().map(|(id, record)| (id, record))
    }

    /// Number of lines that cannot be read.
    pub(crate) fn n_damaged(&self) -> usize {
        self.damaged.len()
    }

    /// Path of the file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the file on disk is exactly what was read or written last.
    pub(crate) fn is_on_disk(&self) -> Result<bool> {
        if self.records.is_empty() && self.damaged.is_empty() && !self.path.exists() {
            return Ok(true);
        }
        let text = fs::read(&self.path).at(&self.path)?;
        Ok(text == self.to_text()?.as_bytes())
    }

    /// Records `id` as finished and writes the ledger.
    pub(crate) fn put(&mut self, id: &ArtefactId, hash: String, bytes: u64) -> Result<()> {
        self.set(id, hash, bytes);
        self.write()
    }

    /// Forgets `id` and writes the ledger.
    pub(crate) fn remove(&mut self, id: &ArtefactId) -> Result<()> {
        self.records.retain(|(other, _)| other != id);
        self.write()
    }

    fn set(&mut self, id: &ArtefactId, hash: String, bytes: u64) {
        self.records.retain(|(other, _)| other != id);
        self.records.push((
            id.clone(),
            LedgerRecord {
                kind: id.kind(),
                name: id.name().to_owned(),
                hash,
                bytes,
            },
        ));
        self.records.sort_by(|(a, _), (b, _)| a.cmp(b));
    }

    fn to_text(&self) -> Result<String> {
        let mut text = String::new();
        for (_, record) in &self.records {
            text.push_str(
                &serde_json::to_string(record)
                    .map_err(|error| StoreError::invalid(error.to_string()))?,
            );
            text.push('\n');
        }
        for line in &self.damaged {
            text.push_str(line);
            text.push('\n');
        }
        Ok(text)
    }

    fn write(&self) -> Result<()> {
        write_atomically(&self.path, self.to_text()?.as_bytes(), Durability::PowerCut)
    }
}

fn parse_line(line: &str) -> Option<(ArtefactId, LedgerRecord)> {
    let record: LedgerRecord = serde_json::from_str(line).ok()?;
    let id = ArtefactId::new(record.kind, &record.name).ok()?;
    Some((id, record))
}

/// Names of the folders in `folder` that can be artefacts, sorted; none if it is not there.
pub(crate) fn folder_names(folder: &Path) -> Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.at(folder)?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.at(folder)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.path().is_dir() && validate_name(&name).is_ok() {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

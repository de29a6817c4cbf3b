//! What readers did, appended, hash-chained, synced to disk: `journal/decisions.jsonl` every
//! decision, `journal/detections.jsonl` every detection test.
//!
//! A line is one JSON object: its number, the hash of the line before it (`prev`), the record,
//! and, last, `hash`: BLAKE3 of the line's text up to there. People can read it; a changed, lost
//! or inserted line is noticed.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::atomic_file::sync_folder_of;
use crate::error::AtPath as _;
use crate::project_lock::Holder;
use crate::{Result, StoreError, blake3_of_bytes};

/// What the first line has as the hash of the line before it.
const NOTHING_BEFORE: &str = "0000000000000000000000000000000000000000000000000000000000000000";
const HASH_FIELD: &str = ",\"hash\":\"";

/// Proof that a record is on the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// Number of the line in the journal, from 0.
    pub line: u64,
    /// Hash of the line, in hexadecimal.
    pub hash: String,
}

/// A line without its hash.
#[derive(Debug, Serialize, Deserialize)]
struct Body<T> {
    line: u64,
    prev: String,
    #[serde(flatten)]
    record: T,
}

/// One line that was read.
#[derive(Debug, Clone)]
pub(crate) struct JournalLine<T> {
    /// Its number, from 0.
    pub(crate) line: u64,
    /// The hash it carries, or that of its text if it carries none.
    pub(crate) hash: String,
    /// What it says, or what is wrong with the line.
    pub(crate) record: std::result::Result<T, String>,
}

/// An open journal of a project.
#[derive(Debug)]
pub(crate) struct Journal<T> {
    path: PathBuf,
    /// Opened with the first decision.
    file: Option<File>,
    bytes: u64,
    n_lines: u64,
    head: String,
    records: PhantomData<T>,
    /// Who has the project open, where that is another process: then nothing is appended here.
    holder: Option<Holder>,
}

/// Lines of a journal, and what the user should know of its end.
pub(crate) type Opened<T> = (Journal<T>, Vec<JournalLine<T>>, Option<String>);

impl<T: Clone + Serialize + DeserializeOwned> Journal<T> {
    /// Opens the journal `name` of the project in `root` and reads it. A last line that a power cut
    /// left half written is moved to a file beside it, and a notice says so.
    pub(crate) fn open(root: &Path, name: &str) -> Result<Opened<T>> {
        let path = root.join("journal").join(name);
        let bytes = read_or_empty(&path)?;
        let whole = whole_lines(&bytes);
        let notice = if whole < bytes.len() {
            Some(set_torn_line_aside(&path, &bytes[whole..], whole as u64)?)
        } else {
            None
        };
        let (journal, lines) = Self::of(path, &bytes[..whole]);
        Ok((journal, lines, notice))
    }

    /// Reads the journal `name` of the project in `root`, which `holder` has open, as far as its
    /// lines are whole: one may be written at this moment. Nothing can be appended to it.
    pub(crate) fn read(
        root: &Path,
        name: &str,
        holder: &Holder,
    ) -> Result<(Self, Vec<JournalLine<T>>)> {
        let path = root.join("journal").join(name);
        let bytes = read_or_empty(&path)?;
        let (mut journal, lines) = Self::of(path, &bytes[..whole_lines(&bytes)]);
        journal.holder = Some(holder.clone());
        Ok((journal, lines))
    }

    fn of(path: PathBuf, whole: &[u8]) -> (Self, Vec<JournalLine<T>>) {
        let lines = read_lines::<T>(whole);
        let head = lines
            .last()
            .map_or_else(|| NOTHING_BEFORE.to_owned(), |line| line.hash.clone());
        let journal = Self {
            path,
            file: None,
            bytes: whole.len() as u64,
            n_lines: lines.len() as u64,
            head,
            records: PhantomData,
            holder: None,
        };
        (journal, lines)
    }

    /// Number of lines.
    pub(crate) fn n_lines(&self) -> u64 {
        self.n_lines
    }

    /// Hash of the last line.
    pub(crate) fn head(&self) -> &str {
        &self.head
    }

    /// Hash of each line as it is on the disk.
    pub(crate) fn hashes(&self) -> Result<Vec<String>> {
        let bytes = read_or_empty(&self.path)?;
        let lines = read_lines::<T>(&bytes[..whole_lines(&bytes)]);
        Ok(lines.into_iter().map(|line| line.hash).collect())
    }

    /// Path of the file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Appends a record; it is on the disk when this returns.
    pub(crate) fn append(&mut self, record: &T) -> Result<Receipt> {
        if let Some(holder) = &self.holder {
            return Err(holder.refusal());
        }
        let body = Body {
            line: self.n_lines,
            prev: self.head.clone(),
            record: record.clone(),
        };
        let mut text = serde_json::to_string(&body)
            .map_err(|error| StoreError::invalid(format!("the record: {error}")))?;
        text.pop();
        let hash = blake3_of_bytes(text.as_bytes());
        text.push_str(HASH_FIELD);
        text.push_str(&hash);
        text.push_str("\"}\n");
        self.append_synced(text.as_bytes())?;
        let receipt = Receipt {
            line: self.n_lines,
            hash: hash.clone(),
        };
        self.bytes += text.len() as u64;
        self.n_lines += 1;
        self.head = hash;
        Ok(receipt)
    }

    fn append_synced(&mut self, line: &[u8]) -> Result<()> {
        let mut file = match self.file.take() {
            Some(file) => file,
            None => self.open_for_append()?,
        };
        let written = file.write_all(line).and_then(|()| file.sync_data());
        if let Err(error) = written {
            // No half line may stay in front of the next one.
            file.set_len(self.bytes).at(&self.path)?;
            return Err(error).at(&self.path);
        }
        self.file = Some(file);
        Ok(())
    }

    fn open_for_append(&self) -> Result<File> {
        if let Some(folder) = self.path.parent() {
            fs::create_dir_all(folder).at(folder)?;
            sync_folder_of(folder)?;
        }
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.path)
            .at(&self.path)?;
        sync_folder_of(&self.path)?;
        Ok(file)
    }
}

/// How many lines the journal at `path` has, and those that are not as they were written,
/// numbered from 1, with the reason.
pub(crate) fn faults<T: DeserializeOwned>(path: &Path) -> Result<(u64, Vec<(u64, String)>)> {
    let bytes = read_or_empty(path)?;
    let mut faults = Vec::new();
    let lines = read_lines::<T>(&bytes);
    for line in &lines {
        if let Err(what) = &line.record {
            faults.push((line.line + 1, what.clone()));
        }
    }
    if !bytes.is_empty() && !bytes.ends_with(b"\n") {
        faults.push((lines.len() as u64, "it has no end".to_owned()));
    }
    Ok((lines.len() as u64, faults))
}

fn read_or_empty(path: &Path) -> Result<Vec<u8>> {
    match fs::read(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        other => other.at(path),
    }
}

/// Bytes up to the end of the last line that has one.
fn whole_lines(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .rposition(|&byte| byte == b'\n')
        .map_or(0, |end| end + 1)
}

fn set_torn_line_aside(path: &Path, torn: &[u8], whole: u64) -> Result<String> {
    let aside = path.with_extension("jsonl.torn");
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(&aside)
        .and_then(|mut file| {
            file.write_all(torn)?;
            file.write_all(b"\n")?;
            file.sync_all()
        })
        .at(&aside)?;
    OpenOptions::new()
        .write(true)
        .open(path)
        .and_then(|file| {
            file.set_len(whole)?;
            file.sync_all()
        })
        .at(path)?;
    Ok(format!(
        "the last line of {} was half written, as a power cut leaves it; it was never \
         acknowledged, and was moved to {}",
        path.display(),
        aside.display()
    ))
}

fn read_lines<T: DeserializeOwned>(bytes: &[u8]) -> Vec<JournalLine<T>> {
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    if bytes.is_empty() {
        return Vec::new();
    }
    let mut prev = NOTHING_BEFORE.to_owned();
    let mut lines = Vec::new();
    for (line, text) in (0..).zip(bytes.split(|&byte| byte == b'\n')) {
        let (hash, record) = read_line(line, text, &prev);
        prev.clone_from(&hash);
        lines.push(JournalLine { line, hash, record });
    }
    lines
}

/// Hash and record of one line. Its own hash and its link to the line before are checked.
fn read_line<T: DeserializeOwned>(
    line: u64,
    text: &[u8],
    prev: &str,
) -> (String, std::result::Result<T, String>) {
    let Some((body, hash)) = split_hash(text) else {
        let what = "it does not end in its hash".to_owned();
        return (blake3_of_bytes(text), Err(what));
    };
    let carried = hash.to_owned();
    if blake3_of_bytes(body) != hash {
        return (
            carried,
            Err("it was changed after it was written".to_owned()),
        );
    }
    let mut object = body.to_vec();
    object.push(b'}');
    let record = match serde_json::from_slice::<Body<T>>(&object) {
        Err(error) => Err(error.to_string()),
        Ok(body) if body.line != line || body.prev != prev => {
            Err("it does not follow the line before it".to_owned())
        }
        Ok(body) => Ok(body.record),
    };
    (carried, record)
}

fn split_hash(text: &[u8]) -> Option<(&[u8], &str)> {
    let at = text.len().checked_sub(HASH_FIELD.len() + 64 + 2)?;
    let (body, rest) = text.split_at(at);
    let rest = str::from_utf8(rest).ok()?;
    let hash = rest.strip_prefix(HASH_FIELD)?.strip_suffix("\"}")?;
    Some((body, hash))
}

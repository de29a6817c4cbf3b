//! `<name>.fluoroscope` beside `project.json`: what a desktop opens a project by.
//!
//! A desktop associates programs with endings of file names, and every second program has a
//! `project.json`. The file holds nothing but its own format, so it never goes stale.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::AtPath as _;
use crate::{Durability, Result, StoreError, write_atomically};

/// Ending of the file's name.
const EXTENSION: &str = "fluoroscope";
/// What the file says it is.
const KIND: &str = "project";
/// Newest format of the file.
const FORMAT: u64 = 1;
/// Name where the folder has none, as a drive's root.
const NAMELESS: &str = "project";
/// Longest file that is looked into.
const MAX_BYTES: u64 = 4096;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ProjectLink {
    fluoroscope: String,
    format: u64,
}

/// The one text such a file has.
fn text() -> String {
    format!("{{\"fluoroscope\":\"{KIND}\",\"format\":{FORMAT}}}\n")
}

/// Whether a file's name is that of such a file.
pub(crate) fn is_link(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case(EXTENSION))
}

/// The files of this kind in `dir`, in the order of their names.
fn links_in(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut links = Vec::new();
    for entry in fs::read_dir(dir).at(dir)? {
        let path = entry.at(dir)?.path();
        if is_link(&path) && path.is_file() {
            links.push(path);
        }
    }
    links.sort();
    Ok(links)
}

/// Gives the project in `dir` its file, named after the folder, unless it has one of any name.
pub(crate) fn ensure(dir: &Path) -> Result<()> {
    if !links_in(dir)?.is_empty() {
        return Ok(());
    }
    let full = fs::canonicalize(dir).at(dir)?;
    let name = full.file_name().map_or_else(
        || NAMELESS.to_owned(),
        |name| name.to_string_lossy().into_owned(),
    );
    write_atomically(
        &dir.join(format!("{name}.{EXTENSION}")),
        text().as_bytes(),
        Durability::Process,
    )
}

/// The files of this kind in `dir` that are not as they were written.
pub(crate) fn faults(dir: &Path) -> Result<Vec<(PathBuf, String)>> {
    let mut faults = Vec::new();
    for path in links_in(dir)? {
        if fs::read(&path).at(&path)? != text().as_bytes() {
            faults.push((path, "it is not as it was written".to_owned()));
        }
    }
    Ok(faults)
}

/// The folder that `path` opens: the one that a `.fluoroscope` file lies in, else `path` itself.
pub(crate) fn folder_of(path: &Path) -> Result<PathBuf> {
    if !is_link(path) || !path.is_file() {
        return Ok(path.to_owned());
    }
    let invalid = |what: String| StoreError::damaged(path, what);
    let expected = text();
    let length = path.metadata().at(path)?.len();
    if length > MAX_BYTES {
        return Err(invalid(format!(
            "it has {length} bytes, expected {}",
            expected.trim()
        )));
    }
    let bytes = fs::read(path).at(path)?;
    let link: ProjectLink = serde_json::from_slice(&bytes)
        .map_err(|error| invalid(format!("{error}, expected {}", expected.trim())))?;
    if link.fluoroscope != KIND || link.format == 0 {
        return Err(invalid(format!("expected {}", expected.trim())));
    }
    let folder = match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => path,
    };
    if link.format > FORMAT {
        return Err(StoreError::NewerVersion {
            dir: folder.to_owned(),
            found: link.format,
            known: FORMAT,
        });
    }
    Ok(folder.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_the_record() {
        let link: ProjectLink = serde_json::from_str(&text()).unwrap();
        assert_eq!(serde_json::to_string(&link).unwrap() + "\n", text());
    }

    #[test]
    fn a_bare_file_name_lies_in_the_current_folder() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.FLUOROSCOPE");
        assert_eq!(folder_of(&file).unwrap(), file, "no such file yet");
        fs::write(&file, text()).unwrap();
        assert_eq!(folder_of(&file).unwrap(), dir.path());
        for (bad, word) in [
            (
                "{\"fluoroscope\":\"project\",\"format\":2}",
                "newer version",
            ),
            ("{\"fluoroscope\":\"film\",\"format\":1}", "expected"),
            ("{\"fluoroscope\":\"project\",\"format\":0}", "expected"),
            ("nonsense", "expected"),
            (&" ".repeat(5000), "5000 bytes"),
        ] {
            fs::write(&file, bad).unwrap();
            let error = folder_of(&file).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
    }
}

//! Folders under a name of the user's, written whole or not at all.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::error::{EngineError, Result};

/// Says that a folder is an unfinished one of ours, so that it may be cleared.
const UNFINISHED: &str = ".fluoroscope-unfinished";

/// Has `write` fill `NAME.part` beside a folder, which gets its name when all of it is written. What
/// a killed run left there is cleared; an empty folder of the name makes room.
///
/// # Errors
/// When the folder or `NAME.part` is there with something else in it, or cannot be written, and
/// those of `write`; nothing is left then.
pub(crate) fn write_whole<T>(folder: &Path, write: impl FnOnce(&Path) -> Result<T>) -> Result<T> {
    let (folder, draft) = places(folder)?;
    if let Some(parent) = folder.parent() {
        fs::create_dir_all(parent).map_err(|error| at(parent, &error))?;
    }
    clear(&draft)?;
    let done = begin(&draft).and_then(|()| write(&draft)).and_then(|done| {
        if folder.exists() {
            fs::remove_dir(&folder).map_err(|error| at(&folder, &error))?;
        }
        fs::rename(&draft, &folder).map_err(|error| at(&folder, &error))?;
        fs::remove_file(folder.join(UNFINISHED)).ok();
        Ok(done)
    });
    if done.is_err() {
        // What is left over says nothing that the error does not.
        fs::remove_dir_all(&draft).ok();
    }
    done
}

/// The folder itself, links followed, and that beside it which is written first.
fn places(folder: &Path) -> Result<(PathBuf, PathBuf)> {
    let found = if folder.exists() {
        folder.canonicalize()
    } else {
        std::path::absolute(folder)
    };
    let found = found.map_err(|error| at(folder, &error))?;
    let is_here = std::env::current_dir().is_ok_and(|here| here == found);
    match found.file_name() {
        Some(name) if !is_here => {
            let mut part = name.to_os_string();
            part.push(".part");
            let draft = found.with_file_name(part);
            Ok((found, draft))
        }
        _ => Err(EngineError::request(format!(
            "{}: expected the name of a new folder",
            folder.display()
        ))),
    }
}

fn begin(draft: &Path) -> Result<()> {
    fs::create_dir(draft).map_err(|error| at(draft, &error))?;
    fs::write(draft.join(UNFINISHED), "").map_err(|error| at(draft, &error))
}

/// Removes what a killed run left; refuses what is not ours.
fn clear(draft: &Path) -> Result<()> {
    if !draft.exists() {
        return Ok(());
    }
    let is_empty = draft
        .read_dir()
        .is_ok_and(|mut entries| entries.next().is_none());
    if is_empty || draft.join(UNFINISHED).is_file() {
        return fs::remove_dir_all(draft).map_err(|error| at(draft, &error));
    }
    Err(EngineError::request(format!(
        "{} is in the way; rename it, or choose another folder",
        draft.display()
    )))
}

fn at(path: &Path, error: &io::Error) -> EngineError {
    EngineError::request(format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn writes(draft: &Path) -> Result<()> {
        fs::write(draft.join("all"), "all").map_err(|error| at(draft, &error))
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = folder.read_dir().unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_folder_is_there_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("out");
        let failed = write_whole(&folder, |draft| {
            writes(draft)?;
            Err::<(), _>(EngineError::other("stopped"))
        });
        assert!(failed.is_err());
        assert!(names(dir.path()).is_empty());
        // A killed one leaves its draft, which is cleared.
        let draft = dir.path().join("out.part");
        begin(&draft).unwrap();
        fs::write(draft.join("half"), "ha").unwrap();
        write_whole(&folder, writes).unwrap();
        assert_eq!(names(dir.path()), ["out"]);
        assert_eq!(names(&folder), ["all"]);
    }

    #[test]
    fn an_empty_folder_makes_room_and_what_is_not_ours_stays() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("out");
        fs::create_dir(&folder).unwrap();
        write_whole(&folder, writes).unwrap();
        assert_eq!(names(&folder), ["all"]);
        let other = dir.path().join("other");
        let mine = dir.path().join("other.part");
        fs::create_dir(&mine).unwrap();
        fs::write(mine.join("letter"), "dear").unwrap();
        let error = write_whole(&other, writes).unwrap_err().to_string();
        assert!(error.contains("other.part is in the way"), "{error}");
        assert_eq!(names(&mine), ["letter"]);
        assert!(!other.exists());
    }
}

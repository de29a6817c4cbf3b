//! Files that a user names, to be read or to be written.

use std::path::Path;

use store::{Durability, write_atomically};

use crate::error::{EngineError, Result};

/// Whether there is a file of this name to read; `expected` says what it should hold.
///
/// # Errors
/// When there is none, or a folder.
pub(crate) fn check_input(file: &Path, expected: &str) -> Result<()> {
    if file.is_file() {
        return Ok(());
    }
    let what = if file.is_dir() {
        "it is a folder"
    } else {
        "there is no such file"
    };
    Err(EngineError::request(format!(
        "\"{}\": {what}; expected {expected}",
        file.display()
    )))
}

/// Whether a file of this name can be written: asked before the work that fills it.
///
/// # Errors
/// When it is a folder, or lies in a folder that is not there.
pub(crate) fn check_output(file: &Path) -> Result<()> {
    let refused = |what: &str| {
        Err(EngineError::request(format!(
            "\"{}\": {what}; expected the name of a file to write",
            file.display()
        )))
    };
    if file.as_os_str().is_empty() || file.is_dir() {
        return refused("it is a folder");
    }
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() && !folder.is_dir() => {
            refused("its folder is not there")
        }
        _ => Ok(()),
    }
}

/// Writes a result whole or not at all.
///
/// # Errors
/// As [`check_output`], and when the disk refuses.
pub(crate) fn write_output(file: &Path, bytes: &[u8]) -> Result<()> {
    check_output(file)?;
    write_atomically(file, bytes, Durability::PowerCut)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_file_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let said = |path: &Path| check_input(path, "a table").unwrap_err().to_string();
        assert!(said(folder.path()).ends_with("it is a folder; expected a table"));
        assert!(said(&folder.path().join("x")).ends_with("no such file; expected a table"));
        std::fs::write(folder.path().join("x"), b"x").unwrap();
        check_input(&folder.path().join("x"), "a table").unwrap();
    }

    #[test]
    fn a_folder_is_no_file_to_write() {
        let folder = tempfile::tempdir().unwrap();
        let said = |path: &Path| write_output(path, b"x").unwrap_err().to_string();
        assert!(said(folder.path()).contains("it is a folder"));
        assert!(said(&folder.path().join("none/x")).contains("its folder is not there"));
        let file = folder.path().join("x");
        write_output(&file, b"x").unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), b"x");
        check_output(Path::new("bare-name")).unwrap();
    }
}

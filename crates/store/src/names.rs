//! Which names and paths the user's words may become on disk.

use crate::{ArtefactId, Result, StoreError};

/// Checks that `name` can name an artefact: 1 to 100 ASCII letters, digits, `-`, `_` or `.`, not
/// beginning or ending with `.`.
///
/// # Errors
/// [`StoreError::BadName`] otherwise.
pub fn validate_name(name: &str) -> Result<()> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if !name.is_empty()
        && name.len() <= 100
        && name.chars().all(allowed)
        && !name.starts_with('.')
        && !name.ends_with('.')
    {
        Ok(())
    } else {
        Err(StoreError::BadName {
            name: name.to_owned(),
        })
    }
}

/// Checks that `path` stays inside `artefact`: `/`-separated parts, none of them empty or
/// beginning with `.`, and not the file that holds the hashes.
pub(crate) fn validate_file_path(artefact: &ArtefactId, path: &str) -> Result<()> {
    let part_is_good = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && !part.contains(|c: char| c.is_control() || matches!(c, '\\' | ':'))
    };
    if path.split('/').all(part_is_good) && path != crate::hashes::HASHES_FILE {
        Ok(())
    } else {
        Err(StoreError::BadFilePath {
            path: path.to_owned(),
            artefact: artefact.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ArtefactKind;

    #[test]
    fn names_are_checked() {
        for good in ["a", "iu-reports_2.v1", "0"] {
            assert!(validate_name(good).is_ok(), "{good}");
        }
        for bad in ["", "..", ".hidden", "a/b", "a b", "dot.", "é", "a\0"] {
            assert!(validate_name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn file_paths_stay_inside() {
        let dataset = ArtefactId::new(ArtefactKind::Dataset, "d").unwrap();
        for good in ["truth.json", "images/0001.png"] {
            assert!(validate_file_path(&dataset, good).is_ok(), "{good}");
        }
        for bad in [
            "/etc/passwd",
            "../x",
            "a//b",
            "",
            "hashes.json",
            "C:\\x",
            "a/.b",
        ] {
            assert!(validate_file_path(&dataset, bad).is_err(), "{bad}");
        }
    }
}
